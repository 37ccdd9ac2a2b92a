package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Node is one member of a cluster. Make it with New, let it live in Run. All other methods may be called from
// any goroutine, also before Run and after it.
type Node struct {
	cfg     Options
	sched   Scheduler // of cfg
	started time.Time // on its clock

	inbox     *inbox
	applied   *applied
	forwarder *forwarder
	passingOn atomic.Bool // a transfer is under way to the leader
	readers   *readers
	metrics   *Metrics
	observer  *observer

	who       atomic.Pointer[self]
	seating   atomic.Pointer[seating] // nil: the cluster is not founded, as far as this node knows
	view      atomic.Pointer[view]
	status    atomic.Pointer[publishedStatus]
	disk      atomic.Pointer[api.Disk]
	freshness atomic.Uint64 // up to when all that was acknowledged is applied here, see raft.(*Core).Freshness
	events    *eventLog
	saving    atomic.Int64  // when the save began that is under way, in nanoseconds since started, plus 1; 0: none
	turns     atomic.Uint64 // of the loop
	stalled   atomic.Bool   // the loop has made no turn for long
	stopped   chan struct{}
	loopEnded chan struct{}
	bootstrap *bootstrapOrders
	genesis   *genesisOrders
	booting   chan struct{}      // closed when an identity is durable, and the node takes part or will at once
	cancel    context.CancelFunc // of base, which bounds what the node asks of its peers

	// What follows belongs to the loop.
	core            *raft.Core
	pending         pendings
	exchanges       map[uint64]*exchange
	reads           map[raft.ReadToken][]*readCall
	tag             uint64
	outgoing        []raft.Message
	seatSaved       bool // that this disk is seated
	seenRole        roleSeen
	election        electionSeen
	leaderlessTicks int
	suspicion       suspicion
	alarms          map[alarmKey]time.Time // when each was raised last
	slowStatusAt    time.Time
	busy            bool // something happened since the status was published
}

// view is what requests need to know of the loop's state. A new one is published when it changes, and the old
// one's channel is closed then.
type view struct {
	lifeCycle api.LifeCycle
	leader    raft.NodeID // 0: none known
	role      raft.Role
	term      raft.Term
	seated    bool // this node's disk counts
	changed   chan struct{}
}

// New makes a node. It reads what the disk knows of it, and refuses a disk that belongs to another node or
// cluster.
func New(cfg Options) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	facts, err := cfg.Storage.Facts()
	if err != nil {
		return nil, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	identity, err := identityFrom(facts)
	if err != nil {
		return nil, err
	}
	if identity != nil {
		if err := identity.adopt(&cfg); err != nil {
			return nil, err
		}
	}
	base, cancel := context.WithCancel(context.Background())
	n := &Node{
		cfg: cfg, sched: cfg.Scheduler, started: cfg.Scheduler.Now(), cancel: cancel,
		inbox:     newInbox(cfg.QueueBytes),
		applied:   newApplied(),
		forwarder: newForwarder(base, cfg.Scheduler, cfg.RequestLimit, cfg.QueueBytes, cfg.Transport),
		events:    newEventLog(cfg.ID, cfg.Now),
		stopped:   make(chan struct{}),
		loopEnded: make(chan struct{}),
		bootstrap: newBootstrapOrders(),
		genesis:   newGenesisOrders(),
		booting:   make(chan struct{}),
		exchanges: map[uint64]*exchange{},
		reads:     map[raft.ReadToken][]*readCall{},
		alarms:    map[alarmKey]time.Time{},
	}
	n.readers = newReaders(base, cfg.Scheduler, cfg.LeaderPatience, n.askLeader)
	n.metrics = newMetrics(n)
	n.observer = newObserver(n)
	n.who.Store(&self{id: cfg.ID, clusterID: cfg.ClusterID, members: cfg.Members})
	if identity != nil {
		n.seating.Store(identity.seating)
		close(n.booting)
	}
	n.view.Store(&view{lifeCycle: api.StateEmpty, changed: make(chan struct{})})
	n.disk.Store(&api.Disk{})
	n.status.Store(n.emptyStatus(identity))
	return n, nil
}

