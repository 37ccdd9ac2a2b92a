package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// genesisOrder is one request on its way to the acceptor.
type genesisOrder struct {
	request GenesisRequest
	answer  GenesisAnswer
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
func (n *Node) HandleGenesis(ctx context.Context, r GenesisRequest) (GenesisAnswer, error) {
	if s := n.seating.Load(); s != nil {
		return GenesisAnswer{
			Incarnation: s.incarnation, Founded: true, Founders: s.founders, Seats: n.status.Load().seats,
		}, nil
	}
	order := &genesisOrder{request: r, done: make(chan struct{})}
	if n.self().id == 0 || !n.genesis.put(order) {
		return GenesisAnswer{}, ErrNotReady
	}
	if err := n.await(ctx, n.cfg.LeaderPatience, order.done).err(ctx); err != nil {
		return GenesisAnswer{}, err
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
	who := n.self()
	founding := &founding{node: n, self: raft.Seat{Member: who.id, Incarnation: a.Incarnation}, done: make(chan struct{})}
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
			return n.takeIdentity(who, &seating{incarnation: a.Incarnation, founders: founding.founders})
		case 2:
			if a, err = n.serveAcceptor(a, who.members); err != nil {
				cancel()
				n.sched.Wait(scheduler.Forever, scheduler.Signals{founding.done})
				return err
			}
		}
	}
}

// openAcceptor reads the acceptor from the disk, or makes a new one with an incarnation of its own, durably: what was
// told once must still be so after a crash.
func (n *Node) openAcceptor() (acceptor, error) {
	facts, err := n.cfg.Storage.Facts()
	if err != nil {
		return acceptor{}, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	a, err := acceptorFrom(facts[factGenesis])
	if err != nil {
		return acceptor{}, err
	}
	cluster := n.self().clusterID
	if a.Cluster == cluster && a.Incarnation != 0 {
		return a, nil
	}
	changes := map[string]string{}
	if a.Incarnation != 0 { // started with other members: what it said there must still be so if it is started there again
		changes[factGenesisOf+a.Cluster] = facts[factGenesis]
	}
	if a, err = acceptorFrom(facts[factGenesisOf+cluster]); err != nil {
		return acceptor{}, err
	}
	if a.Incarnation == 0 {
		a = acceptor{Cluster: cluster, Incarnation: 1 + raft.Incarnation(n.cfg.Rand.Uint64N(maxIncarnation))}
	}
	now, err := a.facts()
	if err != nil {
		return acceptor{}, err
	}
	maps.Copy(changes, now)
	return a, n.saveFacts(changes)
}

// acceptorFrom reads an acceptor; the zero one if there is none.
func acceptorFrom(text string) (a acceptor, err error) {
	if text == "" {
		return a, nil
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return a, fmt.Errorf("node: node_state.%s cannot be read: %w", factGenesis, err)
	}
	return a, nil
}

func (n *Node) saveAcceptor(a acceptor) error {
	facts, err := a.facts()
	if err != nil {
		return err
	}
	return n.saveFacts(facts)
}

// facts returns what makes an acceptor durable.
func (a acceptor) facts() (map[string]string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("node: cannot write the founding: %w", err)
	}
	return map[string]string{factGenesis: string(text)}, nil
}

// serveAcceptor answers the requests that wait, each after what it changes is durable. An error ends the node.
func (n *Node) serveAcceptor(a acceptor, members []Member) (acceptor, error) {
	for _, order := range n.genesis.take() {
		if order.err = a.check(order.request, members); order.err == nil {
			next, changed := a.handle(order.request)
			if changed {
				if err := n.saveAcceptor(next); err != nil {
					order.err = ErrNotReady
					close(order.done)
					return a, err
				}
			}
			a = next
			order.answer = a.answer()
		}
		close(order.done)
	}
	return a, nil
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
		replies := f.ask(ctx, GenesisRequest{})
		result, founders, why := judgeGenesis(f.self, f.quorum(), replies)
		n.publishFounding(replies, f.quorum())
		if result == mayPropose {
			if looks++; f.isTurn(looks, replies) {
				founders, why = f.propose(ctx, replies)
			}
			if founders != nil && !seatedElsewhere(f.self, founders) {
				return founders, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case result == founded:
			return founders, nil
		case result == diskLost:
			return nil, lostDisk(f.self.Member, why)
		case wait >= patientWait: // sooner, this is how it goes while a cluster starts
			f.say(why)
		}
		if n.sched.Wait(wait, scheduler.Signals{ctx.Done()}) == 0 {
			return nil, nil
		}
		wait = min(2*wait, patientWait)
	}
}

// say writes why this node waits if that is new, but not soon after the last line: what others answer is a part of it.
func (f *founding) say(why string) {
	now := f.node.sched.Now()
	if why == "" || why == f.said || f.said != "" && now.Sub(f.saidAt) < alarmEvery {
		return
	}
	f.said, f.saidAt = why, now
	f.node.cfg.Logger.Info("waits before taking part", "node", f.self.Member, "why", why)
}

func (f *founding) quorum() int {
	count := len(f.node.self().members)
	if f.node.cfg.FoundByMajority {
		return count/2 + 1
	}
	return foundingQuorum(count)
}

