package node

import (
	"cmp"
	"context"
	"errors"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// reader serves the reads of this node's callers from its own state, as new as the node that leads confirms.
type reader struct {
	*shared
	freshness
	leases
	reads      *forward.Reads
	leaseReads *forward.Reads // that the leader may answer under its lease
	applier    *applier
}

func newReader(s *shared) *reader {
	r := &reader{shared: s, applier: newApplier(s.sched, s.metrics, &s.cfg)}
	r.freshness.now, r.freshness.slept, r.freshness.started = s.sched.Now, s.sched.Slept, s.sched.Now()
	r.applier.differs = &s.differs
	r.reads = r.newReads(false)
	r.leaseReads = r.newReads(true)
	return r
}

// newReads returns what shares questions to the leader among the reads that wait. If lease is true, the leader's lease
// may confirm them.
func (r *reader) newReads(lease bool) *forward.Reads {
	ask := func(ctx context.Context, leader raft.NodeID) (raft.ReadPoint, error) {
		return r.askLeader(ctx, leader, lease)
	}
	return forward.NewReads(r.base, r.sched, r.cfg.LeaderPatience, ask)
}

// ReadBarrier returns nil once this node's state is as new as everything that was acknowledged anywhere before
// the call: local reads after it are linearizable (thesis 6.4). It fails with ErrNoLeader, ErrNotReady or
// the context's end; nothing was changed by it, so it may always be repeated.
func (r *reader) ReadBarrier(ctx context.Context) error {
	start := r.sched.Now()
	deadline := start.Add(r.cfg.LeaderPatience)
	for {
		if err := r.Sound(); err != nil {
			return err
		}
		view := r.currentView()
		point, err := r.readIndex(ctx, view)
		if err == nil {
			err = r.AwaitApplied(ctx, point.Index)
		}
		if err == nil {
			r.metrics.Read(r.sched.Now().Sub(start))
			return nil
		}
		if errors.Is(err, ErrNotReady) || !r.awaitChange(ctx, view, deadline) {
			return readError(ctx, err)
		}
	}
}

// readError returns what the failure of a read means to its caller: a read has no unknown outcome.
func readError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrNotReady) || errors.Is(err, ErrOverloaded) {
		return err
	}
	return ErrNoLeader
}

func (r *reader) readIndex(ctx context.Context, view *view) (raft.ReadPoint, error) {
	if view.leader == 0 || view.lifeCycle != api.StateMember {
		return raft.ReadPoint{}, r.whyNoLeader(view)
	}
	// The old leader may hang. A read changes nothing, so it is asked of the new one as soon as there is one.
	return r.awaitRead(ctx, r.reads.Join(view.leader), view.changed)
}

// HandleReadIndex asks the core for a confirmed read index, for a follower that asks in a term, or for this node's
// own callers if from is 0. If lease is true, the lease of this node may confirm it. A node that does not lead refuses.
// For the transport.
func (r *reader) HandleReadIndex(ctx context.Context, from raft.NodeID, term raft.Term, lease bool) (
	raft.ReadPoint, error,
) {
	if r.hangs(r.view.Load().leader) {
		return raft.ReadPoint{}, ErrNotLeader
	}
	if lease {
		if point, ok := r.underLease(); ok {
			return point, nil
		}
	}
	call := forward.NewRead(from, term)
	if !r.inbox.put(func(in *intake) { in.reads = append(in.reads, call) }) {
		return raft.ReadPoint{}, ErrNotReady
	}
	return r.awaitRead(ctx, call, nil)
}

// awaitRead waits for the read index, or until superseded is closed.
func (r *reader) awaitRead(ctx context.Context, call *forward.Read, superseded <-chan struct{}) (
	raft.ReadPoint, error,
) {
	switch r.awaitUnless(ctx, r.cfg.LeaderPatience, call.Done(), superseded) {
	case waitDone:
		return call.Result()
	case waitSuperseded:
		return raft.ReadPoint{}, ErrNotLeader
	case waitCanceled:
		return raft.ReadPoint{}, ctx.Err()
	case waitStopped:
		return raft.ReadPoint{}, ErrNotReady
	}
	return raft.ReadPoint{}, ErrNoLeader
}

