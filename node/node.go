package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/founding"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/watchdog"
)

// Node is one member of a cluster. New makes it and Run runs it. All other methods may be called from any goroutine,
// also before Run and after it.
type Node struct {
	*shared
	*proposer
	*reader

	started time.Time // on the clock of the Scheduler
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the loop has ended
	loop    *loop         // nil before the log is loaded; for Run, which ends it, and Inspect

	bootstrap *bootstrapOrders
	founder   *founding.Founder
	booting   chan struct{} // closed when an identity is durable, and the node takes part or will at once

	space       *diskSpace
	observation *observation.Observation

	checkpointer *checkpointer
	stateDamage  error // of the checkpoint with which the node started; nil: none
	receiver     receiver
	passingOn    atomic.Bool // a transfer is in progress to the leader
	changing     atomic.Bool // a change of the members is in progress from here
}

// New makes a node. It reads what the disk has of it, and refuses a disk that belongs to another node or cluster.
func New(cfg Options) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	facts, err := cfg.Storage.Facts()
	if err != nil {
		return nil, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	stored, err := identity.Read(facts)
	if err != nil {
		return nil, err
	}
	have := &identity.Assignment{
		Identity: identity.Identity{ID: cfg.ID, ClusterID: cfg.ClusterID}, Members: cfg.Members,
	}
	if stored != nil { // the options of a static start count only once
		if err := stored.CheckStart(cfg.ID); err != nil {
			return nil, err
		}
		have = &stored.Assignment
	}
	n := assemble(cfg)
	n.assign(have)
	if stored != nil {
		if err := n.readDiffers(facts); err != nil {
			return nil, err
		}
		n.seating.Store(stored.Seating)
		close(n.booting)
		if stored.Removed {
			n.view.Store(&view{lifeCycle: api.StateRemoved, changed: make(chan struct{})})
			n.memberList.Store(&[]identity.Member{})
		}
	}
	n.status.Store(emptyStatus(n.shared, stored))
	return n, nil
}

// assemble makes a node of its parts.
func assemble(cfg Options) *Node {
	base, cancel := context.WithCancel(context.Background())
	dog := watchdog.New(watchdog.Config{
		Limit: cfg.StallLimit, File: cfg.LogFile, Fatal: cfg.Fatal, Logger: cfg.Logger, Scheduler: cfg.Scheduler,
	})
	s := &shared{
		cfg: cfg, sched: cfg.Scheduler, stopped: make(chan struct{}), base: base, inbox: newInbox(cfg.QueueBytes),
		metrics: metrics.New(cfg.Scheduler.Now, dog.Saving), watchdog: dog,
	}
	s.view.Store(&view{lifeCycle: api.StateEmpty, changed: make(chan struct{})})
	n := &Node{
		shared: s, proposer: newProposer(s), reader: newReader(s), started: cfg.Scheduler.Now(),
		cancel: cancel, ended: make(chan struct{}), booting: make(chan struct{}), bootstrap: newBootstrapOrders(),
		space: newDiskSpace(),
	}
	n.applier.compareState, n.applier.readLog = n.compareStates, cfg.Storage.ReadLog
	n.applier.fail = func(err error) { n.inbox.order(func(l *loop) { l.fail(err) }) }
	n.checkpointer = newCheckpointer(s, n.applier, n.space.now)
	n.founder = newFounder(n)
	n.observation = newObservation(n)
	return n
}

// newObservation returns the Observation of a node.
func newObservation(n *Node) *observation.Observation {
	return observation.New(n.base, observation.Config{
		Self: n.self, Members: n.members, Membership: n.membership, Status: n.Status, Term: n.ViewTerm,
		Ask: func(ctx context.Context, peer raft.NodeID) (api.Status, []api.Event, error) {
			s, err := n.cfg.Transport.Status(ctx, peer)
			return s.Status, s.Events, err
		},
		APIAddress: n.cfg.APIAddress, APIHosts: n.cfg.APIHosts, Logger: n.cfg.Logger, Now: n.cfg.Now, Scheduler: n.sched,
	})
}

// Observation returns what this node sees of itself and of the other members.
func (n *Node) Observation() *observation.Observation { return n.observation }

// Metrics returns the node's measurements, a collector to be registered once.
func (n *Node) Metrics() *metrics.Metrics { return n.metrics }

// closeDown answers everyone who still waits.
func (n *Node) closeDown() {
	n.cancel()
	n.lease.Store(&raft.Lease{})
	in, proposals := n.inbox.close()
	for _, r := range in.requests {
		r.exchange.finish(raft.Message{}, ErrNotReady)
	}
	for _, p := range proposals {
		p.call.finish(p.slot, Outcome{Err: ErrNotReady})
	}
	if n.loop != nil {
		n.loop.failExchanges()
		n.loop.pending.fail(ErrOutcomeUnknown)
	}
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

// Deliver takes a peer's request and waits for the answer, which leaves only after what it acknowledges is on the
// disk. It fails with ErrNotReady while this node takes no part, ErrNoIdentity before it has an identity, and
// raft.ErrBadMessage. For the transport.
func (n *Node) Deliver(ctx context.Context, m raft.Message) (raft.Message, error) {
	if n.self().ID == 0 {
		return raft.Message{}, ErrNoIdentity
	}
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
	if err := n.await(ctx, scheduler.Forever, x.done).err(ctx); err != nil {
		return raft.Message{}, err
	}
	return x.answer, x.err
}

// checkEntries refuses entries that no log may hold: the core does not look into commands, and once an entry is
// committed it is there permanently.
func checkEntries(entries []raft.Entry) error {
	for i := range entries {
		if err := kv.CheckEntry(entries[i].Command); err != nil {
			return fmt.Errorf("%w: entry %d: %w", raft.ErrBadMessage, entries[i].Index, err)
		}
	}
	return nil
}

// Pause stops the loop, as a stopped process would, until resume is closed. For `raftnode local`.
func (n *Node) Pause(resume <-chan struct{}) {
	n.inbox.order(func(*loop) { n.sched.Wait(scheduler.Forever, scheduler.Signals{resume, n.stopped}) })
}

// Inspect shows the core and the state machine to the owner of the Scheduler that runs this node, between two of its
// steps; they must not be changed. The core is nil before the log is loaded. It takes no lock, so it must not be
// called on a node that runs on the machine's goroutines, whose loop owns the core (trap T21).
func (n *Node) Inspect(look func(core *raft.Core, store *kv.Store)) {
	var core *raft.Core
	if n.loop != nil {
		core = n.loop.core
	}
	look(core, n.applier.store)
}

// Stalled reports whether the loop should run and has made no turn for half as long again as StallLimit. A node that
// waits for an identity, loads its log or has stopped has not stalled (trap O23: only what a restart can mend).
func (n *Node) Stalled() bool { return n.watchdog.Stalled() }

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