// boot loads the log and starts the core.
func (n *Node) boot() error {
	began := n.sched.Now()
	state, log, err := n.cfg.Storage.LoadLog()
	if err != nil {
		return fmt.Errorf("node: cannot load the log: %w", err)
	}
	members := n.self().members
	voters := make([]raft.NodeID, len(members))
	for i, m := range members {
		voters[i] = m.ID
	}
	in := n.seating.Load()
	n.core, err = raft.New(raft.Config{
		ID: n.self().id, Voters: voters, Founders: in.founders, Incarnation: in.incarnation, Seated: in.seated,
		ElectionTicks:       n.cfg.ticks(n.cfg.ElectionTimeout),
		HeartbeatTicks:      n.cfg.ticks(n.cfg.HeartbeatInterval),
		MaxMessageEntries:   n.cfg.MessageEntries,
		MaxMessageBytes:     maxMessageBytes,
		MaxInflightMessages: n.cfg.InflightMessages,
		MaxInflightBytes:    n.cfg.InflightMessages * 2 * maxMessageBytes,
		MaxUncommittedBytes: 2 * n.cfg.QueueBytes,
		Rand:                n.cfg.Rand,
	}, state, log)
	if err != nil {
		return fmt.Errorf("node: cannot start from what is on the disk: %w", err)
	}
	n.seatSaved = n.core.Seated()
	n.seenRole = seeRole(n.core.Status())
	n.publish(true)
	n.cfg.Logger.Info("started", "node", n.self().id, "cluster", n.self().clusterID, "term", state.Term,
		"entries", len(log), "commit", state.Commit, "took", n.sched.Now().Sub(began))
	return nil
}

// closeDown answers everyone who still waits.
func (n *Node) closeDown() {
	n.cancel()
	in, proposals := n.inbox.close()
	for _, r := range in.requests {
		r.exchange.finish(raft.Message{}, ErrNotReady)
	}
	for _, p := range proposals {
		p.call.finish(p.slot, Outcome{Err: ErrNotReady})
	}
	n.failExchanges()
	n.pending.fail(ErrOutcomeUnknown)
	close(n.stopped)
}

// Receive takes a peer's answer to a message of ours. For the transport.
func (n *Node) Receive(m raft.Message) {
	n.inbox.put(func(in *intake) { in.responses = append(in.responses, m) })
}

// Unreachable takes the news that a message to a peer was lost. For the transport.
func (n *Node) Unreachable(peer raft.NodeID) {
	n.inbox.put(func(in *intake) { in.unreachable = append(in.unreachable, peer) })
}

// Deliver takes a peer's request and waits for the answer, which leaves only after what it promises is on the
// disk. It fails with ErrNotReady while this node takes no part, and with raft.ErrBadMessage. For the transport.
func (n *Node) Deliver(ctx context.Context, m raft.Message) (raft.Message, error) {
	if n.view.Load().lifeCycle != api.StateMember {
		return raft.Message{}, ErrNotReady
	}
	if err := checkEntries(m.Entries); err != nil {
		return raft.Message{}, err
	}
	x := newExchange()
	if !n.inbox.put(func(in *intake) { in.requests = append(in.requests, request{m, x}) }) {
		return raft.Message{}, ErrNotReady
	}
	switch n.sched.Wait(Forever, Signals{x.done, ctx.Done(), n.stopped}) {
	case 0:
		return x.answer, x.err
	case 1:
		return raft.Message{}, ctx.Err()
	}
	return raft.Message{}, ErrNotReady
}

// checkEntries refuses entries that no log may hold: the core does not look into commands, and once an entry is
// committed it is there for ever.
func checkEntries(entries []raft.Entry) error {
	for i := range entries {
		if err := kv.CheckEntry(entries[i].Command); err != nil {
			return fmt.Errorf("%w: entry %d: %w", raft.ErrBadMessage, entries[i].Index, err)
		}
	}
	return nil
}

// TransferLeadership hands the leadership to another voter, or to the one that has most of the log if to is 0,
// and waits until this node no longer leads. ErrNotLeader if it does not lead, ErrBadTarget if to cannot.
func (n *Node) TransferLeadership(ctx context.Context, to raft.NodeID) error {
	return n.TransferLeadershipIn(ctx, 0, to)
}

