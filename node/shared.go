package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/watchdog"
)

// shared is what the parts of a node have in common: its options, what it was assigned, what its loop publishes, and
// the way to the loop. Any goroutine may use it.
type shared struct {
	cfg     Options
	sched   scheduler.Scheduler // of cfg
	stopped chan struct{}       // closed when the node has stopped
	base    context.Context     // bounds what the node asks of its peers
	inbox   *inbox
	metrics *metrics.Metrics
	// watchdog bounds the saves, and has the duration of the one in progress.
	watchdog *watchdog.Watchdog

	assigned   atomic.Pointer[identity.Assignment] // with the founding members; a repeated bootstrap gives the same
	who        atomic.Pointer[identity.Identity]
	memberList atomic.Pointer[[]identity.Member]
	memberNews atomic.Pointer[raft.Membership]  // nil until the log is loaded; see membership
	seating    atomic.Pointer[identity.Seating] // nil: the cluster is not known to be founded

	// differs is the index of the check entry that showed that this node's state is not that of the others, or that up to
	// which the state is missing; 0: it is the same, as far as is known. While it is set, nothing is served from the
	// state, saved or sent of it.
	differs atomic.Uint64

	view   atomic.Pointer[view]
	status atomic.Pointer[publishedStatus]
}

// view is what requests need of the loop's state. A new one is published when it changes, and the old one's channel is
// closed then.
type view struct {
	lifeCycle api.LifeCycle
	leader    raft.NodeID // 0: none known
	role      raft.Role
	term      raft.Term
	seated    bool // this node's disk counts
	changed   chan struct{}
}

// self returns who this node is: ID 0 until it is given an identity, which never changes afterwards.
func (s *shared) self() identity.Identity { return *s.who.Load() }

// members returns the members as they are now. They may be others at the next call, so no caller keeps them. The list
// itself never changes.
func (s *shared) members() []identity.Member { return *s.memberList.Load() }

// assign publishes an identity and the members that come with it. The members come first, so that no goroutine sees the
// identity without them.
func (s *shared) assign(a *identity.Assignment) {
	s.assigned.Store(a)
	s.memberList.Store(&a.Members)
	s.who.Store(&a.Identity)
}

// currentView returns the published view. While this node seems to lead and a save of it hangs, no leader is known in
// it: the others have elected another one.
func (s *shared) currentView() *view {
	v := s.view.Load()
	if !s.hangs(v.leader) {
		return v
	}
	hung := *v
	hung.leader, hung.role = 0, raft.Follower
	return &hung
}

// hangs reports whether leader is this node, and a save of it has lasted for longer than its followers wait for a sign
// of it. Until the save ends, the loop can neither send one nor learn that it does not lead.
func (s *shared) hangs(leader raft.NodeID) bool {
	return leader != 0 && leader == s.self().ID && len(s.members()) > 1 && s.watchdog.Saving() >= s.cfg.longestWait()
}

// ViewTerm returns the term of the published view, in which this node asks its leader on behalf of readers.
func (s *shared) ViewTerm() raft.Term { return s.view.Load().term }

// await waits for done, for at most limit, while the caller and the node are there.
func (s *shared) await(ctx context.Context, limit time.Duration, done <-chan struct{}) waitEnd {
	return s.awaitUnless(ctx, limit, done, nil)
}

// awaitUnless is await that ends also when superseded is closed.
func (s *shared) awaitUnless(ctx context.Context, limit time.Duration, done, superseded <-chan struct{}) waitEnd {
	return waitEnd(s.sched.Wait(limit, scheduler.Signals{done, superseded, ctx.Done(), s.stopped}))
}

// awaitChange waits until another view than the given one is published. It gives up at the deadline, and when the
// caller or the node goes away.
func (s *shared) awaitChange(ctx context.Context, seen *view, deadline time.Time) bool {
	left := deadline.Sub(s.sched.Now())
	if left <= 0 {
		return false
	}
	// The view may be right and the leader out of reach for a moment only: ask again, even if nothing changes.
	limit := min(left, s.cfg.HeartbeatInterval/2)
	end := s.await(ctx, limit, seen.changed)
	return end == waitDone || end == waitLimit
}

// whyNoLeader returns ErrNoLeader, or ErrNotReady with the reason if this node takes no part.
func (s *shared) whyNoLeader(view *view) error {
	if view.lifeCycle == api.StateMember {
		return ErrNoLeader
	}
	status := s.status.Load()
	if why := observation.Waits(&status.Status); why != "" {
		return fmt.Errorf("%w: %s", ErrNotReady, why)
	}
	return ErrNotReady
}
