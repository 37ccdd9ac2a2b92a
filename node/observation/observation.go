package observation

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/plaintext"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// How the members are asked for their status: at most this often while there are callers, and with this timeout.
const (
	observeEvery   = 500 * time.Millisecond
	observeTimeout = 300 * time.Millisecond
)

// Config is what an Observation needs of its node. All fields but APIAddress and APIHosts are required.
type Config struct {
	// Self returns the node's identity, with ID 0 until it has one.
	Self func() identity.Identity
	// Members returns the members as they are now. The list must not change afterwards.
	Members func() []identity.Member
	// Membership returns the configuration in force, with the same members.
	Membership func() *raft.Membership
	// Status returns the node's own status.
	Status func() api.Status
	// Term returns the node's current term.
	Term func() raft.Term
	// Ask asks another member for its status and its last events.
	Ask func(ctx context.Context, peer raft.NodeID) (api.Status, []api.Event, error)
	// APIAddress is the URL of the node's API.
	APIAddress string
	// APIHosts are hosts on which a member's API may be, as it reports it, beside the host of its own peer address and
	// that of APIAddress.
	APIHosts []string
	Logger   *slog.Logger
	// Now is the wall clock, for the time stamps of events.
	Now func() time.Time
	// Scheduler has the clock for durations, and starts the goroutines that ask the members.
	Scheduler scheduler.Scheduler
}

// Observation collects the events of this node and of the other members, and how each member sees itself. The members
// are asked once for any number of callers. Its methods may be called from any goroutine.
type Observation struct {
	cfg    Config
	base   context.Context // of the questions to members
	events *eventLog
	alarms alarms
	// ledSince is when this node began to lead; nil: it does not lead.
	ledSince atomic.Pointer[time.Time]

	mu       sync.Mutex
	gathered time.Time
	running  chan struct{} // closed when the gathering in progress ends; nil: none
	last     map[raft.NodeID]reportedStatus
	warned   map[raft.NodeID]bool // of an API address that is not accepted
}

// reportedStatus is the last status of a member that was received.
type reportedStatus struct {
	status api.Status
	at     time.Time // zero: never
	err    string    // why the last attempt failed; empty if it did not
}

// New returns the Observation of a node. Questions to members end with base.
func New(base context.Context, cfg Config) *Observation {
	return &Observation{
		cfg: cfg, base: base, events: newEventLog(cfg.Now),
		last: map[raft.NodeID]reportedStatus{}, warned: map[raft.NodeID]bool{},
	}
}

// Record adds an event of this node. It sets the number, the node and the time.
func (o *Observation) Record(e api.Event) { o.events.add(o.cfg.Self().ID, e) }

// Events returns what happened in the cluster as far as this node has it, after a cursor (0: all that is kept), and a
// channel that is closed when there is more.
func (o *Observation) Events(since uint64) ([]api.ObservedEvent, <-chan struct{}) {
	return o.events.since(since)
}

// Own returns the last events of this node, for a peer that asks.
func (o *Observation) Own() []api.Event { return o.events.lastOwn() }

// LedSince returns when this node began to lead, by its clock for durations, and false if it does not lead.
func (o *Observation) LedSince() (time.Time, bool) {
	since := o.ledSince.Load()
	if since == nil {
		return time.Time{}, false
	}
	return *since, true
}

// Observe returns the whole cluster as this node sees it, at most 500 ms old. It needs no leader and no quorum, and
// always succeeds: a member that does not answer is shown as it was last seen, with its age and the error.
func (o *Observation) Observe(ctx context.Context) api.ClusterStatus {
	sched := o.cfg.Scheduler
	o.mu.Lock()
	if o.running == nil && sched.Now().Sub(o.gathered) >= observeEvery {
		done := make(chan struct{})
		o.running = done
		sched.Go(func() { o.gather(done) })
	}
	running := o.running
	o.mu.Unlock()
	if running != nil {
		sched.Wait(scheduler.Forever, scheduler.Signals{running, ctx.Done()})
	}
	return o.picture()
}

// gather asks all other members at once, with a deadline of its own, because many callers wait for the one result.
func (o *Observation) gather(done chan struct{}) {
	sched := o.cfg.Scheduler
	ctx, cancel := sched.WithTimeout(o.base, observeTimeout)
	defer cancel()
	var questions []func()
	self := o.cfg.Self().ID
	for _, m := range o.cfg.Members() {
		if m.ID != self {
			questions = append(questions, func() { o.ask(ctx, m) })
		}
	}
	scheduler.Together(sched, questions)
	o.mu.Lock()
	o.forgetOthers()
	o.gathered = sched.Now()
	o.running = nil
	o.mu.Unlock()
	close(done)
}

// forgetOthers drops what was received from nodes that are no members any more. The caller holds the lock.
func (o *Observation) forgetOthers() {
	members := o.cfg.Members()
	isOther := func(id raft.NodeID) bool { return identity.AddressOf(members, id) == "" }
	maps.DeleteFunc(o.last, func(id raft.NodeID, _ reportedStatus) bool { return isOther(id) })
	maps.DeleteFunc(o.warned, func(id raft.NodeID, _ bool) bool { return isOther(id) })
}

