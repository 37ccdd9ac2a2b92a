package forward

import (
	"context"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Read is one caller, or a whole crowd of them, that waits for a read index.
type Read struct {
	From raft.NodeID // the follower that asks for a crowd of its own; 0: callers of this node
	Term raft.Term   // its term when it asked

	done  chan struct{}
	point raft.ReadPoint
	err   error
}

// NewRead returns a Read of a follower in its term, or of this node's own callers if from is 0.
func NewRead(from raft.NodeID, term raft.Term) *Read {
	return &Read{From: from, Term: term, done: make(chan struct{})}
}

// Finish ends the wait of the callers, with the read index or with an error. It is called once.
func (r *Read) Finish(point raft.ReadPoint, err error) {
	r.point, r.err = point, err
	close(r.done)
}

// Done is closed when Result may be called.
func (r *Read) Done() <-chan struct{} { return r.done }

// Result returns the read index.
func (r *Read) Result() (raft.ReadPoint, error) { return r.point, r.err }

// Reads lets all linearizable reads that wait on a node share one question to the leader: those that come while one is
// in flight share the next, never the one that left before them (trap T39).
type Reads struct {
	ask   func(ctx context.Context, leader raft.NodeID) (raft.ReadPoint, error)
	sched scheduler.Scheduler
	limit time.Duration
	base  context.Context

	mu    sync.Mutex
	lanes map[raft.NodeID]*readLane
}

// readLane is the way to one leader, so that no read waits for a new one behind an old one that hangs.
type readLane struct {
	next    *Read
	running bool
}

// NewReads returns Reads that ask a leader with ask, which may take as long as limit and ends with base.
func NewReads(base context.Context, sched scheduler.Scheduler, limit time.Duration,
	ask func(ctx context.Context, leader raft.NodeID) (raft.ReadPoint, error),
) *Reads {
	return &Reads{ask: ask, sched: sched, limit: limit, base: base, lanes: map[raft.NodeID]*readLane{}}
}

// Join returns the next question to a leader, for a caller that waits for it.
func (r *Reads) Join(leader raft.NodeID) *Read {
	r.mu.Lock()
	defer r.mu.Unlock()
	lane := r.lanes[leader]
	if lane == nil {
		lane = &readLane{}
		r.lanes[leader] = lane // there are no more of them than members
	}
	if lane.next == nil {
		lane.next = NewRead(0, 0)
	}
	if !lane.running {
		lane.running = true
		r.sched.Go(func() { r.run(leader, lane) })
	}
	return lane.next
}

func (r *Reads) run(leader raft.NodeID, lane *readLane) {
	for {
		// Let the callers join that are about to: on one processor the question would otherwise leave with the first few.
		r.sched.Yield()
		r.mu.Lock()
		crowd := lane.next
		lane.next = nil
		if crowd == nil {
			lane.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := r.sched.WithTimeout(r.base, r.limit)
		point, err := r.ask(ctx, leader)
		cancel()
		crowd.Finish(point, err)
	}
}
