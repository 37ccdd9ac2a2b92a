package node

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// bootstrapOrder is one call of Bootstrap on its way to the goroutine that waits for an identity.
type bootstrapOrder struct {
	want     *identity.Assignment
	founders []raft.Seat // of the cluster to which the node is added; nil: it is bootstrapped
	err      error
	done     chan struct{} // closed when err is what became of it
}

// bootstrapOrders are those that were not taken yet. Each is taken once, or withdrawn by its caller.
type bootstrapOrders struct {
	mu      sync.Mutex
	waiting []*bootstrapOrder
	wake    chan struct{}
}

func newBootstrapOrders() *bootstrapOrders { return &bootstrapOrders{wake: make(chan struct{}, 1)} }

func (b *bootstrapOrders) put(order *bootstrapOrder) {
	b.mu.Lock()
	b.waiting = append(b.waiting, order)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns the first order that waits, nil if none does.
func (b *bootstrapOrders) take() *bootstrapOrder {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	order := b.waiting[0]
	b.waiting = b.waiting[1:]
	return order
}

// withdraw reports whether the order could still be taken back.
func (b *bootstrapOrders) withdraw(order *bootstrapOrder) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, order)
	if i < 0 {
		return false
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return true
}

// Bootstrap gives an empty node that was started to join its identity: the cluster's id, its own id, and all members
// of the new cluster, who vote. When it returns nil the identity is durable, and the node takes part or will at once;
// after a crash it comes back as that member. It must be called for each initial member, with the same members.
//
// nil also if the node is exactly that already. ErrIdentityTaken if it is anything else, or was not started to join;
// ErrBadIdentity if no node can be that, or this one cannot; ErrNotReady if it ends before it has an answer. Any other
// error is the disk's, and ends the node: when it starts again, its disk has whether it was bootstrapped.
//
// Nothing here asks the other members, because a new cluster has none yet. So the caller must not give an empty
// node an identity that another disk had before (trap T28).
func (n *Node) Bootstrap(ctx context.Context, clusterID string, id raft.NodeID, members []identity.Member) error {
	want := &identity.Assignment{
		Identity: identity.Identity{ID: id, ClusterID: clusterID}, Members: identity.SortedMembers(members),
	}
	if err := want.Check(n.cfg.PeerAddress); err != nil {
		return fmt.Errorf("%w: %w", ErrBadIdentity, err)
	}
	return n.accept(ctx, &bootstrapOrder{want: want, done: make(chan struct{})})
}

// HandleOffer makes an empty node that was started to join a member of a cluster that has added it. It is Bootstrap,
// for a leader, and has the same errors. For the transport.
func (n *Node) HandleOffer(ctx context.Context, offer identity.Offer) error {
	if err := offer.Check(n.cfg.PeerAddress); err != nil {
		return fmt.Errorf("%w: %w", ErrBadIdentity, err)
	}
	return n.accept(ctx, &bootstrapOrder{
		want: offer.Assignment(), founders: offer.Founders, done: make(chan struct{}),
	})
}

// accept has the goroutine that waits for an identity take one.
func (n *Node) accept(ctx context.Context, order *bootstrapOrder) error {
	if !n.cfg.Join {
		return fmt.Errorf("%w: it was started with its members, as node %d of cluster %s, and not to join one",
			ErrIdentityTaken, n.self().ID, n.self().ClusterID)
	}
	n.bootstrap.put(order)
	end := n.awaitUnless(ctx, scheduler.Forever, order.done, n.booting)
	if !n.bootstrap.withdraw(order) { // it was taken: what becomes of it is known soon, and must be returned
		n.sched.Wait(scheduler.Forever, scheduler.Signals{order.done})
		return order.err
	}
	if end == waitSuperseded {
		if err := n.assigned.Load().CheckSame(order.want); err != nil {
			return fmt.Errorf("%w: %w", ErrIdentityTaken, err)
		}
		return nil
	}
	return end.err(ctx)
}

// awaitBootstrap waits until this node has an identity, or until ctx ends.
func (n *Node) awaitBootstrap(ctx context.Context) error {
	n.cfg.Logger.Info("waits for an identity: the disk is empty, and this node was not bootstrapped or added yet",
		"address", n.cfg.PeerAddress)
	for n.sched.Wait(scheduler.Forever, scheduler.Signals{ctx.Done(), n.bootstrap.wake}) != 0 {
		if order := n.bootstrap.take(); order != nil { // it may have been withdrawn
			order.err = n.become(order)
			close(order.done)
			return order.err
		}
	}
	return nil
}

// become makes this node a member: on the disk first, then for everyone who asks.
func (n *Node) become(order *bootstrapOrder) error {
	a := order.want
	var in *identity.Seating
	if order.founders != nil {
		in = identity.NewSeating(order.founders, n.cfg.Rand)
	}
	if err := n.saveAssignment(a, in); err != nil {
		return err
	}
	n.assign(a)
	n.status.Store(emptyStatus(n.shared, &identity.Stored{}))
	n.cfg.Identified(a.ID, a.ClusterID, slices.Clone(a.Members))
	if in == nil {
		n.cfg.Logger.Info("was bootstrapped", "node", a.ID, "cluster", a.ClusterID, "members", len(a.Members))
	} else {
		n.cfg.Logger.Info("was added to a cluster", "node", a.ID, "cluster", a.ClusterID)
	}
	close(n.booting)
	return nil
}
