package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// receiver takes the chunks of one snapshot at a time.
type receiver struct {
	mu         sync.Mutex
	busy       bool          // a chunk is written
	installing bool          // all chunks are here, and the snapshot is verified and installed
	sink       snapshot.Sink // nil: none
	id         string        // of the snapshot in sink
}

// claim reserves the receiver for a chunk; it returns false if another chunk is in work.
func (r *receiver) claim() (claimed, installing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || r.installing {
		return false, r.installing
	}
	r.busy = true
	return true, false
}

// release ends a claim. If installing is set, the receiver takes no chunks until reset.
func (r *receiver) release(installing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.installing = false, installing
}

// reset makes the receiver forget its snapshot.
func (r *receiver) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.installing, r.sink, r.id = false, nil, ""
}

// HandleSnapshot takes a chunk of the leader's snapshot, and installs the snapshot once it is complete. Chunks are
// idempotent, and the answer has the offset at which the next one must begin (trap T36). For the transport. ErrNotReady
// if the sender is not the leader that this node follows; ErrOverloaded if another chunk is in work.
func (n *Node) HandleSnapshot(_ context.Context, c snapshot.Chunk) (snapshot.Answer, error) {
	if err := c.Check(); err != nil {
		return snapshot.Answer{}, fmt.Errorf("%w: %w", raft.ErrBadMessage, err)
	}
	view := n.view.Load()
	answer := snapshot.Answer{Term: view.term, Offset: c.Size}
	switch {
	case view.lifeCycle != api.StateMember:
		return answer, ErrNotReady
	case c.Term < view.term:
		return answer, nil
	case view.term != c.Term || view.leader != c.From:
		return answer, ErrNotReady
	case n.differs.Load() == 0 && n.Applied() >= c.Start.Index: // trap T32
		answer.Installed = true
		return answer, nil
	}
	claimed, installing := n.receiver.claim()
	if !claimed {
		if installing {
			return answer, nil // the sender asks again until it is installed
		}
		return answer, ErrOverloaded
	}
	complete, err := n.takeChunk(&c)
	if err == nil {
		answer.Offset = n.receiver.sink.Offset()
	}
	n.receiver.release(complete)
	if complete {
		n.sched.Go(func() { n.install(c.From, c.Start) })
	}
	return answer, err
}

// takeChunk writes a chunk if it continues what is there, and reports whether the snapshot is complete.
func (n *Node) takeChunk(c *snapshot.Chunk) (complete bool, err error) {
	r := &n.receiver
	if r.sink == nil || r.id != c.ID {
		if r.sink != nil {
			if err := r.sink.Discard(); err != nil {
				return false, err
			}
		}
		r.sink, r.id = nil, ""
		if r.sink, err = n.cfg.Storage.ReceiveSnapshot(c.Description); err != nil {
			return false, err
		}
		r.id = c.ID
	}
	if c.Offset == r.sink.Offset() && len(c.Data) > 0 {
		if err := r.sink.Write(c.Offset, c.Data); err != nil {
			r.sink, r.id = nil, "" // the next chunk begins with what is left of it on the disk, if anything
			return false, err
		}
	}
	return r.sink.Offset() == c.Size, nil
}

// install verifies the complete snapshot and has the loop install it. No checkpoint is written meanwhile (trap T35).
func (n *Node) install(from raft.NodeID, start raft.LogStart) {
	defer n.receiver.reset()
	sink := n.receiver.sink
	store, position, facts, err := sink.Verify()
	if err == nil {
		err = n.checkSnapshot(start, position, facts)
	}
	if err != nil {
		n.cfg.Logger.Warn("a snapshot was refused", "node", n.self().ID, "from", from, "error", err)
		n.metrics.SnapshotFailed()
		_ = sink.Discard() // the next one begins anew
		return
	}
	if !n.checkpointer.enter() {
		return
	}
	defer n.checkpointer.leave()
	installed := false
	if n.inLoop(n.base, func(l *loop) { installed = l.install(from, start, store, sink) }) == nil && installed {
		_ = n.AwaitApplied(n.base, start.Index) // a checkpoint of the state before would replace the snapshot
	}
}

// install installs a snapshot that was verified: in the core, on the disk, and, behind everything that was committed
// before, in the state machine (traps T31 to T35).
func (l *loop) install(from raft.NodeID, start raft.LogStart, store *kv.Store, sink snapshot.Sink) (installed bool) {
	if l.failure != nil || l.node.checkpointer.unknown.Load() {
		return false
	}
	if err := l.drain(); err != nil { // what was returned as committed comes before the snapshot
		l.fail(err)
		return false
	}
	applied := l.core.HardState().Commit // all of it was handed to the applier
	installed, err := l.core.Restore(from, start)
	if err != nil || !installed {
		if err != nil {
			l.recorder.Refused(from, l.currentStanding().Term, err)
		}
		_ = sink.Discard() // it is not needed
		return false
	}
	if err := l.node.watchdog.Save(sink.Install); err != nil {
		l.node.checkpointer.unknown.Store(true)
		l.fail(fmt.Errorf("node: cannot install a snapshot: %w", err))
		return false
	}
	l.housekeeping.removed = start.Index
	if start.Index > applied {
		l.housekeeping.sizes = compaction.NewSizes(l.cfg.Window, start.Index)
	} else {
		l.housekeeping.sizes.Remove(start.Index)
	}
	l.repaired(start.Index)
	l.recorder.SnapshotInstalled(l.standing.Term, from, start.Index)
	l.pending.passOver(start.Index)
	l.node.checkpointer.restored(store)
	l.node.applier.enqueue(committed{restored: store, replay: applied, position: start})
	return true
}

// checkSnapshot returns an error for a snapshot that is not the one that its sender described, or not of this cluster.
func (n *Node) checkSnapshot(described, position raft.LogStart, facts map[string]string) error {
	switch {
	case position.Index != described.Index || position.Term != described.Term || position.Digest != described.Digest:
		return fmt.Errorf("node: the snapshot is of entry %d of term %d, and was described as of entry %d of term %d",
			position.Index, position.Term, described.Index, described.Term)
	case !position.Configuration.Same(described.Configuration):
		return fmt.Errorf("node: the snapshot has the configuration of entry %d, and was described with that of entry %d",
			position.Configuration.Index, described.Configuration.Index)
	case facts[identity.FactClusterID] != n.self().ClusterID:
		return fmt.Errorf("node: the snapshot is of cluster %q, and this is cluster %q", facts[identity.FactClusterID],
			n.self().ClusterID)
	}
	return nil
}
