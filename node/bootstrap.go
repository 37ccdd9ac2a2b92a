package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// MaxMembers is how many members a cluster may begin with.
const MaxMembers = 99

// Limits of a bootstrap.
const (
	maxClusterID = 128
	maxMembers   = MaxMembers
)

// bootstrapOrder is one call of Bootstrap on its way to the goroutine that waits for an identity.
type bootstrapOrder struct {
	who  *self
	err  error
	done chan struct{} // closed when err is what became of it
}

// bootstrapOrders are those that nobody has taken yet. Each is taken once, or withdrawn by who gave it.
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

// take gives the first order that waits, nil if none does.
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

// withdraw tells whether the order could still be taken back.
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
// after a crash it comes back as that member. Each initial member must be told, and each the same members.
//
// nil also if the node is exactly that already. ErrIdentityTaken if it is anything else, or was not started to join;
// ErrBadIdentity if no node can be that, or this one cannot; ErrNotReady if it ends before it has an answer. Any other
// error is the disk's, and ends the node: it will know whether it was bootstrapped when it starts again.
//
// Nothing here asks the other members, because a new cluster has none yet. So whoever calls it must not give an empty
// node an identity that another disk had before (trap T28).
func (n *Node) Bootstrap(ctx context.Context, clusterID string, id raft.NodeID, members []Member) error {
	want := &self{id: id, clusterID: clusterID, members: sortedMembers(members)}
	if err := checkIdentity(want, n.cfg.PeerAddress); err != nil {
		return err
	}
	if !n.cfg.Join {
		return fmt.Errorf("%w: it was started with its members, as node %d of cluster %s, and not to join one",
			ErrIdentityTaken, n.self().id, n.self().clusterID)
	}
	order := &bootstrapOrder{who: want, done: make(chan struct{})}
	n.bootstrap.put(order)
	end := n.awaitUnless(ctx, scheduler.Forever, order.done, n.booting)
	if !n.bootstrap.withdraw(order) { // it was taken: what becomes of it is known soon, and must be told
		n.sched.Wait(scheduler.Forever, scheduler.Signals{order.done})
		return order.err
	}
	if end == waitSuperseded {
		return n.self().same(want)
	}
	return end.err(ctx)
}

// awaitBootstrap waits until this node has an identity, or until ctx ends.
func (n *Node) awaitBootstrap(ctx context.Context) error {
	n.cfg.Logger.Info("waits for an identity: the disk is empty, and nobody has bootstrapped or added this node yet",
		"address", n.cfg.PeerAddress)
	for n.sched.Wait(scheduler.Forever, scheduler.Signals{ctx.Done(), n.bootstrap.wake}) != 0 {
		if order := n.bootstrap.take(); order != nil { // it may have been withdrawn
			order.err = n.become(order.who)
			close(order.done)
			return order.err
		}
	}
	return nil
}

// become makes this node a member: on the disk first, then for everyone who asks.
func (n *Node) become(who *self) error {
	if err := n.takeIdentity(who, nil); err != nil {
		return err
	}
	n.who.Store(who)
	n.events.identify(who.id)
	n.status.Store(n.emptyStatus(&identity{}))
	n.cfg.Identified(who.id, who.clusterID, slices.Clone(who.members))
	n.cfg.Logger.Info("was bootstrapped", "node", who.id, "cluster", who.clusterID, "members", len(who.members))
	close(n.booting)
	return nil
}

// same tells what is wrong with being bootstrapped as want, for a node that is somebody already: nil if it is that.
func (who *self) same(want *self) error {
	switch {
	case who.clusterID != want.clusterID:
		return fmt.Errorf("%w: it belongs to cluster %s as node %d, and the request is about cluster %s",
			ErrIdentityTaken, who.clusterID, who.id, want.clusterID)
	case who.id != want.id:
		return fmt.Errorf("%w: it is node %d of cluster %s, and the request is for node %d", ErrIdentityTaken, who.id,
			who.clusterID, want.id)
	case !slices.Equal(sortedMembers(who.members), want.members):
		return fmt.Errorf("%w: it is node %d of cluster %s already, but its members are %s, and those of the request %s",
			ErrIdentityTaken, who.id, who.clusterID, describe(who.members), describe(want.members))
	}
	return nil
}

// describe lists members for a message.
func describe(members []Member) string {
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = fmt.Sprintf("%d=%s (API %s)", m.ID, m.Address, m.APIAddress)
	}
	return strings.Join(texts, ", ")
}

// checkIdentity refuses an identity that no node can have, or that a node cannot whose own peer URL is address
// (empty: not known).
func checkIdentity(who *self, address string) error {
	if err := checkClusterID(who.clusterID); err != nil {
		return fmt.Errorf("%w: %w", ErrBadIdentity, err)
	}
	if err := checkMembers(who.id, who.members); err != nil {
		return fmt.Errorf("%w: %w", ErrBadIdentity, err)
	}
	if err := CheckAddresses(who.members); err != nil {
		return fmt.Errorf("%w: %w", ErrBadIdentity, err)
	}
	told := memberAddress(who.members, who.id)
	if address != "" && strings.TrimSuffix(address, "/") != strings.TrimSuffix(told, "/") {
		return fmt.Errorf("%w: the request is for node %d at %s, but this node's own address is %s: it came to another "+
			"node than it was meant for", ErrBadIdentity, who.id, told, address)
	}
	return nil
}

// checkClusterID refuses what cannot travel in a header or a log line.
func checkClusterID(id string) error {
	allowed := func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune("._-", r)
	}
	switch {
	case id == "":
		return errors.New("the cluster id is missing")
	case len(id) > maxClusterID:
		return fmt.Errorf("the cluster id has %d characters; at most %d are allowed", len(id), maxClusterID)
	case strings.ContainsFunc(id, func(r rune) bool { return !allowed(r) }):
		return fmt.Errorf("the cluster id %q should be of letters, digits, dots, dashes and underscores", id)
	}
	return nil
}
