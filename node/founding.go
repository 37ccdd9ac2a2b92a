package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// genesisOrder is one request on its way to the acceptor.
type genesisOrder struct {
	request identity.GenesisRequest
	answer  identity.GenesisAnswer
	err     error
	done    chan struct{} // closed when answer and err are what became of it
}

// maxGenesisOrders bounds the requests that wait for the acceptor.
const maxGenesisOrders = 256

// genesisOrders are the requests that the acceptor has not taken yet.
type genesisOrders struct {
	mu      sync.Mutex
	waiting []*genesisOrder
	closed  bool
	wake    chan struct{}
}

func newGenesisOrders() *genesisOrders { return &genesisOrders{wake: make(chan struct{}, 1)} }

// put reports whether the order waits now: not after close, and not where too many wait.
func (g *genesisOrders) put(order *genesisOrder) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.waiting) >= maxGenesisOrders {
		return false
	}
	g.waiting = append(g.waiting, order)
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return true
}

func (g *genesisOrders) take() []*genesisOrder {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.waiting
	g.waiting = nil
	return taken
}

// close refuses what waits and all that comes later.
func (g *genesisOrders) close() {
	g.mu.Lock()
	g.closed = true
	waiting := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, order := range waiting {
		order.err = ErrNotReady
		close(order.done)
	}
}

// HandleGenesis answers a member that founds the cluster, or asks whether it is founded. For the transport. ErrNotReady
// if this node has no identity or is stopping; raft.ErrBadMessage if no correct member sends that request.
func (n *Node) HandleGenesis(ctx context.Context, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
	if s := n.seating.Load(); s != nil {
		return identity.GenesisAnswer{
			Incarnation: s.Incarnation, Founded: true, Founders: s.Founders, Seats: n.status.Load().seats,
		}, nil
	}
	order := &genesisOrder{request: r, done: make(chan struct{})}
	if n.self().ID == 0 || !n.genesis.put(order) {
		return identity.GenesisAnswer{}, ErrNotReady
	}
	if err := n.await(ctx, n.cfg.LeaderPatience, order.done).err(ctx); err != nil {
		return identity.GenesisAnswer{}, err
	}
	return order.answer, order.err
}

