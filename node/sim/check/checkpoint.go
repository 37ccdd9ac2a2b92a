package check

import (
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// checkpoints: the checkpoint on a disk is, row by row, the state that the committed log leads to at its index, with
// the seats and the position in the log that belong there (traps T33, T44), and no later one replaces it by an earlier
// one (traps T32, T35), unless the disk is lost. A start goes on from it.
type checkpoints struct{ disks perNode[saved] }

// saved is what a disk had last.
type saved struct {
	state raft.HardState
	index raft.Index
}

func (c *checkpoints) invariant() string { return "a checkpoint is the state that the log leads to" }

func (c *checkpoints) step(w *Watch, l *Step) error {
	seen, id, now := c.disks.of(l.node.ID()), l.node.ID(), l.Now.Checkpoint
	state, _ := l.node.Durable()
	if l.wiped(seen.state, state) {
		*seen = saved{}
	}
	before := seen.index
	*seen = saved{state, now}
	switch {
	case now < before && (l.node.StateDiffers() || w.Lacks(id)): // the snapshot that repairs it may be an earlier one
		return nil
	case now < before:
		return fmt.Errorf("node %d: the checkpoint on the disk went from entry %d to entry %d", id, before, now)
	case l.NewLife() && l.Now.Applied < now:
		return fmt.Errorf("node %d starts with %d entries applied, and has a checkpoint of %d on its disk", id,
			l.Now.Applied, now)
	case now > w.Committed.Last():
		return fmt.Errorf("node %d has a checkpoint of entry %d, and %d are committed", id, now, w.Committed.Last())
	case now == before || w.Astray(id):
		return nil
	}
	return c.verify(w, id, l.node.Checkpoint())
}

// verify loads a checkpoint and compares it with what the committed log leads to.
func (c *checkpoints) verify(w *Watch, id raft.NodeID, checkpoint *snapshottest.File) error {
	at := checkpoint.Start.Index
	if err := samePosition(w, checkpoint.Start); err != nil {
		return fmt.Errorf("node %d has a checkpoint of entry %d: %w", id, at, err)
	}
	store, err := checkpoint.Load()
	if err != nil {
		return fmt.Errorf("node %d has a checkpoint of entry %d that cannot be loaded: %w", id, at, err)
	}
	if store.Digest() != w.stateAt(at) {
		return fmt.Errorf("node %d has a checkpoint of entry %d that is not the state that the log leads to there", id, at)
	}
	return nil
}

// samePosition returns an error unless a position is that of the committed log.
func samePosition(w *Watch, start raft.LogStart) error {
	if err := samePlace(w, start); err != nil {
		return err
	}
	want := w.positionAt(start.Index)
	if !slices.Equal(start.Seats, want.Seats) {
		return fmt.Errorf("it has the seats %v, and the committed log assigned %v", start.Seats, want.Seats)
	}
	return sameConfiguration(start.Configuration, want.Configuration)
}

// sameConfiguration returns an error unless a configuration is the one of the committed log.
func sameConfiguration(got, want raft.Configuration) error {
	if !got.Same(want) {
		return fmt.Errorf("it has the configuration %+v, and the committed log has %+v there", got, want)
	}
	return nil
}

// samePlace returns an error unless a position has the term and the digest of the committed log.
func samePlace(w *Watch, start raft.LogStart) error {
	if want := w.positionAt(start.Index); start.Term != want.Term || start.Digest != want.Digest {
		return fmt.Errorf("it names term %d and digest %08x, and the committed log has term %d and digest %08x there",
			start.Term, uint32(start.Digest), want.Term, uint32(want.Digest))
	}
	return nil
}

// cutLogs: no entry leaves a disk that the checkpoint there does not include (trap T50), so that nothing is between the
// two; and where a log starts, it has the term, the digest and the seats of what was removed (trap T33). A node that
// started from a checkpoint does not distinguish which of its seats lie before the checkpoint and behind the start of
// the log: it may name those too.
type cutLogs struct{ starts perNode[raft.Index] }

func (c *cutLogs) invariant() string { return "no entry is removed that the checkpoint lacks" }

func (c *cutLogs) step(w *Watch, l *Step) error {
	seen, id, now := c.starts.of(l.node.ID()), l.node.ID(), l.Now.Removed
	if now > l.Now.Checkpoint && !w.Lacks(id) {
		return fmt.Errorf("the log on the disk of node %d starts after entry %d, and its checkpoint has %d", id, now,
			l.Now.Checkpoint)
	}
	if now == *seen || now == 0 || now > w.Committed.Last() || w.Astray(id) {
		*seen = now
		return nil
	}
	*seen = now
	_, log := l.node.Durable()
	if err := samePlace(w, log.Start); err != nil {
		return fmt.Errorf("the log on the disk of node %d starts after entry %d: %w", id, now, err)
	}
	if err := w.sameMembers(log.Start, w.positionAt(min(l.Now.Checkpoint, w.Committed.Last()))); err != nil {
		return fmt.Errorf("the log on the disk of node %d starts after entry %d: %w", id, now, err)
	}
	return nil
}

// sameMembers returns an error unless the start of a log has the seats and the configuration that the committed log
// has there, or later ones up to a position that is known.
func (w *Watch) sameMembers(start, known raft.LogStart) error {
	want, named := w.positionAt(start.Index), start.Seats
	if !slices.Equal(named, want.Seats) {
		for _, seat := range want.Seats {
			if !slices.Contains(named, seat) && slices.Contains(known.Seats, seat) {
				return fmt.Errorf("it has the seats %v; the committed log assigned %v", named, want.Seats)
			}
		}
		for _, seat := range named {
			if !slices.Contains(known.Seats, seat) && !slices.Contains(want.Seats, seat) {
				return fmt.Errorf("it has the seats %v; the committed log assigned %v, and later %v", named, want.Seats,
					known.Seats)
			}
		}
	}
	at := start.Configuration.Index
	if at < want.Configuration.Index || at > known.Configuration.Index {
		return fmt.Errorf("it has the configuration of entry %d, and the committed log that of %d there, and of %d later",
			at, want.Configuration.Index, known.Configuration.Index)
	}
	return sameConfiguration(start.Configuration, w.positionAt(max(1, at)).Configuration)
}