// askLeader asks the leader, be it this node or a peer, for a read index. If lease is true, its lease may confirm it.
func (r *reader) askLeader(ctx context.Context, leader raft.NodeID, lease bool) (raft.ReadPoint, error) {
	if leader == r.self().ID {
		return r.HandleReadIndex(ctx, 0, 0, lease)
	}
	view := r.currentView() // after everyone in the crowd has come
	if view.leader != leader {
		return raft.ReadPoint{}, ErrNotLeader
	}
	r.sched.Preempt()
	term := view.term
	if !view.seated {
		term = 0 // no term: the question of a disk without a seat is no confirmation, and needs a round of others
	}
	point, err := r.cfg.Transport.ReadIndex(ctx, leader, term, lease)
	return point, ofPeer(err)
}

// AwaitApplied returns nil once the entry at index is applied here (trap T41).
func (r *reader) AwaitApplied(ctx context.Context, index raft.Index) error {
	if r.Applied() >= index {
		return r.Sound()
	}
	r.sched.Preempt()
	w := r.applier.waiters.add(index)
	defer r.applier.waiters.remove(w)
	r.applier.waiters.wake(r.Applied()) // it may have been applied meanwhile
	if err := r.await(ctx, r.cfg.RequestLimit, w.done).err(ctx); err != nil {
		return err
	}
	return r.Sound()
}

// Get reads a key from this node's own state, as new as it is. The caller has checked Sound.
func (r *reader) Get(key string) (kv.Record, bool) {
	r.applier.mu.RLock()
	defer r.applier.mu.RUnlock()
	return r.applier.store.Get(key)
}

// GetAt reads a key as it was at a revision; 0: as Get does. It fails with a *kv.CompactedError or *kv.FutureError.
func (r *reader) GetAt(key string, revision uint64) (kv.Record, bool, error) {
	r.applier.mu.RLock()
	defer r.applier.mu.RUnlock()
	if err := r.Sound(); err != nil {
		return kv.Record{}, false, err
	}
	return r.applier.store.GetAt(key, revision)
}

// Scan reads a page of a range. Its bounds also bound how long the state machine is locked, so that a caller reads a
// large range in many pages of one revision.
func (r *reader) Scan(q kv.Query) (kv.Page, error) {
	r.applier.mu.RLock()
	defer r.applier.mu.RUnlock()
	if err := r.Sound(); err != nil {
		return kv.Page{}, err
	}
	return r.applier.store.Scan(q)
}

// Counted is a part of the count of a range.
type Counted struct {
	Keys     int
	Revision uint64 // at which they were counted
	Next     string // the key to go on from; empty: the end
}

// Count counts the keys in [from, to) at a revision, 0: now. It visits a bounded number of keys, as Scan does.
func (r *reader) Count(from, to string, revision uint64, maxVisits int) (Counted, error) {
	r.applier.mu.RLock()
	defer r.applier.mu.RUnlock()
	if err := r.Sound(); err != nil {
		return Counted{}, err
	}
	counted := Counted{Revision: cmp.Or(revision, r.applier.store.Applied())}
	var err error
	counted.Keys, counted.Next, err = r.applier.store.Count(from, to, revision, maxVisits)
	return counted, err
}

// History is a part of the history of a key, the newest version first.
type History struct {
	Changes   []kv.Change
	Compacted uint64 // the oldest revision that can be read; 0: all can
	Revision  uint64 // the last applied one
}

// History reads up to limit versions of a key from before a revision, 0: the newest.
func (r *reader) History(key string, before uint64, limit int) History {
	r.applier.mu.RLock()
	defer r.applier.mu.RUnlock()
	store := r.applier.store
	return History{store.History(key, before, limit), store.Compacted(), store.Applied()}
}

// storeSize returns the size of this node's state.
func (r *reader) storeSize() api.Store {
	r.applier.mu.RLock()
	defer r.applier.mu.RUnlock()
	stats := r.applier.store.Stats()
	return api.Store{
		Keys: stats.Keys, LiveBytes: stats.LiveBytes, HistoryVersions: stats.Versions, HistoryBytes: stats.HistoryBytes,
		CompactedRevision: r.applier.store.Compacted(),
	}
}

// Applied is the index of the last entry that is in this node's state.
func (r *reader) Applied() raft.Index { return raft.Index(r.applier.index.Load()) }

// Revision is the same as a number: the store's revision.
func (r *reader) Revision() uint64 { return r.applier.index.Load() }