// awaitFounding takes part in the founding of the cluster, and returns when this node may boot: with a founder's seat,
// or with none if the others founded it without this disk. ErrDiskLost if this member's seat belongs to another disk.
func (n *Node) awaitFounding(ctx context.Context) error {
	a, err := n.openAcceptor()
	if err != nil {
		return err
	}
	self := raft.Seat{Member: n.self().ID, Incarnation: a.Incarnation}
	founding := &founding{node: n, self: self, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.sched.Go(func() {
		defer close(founding.done)
		founding.founders, founding.err = founding.run(ctx)
	})
	for {
		switch n.sched.Wait(scheduler.Forever, scheduler.Signals{ctx.Done(), founding.done, n.genesis.wake}) {
		case 0:
			n.sched.Wait(scheduler.Forever, scheduler.Signals{founding.done})
			return nil
		case 1:
			if founding.err != nil || ctx.Err() != nil {
				return founding.err
			}
			have := &identity.Assignment{Identity: n.self(), Members: n.members()}
			return n.saveAssignment(have, &identity.Seating{Incarnation: a.Incarnation, Founders: founding.founders})
		case 2:
			if a, err = n.serveAcceptor(a); err != nil {
				cancel()
				n.sched.Wait(scheduler.Forever, scheduler.Signals{founding.done})
				return err
			}
		}
	}
}

// openAcceptor reads the acceptor from the disk, or makes a new one with an incarnation of its own, durably: what was
// told once must still be so after a crash.
func (n *Node) openAcceptor() (identity.Acceptor, error) {
	facts, err := n.cfg.Storage.Facts()
	if err != nil {
		return identity.Acceptor{}, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	a, changes, err := identity.OpenAcceptor(facts, n.self().ClusterID, n.cfg.Rand)
	if err != nil || changes == nil {
		return a, err
	}
	return a, n.saveFacts(changes)
}

// saveAcceptor makes an acceptor durable.
func (n *Node) saveAcceptor(a identity.Acceptor) error {
	facts, err := a.Facts()
	if err != nil {
		return err
	}
	return n.saveFacts(facts)
}

// serveAcceptor answers the requests that wait, each after what it changes is durable. An error ends the node.
func (n *Node) serveAcceptor(a identity.Acceptor) (identity.Acceptor, error) {
	for _, order := range n.genesis.take() {
		if order.err = a.Check(order.request, n.members()); order.err == nil {
			next, changed := a.Handle(order.request)
			if changed {
				if err := n.saveAcceptor(next); err != nil {
					order.err = ErrNotReady
					close(order.done)
					return a, err
				}
			}
			a = next
			order.answer = a.Answer()
		}
		close(order.done)
	}
	return a, nil
}

// publishFounding publishes what this node waits for before the cluster is founded. It is called before the loop runs.
func (n *Node) publishFounding(replies map[raft.NodeID]identity.GenesisReply, needed int) {
	f := &api.Founding{Members: len(replies), Needed: needed, Missing: []uint64{}}
	for id, r := range replies {
		if r.Err != nil {
			f.Missing = append(f.Missing, uint64(id))
		}
	}
	slices.Sort(f.Missing)
	s := *n.status.Load()
	if f.Members-len(f.Missing) < needed {
		s.Founding = f
	} else {
		s.Founding = nil
	}
	n.status.Store(&s)
}

// founding is a member's attempt to learn the founders, or to make them agreed.
type founding struct {
	node *Node
	self raft.Seat

	said   string // why it waits, in the last line about it
	saidAt time.Time

	done     chan struct{} // closed when the rest is set
	founders []raft.Seat
	err      error
}

// Waits between two looks at the members.
const (
	firstWait   = 20 * time.Millisecond
	patientWait = time.Second
)

// run asks the members until the founders are known. nil, nil if ctx ends.
func (f *founding) run(ctx context.Context) ([]raft.Seat, error) {
	n := f.node
	wait, looks := firstWait, 0
	for {
		replies := f.ask(ctx, identity.GenesisRequest{})
		result, founders, why := identity.Judge(f.self, f.quorum(), replies)
		n.publishFounding(replies, f.quorum())
		if result == identity.MayPropose {
			if looks++; f.isTurn(looks, replies) {
				founders, why = f.propose(ctx, replies)
			}
			if founders != nil && !identity.SeatedElsewhere(f.self, founders) {
				return founders, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case result == identity.IsFounded:
			return founders, nil
		case result == identity.DiskIsLost:
			return nil, identity.DiskLost(f.self.Member, why)
		case wait >= patientWait: // sooner, this is how it goes while a cluster starts
			f.say(why)
		}
		if n.sched.Wait(wait, scheduler.Signals{ctx.Done()}) == 0 {
			return nil, nil
		}
		wait = min(2*wait, patientWait)
	}
}

// sayEvery is how often a node that waits logs why.
const sayEvery = 10 * time.Second

// say writes why this node waits if that is new, but not soon after the last line: what others answer is a part of it.
func (f *founding) say(why string) {
	now := f.node.sched.Now()
	if why == "" || why == f.said || f.said != "" && now.Sub(f.saidAt) < sayEvery {
		return
	}
	f.said, f.saidAt = why, now
	f.node.cfg.Logger.Info("waits before taking part", "node", f.self.Member, "why", why)
}

func (f *founding) quorum() int {
	count := len(f.node.members())
	if f.node.cfg.FoundByMajority {
		return count/2 + 1
	}
	return identity.FoundingQuorum(count)
}

// For how many looks a member waits before it proposes: for each open member with a lower id, so that proposals rarely
// collide; and, somewhat over a second, for members that are about to start. Whoever founds the cluster counts at once,
// but a member that comes later only when it is seated, and until then the cluster bears fewer losses.
const (
	turnLooks = 3
	lateLooks = 6
)

// isTurn reports whether this member should propose after it has looked so often at a quorum of open members.
func (f *founding) isTurn(looks int, replies map[raft.NodeID]identity.GenesisReply) bool {
	before, missing := 0, 0
	for id, r := range replies {
		switch {
		case r.Err != nil:
			missing = lateLooks
		case id < f.self.Member:
			before += turnLooks
		}
	}
	return looks > before+missing
}

// propose makes one attempt to have founders agreed, those of the newest proposal that may have been agreed already, or
// else the disks that promised. If the attempt failed it returns nil, and which members refused it, if any did.
func (f *founding) propose(ctx context.Context, replies map[raft.NodeID]identity.GenesisReply) ([]raft.Seat, string) {
	ballot, isNew := identity.NextBallot(f.self.Incarnation, replies)
	founders := identity.Candidates(f.self, f.quorum(), ballot, f.ask(ctx, identity.GenesisRequest{Ballot: ballot}))
	if founders == nil || !isNew {
		return nil, ""
	}
	agreed := 0
	var refused []string
	replies = f.ask(ctx, identity.GenesisRequest{Ballot: ballot, Founders: founders})
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		switch {
		case r.Err != nil:
			refused = append(refused, identity.Absence(id, r.Err))
		case !r.Founded && r.Accepted == ballot:
			agreed++
		}
	}
	switch {
	case agreed >= f.quorum():
		return founders, ""
	case len(refused) == 0:
		return nil, ""
	}
	return nil, fmt.Sprintf("a new cluster needs the agreement of %d members on its founders, and these did not agree: %s",
		f.quorum(), strings.Join(refused, ", "))
}

// ask sends a request to every member, this one too, and returns what each answered.
func (f *founding) ask(ctx context.Context, r identity.GenesisRequest) map[raft.NodeID]identity.GenesisReply {
	n := f.node
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.LeaderPatience)
	defer cancel()
	var mu sync.Mutex
	var questions []func()
	replies := map[raft.NodeID]identity.GenesisReply{}
	members := n.members()
	for _, m := range members {
		questions = append(questions, func() {
			reply := identity.GenesisReply{}
			if m.ID == f.self.Member {
				reply.GenesisAnswer, reply.Err = n.HandleGenesis(ctx, r)
			} else {
				reply.GenesisAnswer, reply.Err = n.cfg.Transport.Genesis(ctx, m.ID, r)
			}
			if reply.Err == nil {
				reply.Err = reply.Check(members)
			}
			mu.Lock()
			defer mu.Unlock()
			replies[m.ID] = reply
		})
	}
	scheduler.Together(n.sched, questions)
	return replies
}
