package node

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// How the peers are asked for their status: at most this often while anyone looks, and with this patience.
const (
	observeEvery   = 500 * time.Millisecond
	observeTimeout = 300 * time.Millisecond
)

// observer gathers how every member sees itself, one gathering for any number of onlookers.
type observer struct {
	node *Node

	mu       sync.Mutex
	gathered time.Time
	running  chan struct{} // closed when the gathering under way ends; nil: none
	last     map[raft.NodeID]sighting
	warned   map[raft.NodeID]bool // of an API address that is not believed
}

// sighting is the last that was seen of a member.
type sighting struct {
	status api.Status
	at     time.Time // zero: never
	err    string    // why the last attempt failed; empty if it did not
}

func newObserver(n *Node) *observer {
	return &observer{node: n, last: map[raft.NodeID]sighting{}, warned: map[raft.NodeID]bool{}}
}

// peerStatus is what a node tells a peer: its status and its last events.
func (n *Node) peerStatus() PeerStatus { return PeerStatus{n.Status(), n.events.told()} }

// HandleStatus answers a peer that asks for this node's status. For the transport.
func (n *Node) HandleStatus() PeerStatus { return n.peerStatus() }

// Observe gives the whole cluster as this node sees it, at most 500 ms old. It needs no leader and no quorum,
// and always answers: a member that does not is shown as it was last seen, with its age and the error.
func (n *Node) Observe(ctx context.Context) api.ClusterStatus {
	o := n.observer
	o.mu.Lock()
	if o.running == nil && n.sched.Now().Sub(o.gathered) >= observeEvery {
		done := make(chan struct{})
		o.running = done
		n.sched.Go(func() { o.gather(done) })
	}
	running := o.running
	o.mu.Unlock()
	if running != nil {
		n.sched.Wait(scheduler.Forever, scheduler.Signals{running, ctx.Done()})
	}
	return o.picture()
}

// gather asks all peers at once, with a deadline of its own, because many callers wait for the one answer.
func (o *observer) gather(done chan struct{}) {
	sched := o.node.sched
	ctx, cancel := sched.WithTimeout(o.node.readers.base, observeTimeout)
	defer cancel()
	var questions []func()
	who := o.node.self()
	for _, m := range who.Members {
		if m.ID != who.ID {
			questions = append(questions, func() { o.ask(ctx, m) })
		}
	}
	scheduler.Together(sched, questions)
	o.mu.Lock()
	o.gathered = sched.Now()
	o.running = nil
	o.mu.Unlock()
	close(done)
}

func (o *observer) ask(ctx context.Context, m identity.Member) {
	id := m.ID
	told, err := o.node.cfg.Transport.Status(ctx, id)
	var status api.Status
	if err == nil {
		status, err = o.node.believable(m, told.Status)
	}
	if err == nil {
		o.node.events.learn(id, told.Events)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.last[id]
	seen := was
	if err != nil {
		seen.err = brief(err)
	} else {
		seen = sighting{status: status, at: o.node.sched.Now()}
	}
	o.last[id] = seen
	// A peer that was never seen has not gone: it is starting, as this node is.
	if (was.err == "") != (err == nil) && !was.at.IsZero() {
		o.node.events.add(api.Event{
			Kind: api.EventPeer, Term: uint64(o.node.view.Load().term), To: uint64(id), Granted: err == nil, Reason: seen.err,
		})
	}
}

// brief says why a peer did not answer, in a few words: its address stands beside it.
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
	return PlainText(err.Error())
}

// picture puts together what is known, without waiting for anything.
func (o *observer) picture() api.ClusterStatus {
	n := o.node
	now, who := n.sched.Now(), n.self()
	c := api.ClusterStatus{
		ClusterID: who.ClusterID, Observer: uint64(who.ID), Config: n.Config(), RecentEvents: n.events.shown(),
		Nodes: []api.NodeStatus{},
	}
	own := n.Status()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range who.Members {
		if m.ID == who.ID {
			c.Nodes = append(c.Nodes, api.NodeStatus{Status: own, Healthy: own.LifeCycle == api.StateMember})
			continue
		}
		seen := o.last[m.ID]
		c.Nodes = append(c.Nodes, seen.show(m, now))
	}
	c.LeaderID, c.Term = leaderOf(c.Nodes)
	c.Health = judgeHealth(c)
	return c
}

func (s sighting) show(m identity.Member, now time.Time) api.NodeStatus {
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

// leaderOf names the member that says it leads, in the highest term that any reachable member knows.
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

// Config is the membership in force, with the API addresses as far as the members told them.
func (n *Node) Config() api.Membership {
	config, who := api.Membership{Members: []api.ConfigMember{}}, n.self()
	n.observer.mu.Lock()
	defer n.observer.mu.Unlock()
	for _, m := range who.Members {
		url := cmp.Or(m.APIAddress, n.observer.last[m.ID].status.APIAddress)
		if m.ID == who.ID {
			url = cmp.Or(n.cfg.APIAddress, m.APIAddress)
		}
		config.Members = append(config.Members, api.ConfigMember{
			ID: uint64(m.ID), Address: m.Address, APIAddress: url, Role: api.RoleVoter,
		})
	}
	return config
}