// For how many looks a member waits before it proposes: for each open member with a lower id, so that proposals rarely
// collide; and, somewhat over a second, for members that are about to start. Whoever founds the cluster counts at once,
// but a member that comes later only when it is seated, and until then the cluster bears fewer losses.
const (
	turnLooks = 3
	lateLooks = 6
)

// isTurn reports whether this member should propose after it has looked so often at a quorum of open members.
func (f *founding) isTurn(looks int, replies map[raft.NodeID]genesisReply) bool {
	before, missing := 0, 0
	for id, r := range replies {
		switch {
		case r.err != nil:
			missing = lateLooks
		case id < f.self.Member:
			before += turnLooks
		}
	}
	return looks > before+missing
}

// propose makes one attempt to have founders agreed, those of the newest proposal that may have been agreed already, or
// else the disks that promised. If the attempt failed it returns nil, and which members refused it, if any did.
func (f *founding) propose(ctx context.Context, replies map[raft.NodeID]genesisReply) ([]raft.Seat, string) {
	ballot, isNew := nextBallot(f.self.Incarnation, replies)
	founders := f.candidates(ballot, f.ask(ctx, GenesisRequest{Ballot: ballot}))
	if founders == nil || !isNew {
		return nil, ""
	}
	agreed := 0
	var refused []string
	replies = f.ask(ctx, GenesisRequest{Ballot: ballot, Founders: founders})
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		switch {
		case r.err != nil:
			refused = append(refused, absence(id, r.err))
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

// candidates returns the founders to propose, by the answers of all members when they were asked for a promise; nil if
// too few promised. Our own promise must be among them: it is on our disk, so the ballot is never used again, not even
// after a crash.
func (f *founding) candidates(ballot Ballot, replies map[raft.NodeID]genesisReply) []raft.Seat {
	var accepted Ballot
	var founders, promised []raft.Seat
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		if r.err != nil || r.Founded || r.Promised != ballot {
			continue
		}
		promised = append(promised, raft.Seat{Member: id, Incarnation: r.Incarnation})
		if r.Accepted.compare(accepted) > 0 && !contradicted(r.Founders, replies) {
			accepted, founders = r.Accepted, r.Founders
		}
	}
	if len(promised) < f.quorum() || !slices.Contains(promised, f.self) {
		return nil
	}
	if founders == nil {
		return promised
	}
	return founders
}

// ask sends a request to every member, this one too, and returns what each answered.
func (f *founding) ask(ctx context.Context, r GenesisRequest) map[raft.NodeID]genesisReply {
	n := f.node
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.LeaderPatience)
	defer cancel()
	var mu sync.Mutex
	var questions []func()
	replies := map[raft.NodeID]genesisReply{}
	members := n.self().members
	for _, m := range members {
		questions = append(questions, func() {
			reply := genesisReply{}
			if m.ID == f.self.Member {
				reply.GenesisAnswer, reply.err = n.HandleGenesis(ctx, r)
			} else {
				reply.GenesisAnswer, reply.err = n.cfg.Transport.Genesis(ctx, m.ID, r)
			}
			if reply.err == nil {
				reply.err = reply.check(members)
			}
			mu.Lock()
			defer mu.Unlock()
			replies[m.ID] = reply
		})
	}
	scheduler.Together(n.sched, questions)
	return replies
}

// check refuses an answer that no correct member gives.
func (r *genesisReply) check(members []Member) error {
	if !r.Founded && (r.Incarnation < 1 || r.Incarnation > maxIncarnation) {
		return fmt.Errorf("%w: incarnation %d is not between 1 and 2^53", raft.ErrBadMessage, r.Incarnation)
	}
	if max(r.Promised.Round, r.Accepted.Round) > maxIncarnation {
		return fmt.Errorf("%w: ballot rounds %d and %d are not both below 2^53", raft.ErrBadMessage, r.Promised.Round,
			r.Accepted.Round)
	}
	if err := r.checkGiven(members); err != nil {
		return err
	}
	if !r.Founded && r.Accepted == (Ballot{}) {
		return checkSeats(r.Founders, members)
	}
	return checkFounders(r.Founders, members)
}

// checkGiven refuses seats that are not of distinct members, each with the disk that the founders say if it is one of
// them: one false seat of this member would end this node (ErrDiskLost). They stand in the order in which they were
// given.
func (r *genesisReply) checkGiven(members []Member) error {
	switch {
	case len(r.Seats) > 0 && !r.Founded:
		return fmt.Errorf("%w: %d seats are given in a cluster that is not founded", raft.ErrBadMessage, len(r.Seats))
	case len(r.Seats) > len(members):
		return fmt.Errorf("%w: %d seats of %d members", raft.ErrBadMessage, len(r.Seats), len(members))
	}
	given := slices.Clone(r.Seats)
	slices.SortFunc(given, func(a, b raft.Seat) int { return cmp.Compare(a.Member, b.Member) })
	for _, s := range given {
		if seatedElsewhere(s, r.Founders) {
			return fmt.Errorf("%w: the seat of node %d is not the one that it has as a founder", raft.ErrBadMessage, s.Member)
		}
	}
	return checkSeats(given, members)
}
