package node

import (
	"context"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// leases is the lease of this node as the loop published it; nil or zero: it has none.
type leases struct{ lease atomic.Pointer[raft.Lease] }

// publishLease publishes the lease. It is done before anything leaves that follows from a commit, so that the index of
// the lease covers what any caller can have seen, and before a vote leaves, so that the lease is void by then.
func (l *loop) publishLease() {
	now := l.core.Lease()
	if old := l.node.lease.Load(); old == nil || *old != now {
		l.node.lease.Store(&now)
	}
}

// LeaseRead is a read that this node's state is ready for.
type LeaseRead struct {
	// Consistency is api.Lease, or api.Linearizable if there was no lease and a round confirmed the read.
	Consistency api.Consistency
	// Holds reports whether what was read since the read began is linearizable. If not, the lease has ended, and the
	// caller needs a ReadBarrier and has to read again.
	Holds func() bool
}

// Leased reports whether the lease of the leader confirmed the read.
func (l LeaseRead) Leased() bool { return l.Consistency == api.Lease }

func confirmed() bool { return true }

// BeginLeaseRead makes this node's state ready for a read under the leader's lease: on the leader without any message,
// elsewhere with one question to it. If there is no lease, it does what ReadBarrier does. The read is linearizable if
// Holds returns true after the state was read.
func (r *reader) BeginLeaseRead(ctx context.Context) (LeaseRead, error) {
	if err := r.Sound(); err != nil {
		return LeaseRead{}, err
	}
	start := r.sched.Now()
	if lease := r.lease.Load(); lease != nil && lease.End > 0 {
		r.sched.Preempt() // the lease may end here
		if err := r.AwaitApplied(ctx, lease.Index); err != nil {
			return LeaseRead{}, err
		}
		r.metrics.Read(r.sched.Now().Sub(start))
		return LeaseRead{api.Lease, func() bool { return r.holdsLease(lease.Term) }}, nil
	}
	if view := r.view.Load(); view.leader != 0 && view.leader != r.self().ID && view.lifeCycle == api.StateMember {
		point, err := r.awaitRead(ctx, r.leaseReads.Join(view.leader), view.changed)
		if err == nil {
			err = r.AwaitApplied(ctx, point.Index)
		}
		if err == nil {
			r.metrics.Read(r.sched.Now().Sub(start))
			return LeaseRead{consistencyOf(point), confirmed}, nil
		}
	}
	return LeaseRead{api.Linearizable, confirmed}, r.ReadBarrier(ctx)
}

func consistencyOf(point raft.ReadPoint) api.Consistency {
	if point.Leased {
		return api.Lease
	}
	return api.Linearizable
}

// holdsLease reports whether this node has still its lease in a term. This is the one place where the clock is compared
// with the lease for a read of this node's own state: after the read, because a process may be stopped anywhere before
// (trap T42).
func (r *reader) holdsLease(term raft.Term) bool {
	lease := r.lease.Load()
	return lease.Term == term && r.clock() < lease.End
}

// LeaseTerm returns the term in which this node has a lease now; 0 if it has none.
func (r *reader) LeaseTerm() raft.Term {
	if lease := r.lease.Load(); lease != nil && r.clock() < lease.End {
		return lease.Term
	}
	return 0
}

// underLease returns the index that covers everything acknowledged until now, if this node leads and has a lease. The
// clock is read after the lease.
func (r *reader) underLease() (raft.ReadPoint, bool) {
	lease := r.lease.Load()
	if lease == nil || lease.End == 0 {
		return raft.ReadPoint{}, false
	}
	r.sched.Preempt() // the lease may end here
	return raft.ReadPoint{Index: lease.Index, Leased: true}, r.clock() < lease.End
}