func (o *Observation) ask(ctx context.Context, m identity.Member) {
	status, events, err := o.cfg.Ask(ctx, m.ID)
	if err == nil {
		status, err = o.accept(m, status)
	}
	if err == nil {
		o.events.learn(m.ID, events)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.last[m.ID]
	seen := was
	if err != nil {
		seen.err = brief(err)
	} else {
		seen = reportedStatus{status: status, at: o.cfg.Scheduler.Now()}
	}
	o.last[m.ID] = seen
	// A member that was never seen has not failed: it is starting, as this node is.
	if (was.err == "") != (err == nil) && !was.at.IsZero() {
		o.Record(api.Event{
			Kind: api.EventPeer, Term: uint64(o.cfg.Term()), To: uint64(m.ID), Granted: err == nil, Reason: seen.err,
		})
	}
}

// brief returns why a member did not answer, in a few words: its address is shown beside it.
func brief(err error) string {
	var operation *net.OpError
	var errno syscall.Errno
	var mismatch *identity.ListMismatchError
	switch {
	case errors.As(err, &mismatch):
		return mismatch.Text
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &operation) && operation.Timeout():
		return "no answer in time"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return plaintext.Of(err.Error())
}

// picture puts together what was received, without waiting.
func (o *Observation) picture() api.ClusterStatus {
	now, who, membership := o.cfg.Scheduler.Now(), o.cfg.Self(), o.cfg.Membership()
	c := api.ClusterStatus{
		ClusterID: who.ClusterID, Observer: uint64(who.ID), RecentEvents: o.events.shown(), Nodes: []api.NodeStatus{},
	}
	own := o.cfg.Status()
	o.mu.Lock()
	defer o.mu.Unlock()
	c.Config = o.show(membership)
	for _, m := range identity.MembersOf(membership.Configuration.Members) {
		if m.ID == who.ID {
			c.Nodes = append(c.Nodes, api.NodeStatus{Status: own, Healthy: own.LifeCycle == api.StateMember})
			continue
		}
		seen := o.last[m.ID]
		c.Nodes = append(c.Nodes, seen.show(m, now))
	}
	if own.LifeCycle == api.StateRemoved && !membership.Configuration.Contains(who.ID) {
		c.Nodes = append(c.Nodes, api.NodeStatus{Status: own})
	}
	c.LeaderID, c.Term = leaderOf(c.Nodes)
	c.Health = judgeHealth(c)
	return c
}

func (s reportedStatus) show(m identity.Member, now time.Time) api.NodeStatus {
	shown := api.NodeStatus{Status: s.status, AgeMs: -1, Error: s.err}
	shown.ID, shown.Address = uint64(m.ID), m.Address
	if !s.at.IsZero() {
		shown.AgeMs = now.Sub(s.at).Milliseconds()
		shown.Healthy = s.err == "" && s.status.LifeCycle == api.StateMember
	}
	if shown.SeenMembers == nil {
		shown.SeenMembers = []uint64{}
	}
	return shown
}

// leaderOf returns the member that reports to lead, and the highest term that any reachable member reports.
func leaderOf(nodes []api.NodeStatus) (leader, term uint64) {
	for _, s := range nodes {
		if !s.Healthy {
			continue
		}
		term = max(term, s.CurrentTerm)
	}
	newest := uint64(0)
	for _, s := range nodes {
		if s.Healthy && s.State == raft.Leader.String() && s.CurrentTerm >= newest {
			leader, newest = s.ID, s.CurrentTerm
		}
	}
	return leader, term
}

// Membership returns the configuration as it is now, with the API addresses of the members as far as they reported
// them.
func (o *Observation) Membership() api.Membership { return o.Show(o.cfg.Membership()) }

// Show is Membership for another configuration than the one in force.
func (o *Observation) Show(m *raft.Membership) api.Membership {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.show(m)
}

// show returns a configuration with the API addresses that the members reported. The caller holds the lock.
func (o *Observation) show(m *raft.Membership) api.Membership {
	self := o.cfg.Self().ID
	config := configOf(&m.Configuration, m.Committed)
	for i := range config.Members {
		member := &config.Members[i]
		if id := raft.NodeID(member.ID); id == self {
			member.APIAddress = cmp.Or(o.cfg.APIAddress, member.APIAddress)
		} else {
			member.APIAddress = cmp.Or(member.APIAddress, o.last[id].status.APIAddress)
		}
	}
	return config
}

// configOf returns a configuration as clients see it; committed is the index of the last one that is committed.
func configOf(cfg *raft.Configuration, committed raft.Index) api.Membership {
	config := api.Membership{
		Index: uint64(cfg.Index), CommittedIndex: uint64(committed), Members: make([]api.ConfigMember, len(cfg.Members)),
	}
	for i, m := range cfg.Members {
		config.Members[i] = api.ConfigMember{
			ID: uint64(m.ID), Address: m.Address, APIAddress: m.APIAddress, Role: m.Role.String(),
			AutoPromote: m.AutoPromote,
		}
	}
	for _, id := range cfg.Outgoing {
		config.Outgoing = append(config.Outgoing, uint64(id))
	}
	return config
}