// TransferLeadershipIn is TransferLeadership for a leader of one term; 0: of any. ErrTermChanged if it leads in
// another.
func (n *Node) TransferLeadershipIn(ctx context.Context, term raft.Term, to raft.NodeID) error {
	if n.view.Load().lifeCycle != api.StateMember {
		return ErrNotReady // the loop does not run yet, and may never: nobody would take the order
	}
	var refusal error
	begun := make(chan struct{})
	ordered := n.inbox.put(func(in *intake) {
		in.orders = append(in.orders, func() {
			refusal = n.transfer(term, to)
			close(begun)
		})
	})
	if !ordered {
		return ErrNotReady
	}
	switch n.sched.Wait(Forever, Signals{begun, ctx.Done(), n.stopped}) {
	case 1:
		return ctx.Err()
	case 2:
		return ErrNotReady
	}
	if refusal != nil {
		return refusal
	}
	return n.awaitSuccessor(ctx, to)
}

// transfer runs in the loop.
func (n *Node) transfer(term raft.Term, to raft.NodeID) error {
	if s := n.core.Status(); term != 0 && s.Role == raft.Leader && s.Term != term {
		return ErrTermChanged
	}
	if to == 0 {
		to = bestSuccessor(n.core.Status(), 3*n.cfg.ticks(n.cfg.HeartbeatInterval))
	}
	return fromCore(n.core.TransferLeadership(to))
}

// bestSuccessor is the follower to hand over to, 0 if there is none: one that answered within the last ticks before one
// that is only not given up yet, because that may have just died (trap O25: a stop must not cost an election); then the
// one with the longest log; then the one that answered last.
func bestSuccessor(s raft.Status, ticks int) raft.NodeID {
	best := raft.ProgressStatus{}
	for _, p := range s.Progress {
		if p.ID != s.ID && p.Active && (best.ID == 0 || better(p, best, ticks)) {
			best = p
		}
	}
	return best.ID
}

func better(a, b raft.ProgressStatus, ticks int) bool {
	if lively := a.AckTicks <= ticks; lively != (b.AckTicks <= ticks) {
		return lively
	}
	if a.Match != b.Match {
		return a.Match > b.Match
	}
	return a.AckTicks < b.AckTicks
}

// awaitSuccessor waits until somebody else leads, for at most LeaderPatience beyond the transfer's own limit.
func (n *Node) awaitSuccessor(ctx context.Context, to raft.NodeID) error {
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.LeaderPatience+2*n.cfg.ElectionTimeout)
	defer cancel()
	for {
		v := n.view.Load()
		if v.leader != 0 && v.leader != n.self().id {
			if to != 0 && v.leader != to {
				return fmt.Errorf("%w: node %d was elected instead of %d", ErrNoLeader, v.leader, to)
			}
			return nil
		}
		switch n.sched.Wait(Forever, Signals{v.changed, ctx.Done(), n.stopped}) {
		case 1:
			return fmt.Errorf("%w: the transfer was not finished in time; it may be repeated", ErrNoLeader)
		case 2:
			return ErrNotReady
		}
	}
}

// Pause stops the loop, as a stopped process would, until resume is closed. For `raftnode local`.
func (n *Node) Pause(resume <-chan struct{}) {
	n.inbox.put(func(in *intake) {
		in.orders = append(in.orders, func() { n.sched.Wait(Forever, Signals{resume, n.stopped}) })
	})
}

// Inspect shows the core and the state machine to whoever drives this node with a Scheduler of its own, between two of
// its steps; nobody may change them. The core is nil before the log is loaded. It takes no lock, so it must not be
// called on a node that runs on the machine's goroutines, whose loop owns the core (trap T21).
func (n *Node) Inspect(look func(core *raft.Core, store *kv.Store)) { look(n.core, n.applied.store) }

// ViewTerm is the term of the published view, in which this node asks its leader on behalf of readers.
func (n *Node) ViewTerm() raft.Term { return n.view.Load().term }

// fromCore turns the core's refusals into the node's.
func fromCore(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrTransferring):
		return ErrNotLeader
	case errors.Is(err, raft.ErrOverloaded):
		return ErrOverloaded
	case errors.Is(err, raft.ErrBadTarget):
		return ErrBadTarget
	}
	return err
}
