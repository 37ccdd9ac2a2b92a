// Package founding carries out the agreement of the members of a new cluster on its founders, which package identity
// decides: it asks the members, answers them, and has the acceptor written to the disk.
package founding

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// ErrUnavailable is the answer to a request that the acceptor does not take: it has not started, or has ended.
var ErrUnavailable = errors.New("founding: the acceptor is not available")

// Config is what a Founder needs of its node. All fields but ByMajority are required.
type Config struct {
	// Self returns the node's identity, which it has before Run is called.
	Self func() identity.Identity
	// Members returns the members of the cluster.
	Members func() []identity.Member
	// ByMajority lets a majority of empty members found the cluster, instead of identity.FoundingQuorum.
	ByMajority bool
	// Facts reads the node_state table, and Save makes pairs of it durable. After an error of Save it is unknown what is
	// on the disk, so the node must end (trap T53).
	Facts func() (map[string]string, error)
	Save  func(facts map[string]string) error
	// Ask takes a request to another member.
	Ask func(ctx context.Context, peer raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error)
	// Waits takes what the founding waits for, after each look at the members; nil: enough of them answered.
	Waits func(f *api.Founding)
	// Await waits for done, at most as long as a request may take. It returns the context's error if that ends first, and
	// another one if the node stops or the time is over.
	Await func(ctx context.Context, done <-chan struct{}) error
	// Patience is how long a look at the members may take.
	Patience  time.Duration
	Logger    *slog.Logger
	Scheduler scheduler.Scheduler
	Rand      *rand.Rand // draws the incarnation of an empty disk
}

// Founder is a member's part in the founding of its cluster.
type Founder struct {
	cfg    Config
	orders *orders
}

// New returns a Founder that takes requests, and answers them in Run.
func New(cfg Config) *Founder { return &Founder{cfg: cfg, orders: newOrders()} }

// Close refuses the requests that wait and all later ones with ErrUnavailable.
func (f *Founder) Close() { f.orders.close() }

// Handle answers a member that founds the cluster, or asks whether it is founded. It fails with ErrUnavailable, with
// raft.ErrBadMessage if no correct member sends that request, and with the errors of Await.
func (f *Founder) Handle(ctx context.Context, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
	order := &order{request: r, done: make(chan struct{})}
	if !f.orders.put(order) {
		return identity.GenesisAnswer{}, ErrUnavailable
	}
	if err := f.cfg.Await(ctx, order.done); err != nil {
		return identity.GenesisAnswer{}, err
	}
	return order.answer, order.err
}

// Run takes part in the founding of the cluster and returns the seating of this node: a founder's seat, or none if the
// others founded the cluster without this disk. It returns nil if ctx ends, and identity.ErrDiskLost if this member's
// seat belongs to another disk.
func (f *Founder) Run(ctx context.Context) (*identity.Seating, error) {
	acceptor, err := f.openAcceptor()
	if err != nil {
		return nil, err
	}
	sched := f.cfg.Scheduler
	self := raft.Seat{Member: f.cfg.Self().ID, Incarnation: acceptor.Incarnation}
	a := &attempt{founder: f, self: self, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sched.Go(func() {
		defer close(a.done)
		a.founders, a.err = a.run(ctx)
	})
	for {
		switch sched.Wait(scheduler.Forever, scheduler.Signals{ctx.Done(), a.done, f.orders.wake}) {
		case 0:
			sched.Wait(scheduler.Forever, scheduler.Signals{a.done})
			return nil, nil
		case 1:
			if a.err != nil || ctx.Err() != nil {
				return nil, a.err
			}
			return &identity.Seating{Incarnation: acceptor.Incarnation, Founders: a.founders}, nil
		case 2:
			if acceptor, err = f.serve(acceptor); err != nil {
				cancel()
				sched.Wait(scheduler.Forever, scheduler.Signals{a.done})
				return nil, err
			}
		}
	}
}

// openAcceptor reads the acceptor from the disk, or makes a new one with an incarnation of its own, durably: what was
// answered once must still be so after a crash.
func (f *Founder) openAcceptor() (identity.Acceptor, error) {
	facts, err := f.cfg.Facts()
	if err != nil {
		return identity.Acceptor{}, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	a, changes, err := identity.OpenAcceptor(facts, f.cfg.Self().ClusterID, f.cfg.Rand)
	if err != nil || changes == nil {
		return a, err
	}
	return a, f.cfg.Save(changes)
}

// serve answers the requests that wait, each after what it changes is durable. An error ends the node.
func (f *Founder) serve(a identity.Acceptor) (identity.Acceptor, error) {
	for _, order := range f.orders.take() {
		if err := a.Check(order.request, f.cfg.Members()); err != nil {
			order.finish(identity.GenesisAnswer{}, err)
			continue
		}
		next, changed := a.Handle(order.request)
		if changed {
			if err := f.saveAcceptor(next); err != nil {
				order.finish(identity.GenesisAnswer{}, ErrUnavailable)
				return a, err // what waits behind it ends with the node
			}
		}
		a = next
		order.finish(a.Answer(), nil)
	}
	return a, nil
}

// saveAcceptor makes an acceptor durable.
func (f *Founder) saveAcceptor(a identity.Acceptor) error {
	facts, err := a.Facts()
	if err != nil {
		return err
	}
	return f.cfg.Save(facts)
}
