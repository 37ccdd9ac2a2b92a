package node

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// checkpointer writes checkpoints of the state machine behind it, in a goroutine of its own. No write waits for it: a
// slow checkpoint only delays the removal of log entries.
type checkpointer struct {
	*shared
	applier *applier
	free    func() freeSpace // of the disk
	saved   atomic.Uint64    // applied index of the last durable checkpoint
	// unknown: a checkpoint or the installation of a snapshot failed. It is unknown what state.db has, so nothing may be
	// written there before the next start (trap T53).
	unknown atomic.Bool

	// damaged: the checkpoint on the disk is damaged, and the state in memory is right. The next one is of everything.
	damaged atomic.Bool
	// findings is how often it was found damaged.
	findings atomic.Uint64
	// gate has a value while no checkpoint is written and no snapshot is installed (trap T35).
	gate chan struct{}
	// The applier's mu guards the rest: a backup, a snapshot or a scrub also has checkpoints written.
	ended time.Time // when the last checkpoint ended
	took  time.Duration
}

func newCheckpointer(s *shared, a *applier, free func() freeSpace) *checkpointer {
	c := &checkpointer{shared: s, applier: a, free: free, gate: make(chan struct{}, 1)}
	c.gate <- struct{}{}
	return c
}

// run writes checkpoints when they are due until the applier has ended, and then a last one.
func (c *checkpointer) run(applierEnded <-chan struct{}) {
	putOff := time.Duration(0) // the last one found no room, and is tried again after this
	for {
		wait, changed := c.cfg.Checkpoints.Wait(c.sched.Now(), c.changes()), c.applier.changed
		if putOff > 0 {
			wait, changed = putOff, nil
		}
		switch c.sched.Wait(wait, scheduler.Signals{applierEnded, changed}) {
		case 0:
			_ = c.save() // if it fails, the next start applies more of the log again
			return
		case 1:
			continue // the changes are others now
		}
		err := c.save()
		switch {
		case err == nil:
			putOff = 0
		case errors.Is(err, snapshot.ErrNoRoom):
			putOff = min(max(2*putOff, firstPutOff), longestPutOff)
			c.cfg.Logger.Warn("a checkpoint is put off", "node", c.self().ID, "for", putOff, "error", err)
		default:
			c.inbox.order(func(l *loop) { l.fail(err) })
			return
		}
	}
}

// How long a checkpoint is put off that finds no room on the disk: first, and at most.
const (
	firstPutOff   = time.Second
	longestPutOff = 30 * time.Second
)

// changes returns what a checkpoint would write.
func (c *checkpointer) changes() compaction.Changes {
	c.applier.mu.RLock()
	defer c.applier.mu.RUnlock()
	changes := c.applier.toSave.changes
	changes.Pressed = c.applier.pressed.Load()
	if c.differs.Load() != 0 {
		changes = compaction.Changes{} // nothing is written before another state is in place
	}
	changes.Ended, changes.Took = c.ended, c.took
	return changes
}

// save writes a checkpoint of what is applied now. The error ends the node, because it is unknown what is on the disk
// (T53), unless it wraps snapshot.ErrNoRoom.
func (c *checkpointer) save() error {
	if !c.enter() {
		return nil
	}
	defer c.leave()
	if c.unknown.Load() || c.differs.Load() != 0 {
		return nil
	}
	err := c.write()
	c.unknown.Store(err != nil && !errors.Is(err, snapshot.ErrNoRoom))
	return err
}

// write is save for a caller that has entered. If the checkpoint on the disk is found damaged, one of everything takes
// its place, also if a scrub has found the same damage meanwhile.
func (c *checkpointer) write() error {
	err := c.writeOnce()
	if errors.Is(err, snapshot.ErrDamagedState) {
		if !c.damaged.Load() {
			c.found(err)
		}
		err = c.writeOnce()
	}
	return err
}

func (c *checkpointer) writeOnce() error {
	whole := c.damaged.Load()
	if applied, saved := c.applier.index.Load(), c.saved.Load(); applied < saved || applied == saved && !whole {
		return nil // the state of an installed snapshot is not in the applier yet (trap T35), or nothing changed
	}
	began := c.sched.Now()
	checkpoint, err := c.take(whole)
	if err != nil {
		return err
	}
	if err := c.cfg.Storage.SaveState(checkpoint); err != nil {
		c.notSaved()
		return fmt.Errorf("node: cannot write a checkpoint: %w", err)
	}
	applied := checkpoint.Delta.Meta.Applied
	ended := c.sched.Now()
	took := ended.Sub(began)
	c.applier.mu.Lock()
	c.applier.store.Checkpointed(applied)
	c.applier.toSave.written(true)
	c.applier.noteState()
	c.ended, c.took = ended, took
	c.applier.mu.Unlock()
	c.saved.Store(applied)
	if whole {
		c.replaced((*observation.Recorder).CheckpointRewritten)
	}
	c.metrics.Checkpointed(took)
	return nil
}

// take returns what changed since the last checkpoint, or everything, and counts the changes as saved.
func (c *checkpointer) take(whole bool) (snapshot.Checkpoint, error) {
	facts, err := c.assigned.Load().ClusterFacts(c.seating.Load())
	if err != nil {
		return snapshot.Checkpoint{}, err
	}
	since := c.saved.Load()
	if whole {
		since = 0
	}
	delta := kv.NewDelta(since)
	for {
		if position, complete := c.extend(delta); complete {
			return snapshot.Checkpoint{
				Delta: delta, Seats: position.Seats, Facts: facts, Configuration: position.Configuration,
			}, nil
		}
		c.sched.Yield()
	}
}

// extend adds changes to a delta. When it is complete, extend returns the seats and the configuration that belong to
// it.
func (c *checkpointer) extend(delta *kv.Delta) (position raft.LogStart, complete bool) {
	a := c.applier
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.store.Extend(delta, c.cfg.Checkpoints.ChunkSize()) {
		return raft.LogStart{}, false
	}
	a.toSave.take(a.store.Volume(), c.free())
	a.noteState()
	return a.position, true
}

// notSaved keeps for another checkpoint what one should have written, and has that one planned.
func (c *checkpointer) notSaved() {
	a := c.applier
	a.mu.Lock()
	defer a.mu.Unlock()
	a.toSave.written(false)
	a.noteState()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// enter waits until no checkpoint is written and no snapshot is installed, and keeps others out. It returns false if
// the node has stopped.
func (c *checkpointer) enter() bool {
	return c.sched.Wait(scheduler.Forever, scheduler.Signals{c.gate, c.stopped}) == 0
}

func (c *checkpointer) leave() { c.gate <- struct{}{} }

// restored makes the state of an installed snapshot the last checkpoint. The caller has entered.
func (c *checkpointer) restored(store *kv.Store) {
	c.saved.Store(store.Applied())
	c.replaced((*observation.Recorder).CheckpointReplaced)
}

// position returns the index up to which the checkpoint on the disk includes the log.
func (c *checkpointer) position() raft.Index { return raft.Index(c.saved.Load()) }
