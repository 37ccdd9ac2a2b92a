package node

import (
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// housekeeping is what the loop keeps to bound the history and the log.
type housekeeping struct {
	sizes     compaction.Sizes
	removed   raft.Index // entries up to here are not on the disk, or will be removed with the next saves
	waiting   bool       // some of them may be there
	compacted raft.Index // index of the last compaction that this node proposed
	term      raft.Term  // in which it did
	// sending has the positions of the snapshots that are being sent. The log behind them stays, or the follower would
	// need another snapshot when it has installed this one (trap T36).
	sending map[raft.NodeID]pinned
}

// pinned is a snapshot that is being sent, in a term of this leader.
type pinned struct {
	term  raft.Term
	start raft.Index
}

// unpin forgets the snapshot that was sent to a peer in a term, unless another one is sent in a later term.
func (h *housekeeping) unpin(peer raft.NodeID, term raft.Term) {
	if h.sending[peer].term == term {
		delete(h.sending, peer)
	}
}

// needed returns the lowest index that a follower lacks that answers, or that is sent a snapshot.
func (h *housekeeping) needed(lacks raft.Index) raft.Index {
	for _, p := range h.sending {
		lacks = min(lacks, p.start+1)
	}
	return lacks
}

// compactHistory proposes, on the leader, the compaction that the retention asks for: an entry, so that every node
// removes the same versions at the same index. The next one follows when it is applied.
func (l *loop) compactHistory() {
	revision := l.node.applier.overdue.Load()
	if revision == 0 || !l.core.TakesProposals() {
		return
	}
	h := &l.housekeeping
	if term := l.core.Term(); h.term != term {
		h.term, h.compacted = term, 0
	}
	if l.node.Applied() < h.compacted {
		return
	}
	command := (&kv.Compact{Revision: revision}).AppendJSON(nil)
	if first, _, err := l.core.Propose(l.cfg.Now().UnixMicro(), [][]byte{command}); err == nil {
		h.compacted = first
	}
}

// cutLog has a few entries removed that the checkpoint includes, if there are more than the window keeps. The storage
// removes them with the next saves, and at a later call if there were none in between.
func (l *loop) cutLog() error {
	if l.node.differs.Load() != 0 {
		return nil // a snapshot that is on its way must reach what is removed
	}
	if l.node.checkpointer.damaged.Load() {
		return nil // a restart may need all of it
	}
	h := &l.housekeeping
	to := l.cfg.Window.CutTo(compaction.Log{
		Removed: h.removed, Checkpoint: l.node.checkpointer.position(), Tail: l.core.TailStart(), Last: l.core.LastIndex(),
		Needed:     h.needed(l.core.NeededFrom(l.cfg.ticks(2 * l.cfg.ElectionTimeout))),
		StateBytes: l.node.applier.stateBytes.Load(),
	}, &h.sizes)
	if to == h.removed && !h.waiting {
		return nil
	}
	return l.removeUpTo(to)
}

// removeUpTo removes entries from the disk that the checkpoint includes (trap T50).
func (l *loop) removeUpTo(to raft.Index) error {
	h := &l.housekeeping
	err := l.node.watchdog.Save(func() (err error) {
		h.waiting, err = l.cfg.Storage.Cut(to, l.core.SeatsUpTo(to), l.core.ConfigurationUpTo(to))
		return err
	})
	if err != nil {
		return err
	}
	h.removed = to
	h.sizes.Remove(to)
	l.core.Removed(to)
	return nil
}

// fetch reads entries for followers that are behind what is in memory, apart from the loop.
func (l *loop) fetch(wanted []raft.Fetch) {
	for _, f := range wanted {
		l.sched.Go(func() {
			part, err := l.cfg.Storage.ReadLog(f.From, f.MaxEntries, f.MaxBytes)
			l.node.inbox.order(func(l *loop) { l.fetched(f, part, err) })
		})
	}
}

// fetched hands the core what was read for a follower. A log that cannot be read is damaged (trap T54).
func (l *loop) fetched(f raft.Fetch, part raft.Log, err error) {
	if err != nil && !errors.Is(err, raft.ErrRemoved) {
		l.fail(fmt.Errorf("node: cannot read the log: %w", err))
		return
	}
	l.core.Fetched(f, part, err)
}
