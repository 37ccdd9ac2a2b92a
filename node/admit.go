package node

import (
	"context"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/identity"
)

// self returns who this node is: ID 0 until it is given an identity, which never changes afterwards.
func (n *Node) self() identity.Identity { return *n.who.Load() }

// members returns the members as they are now. They may be others at the next call, so no caller keeps them. The list
// itself never changes.
func (n *Node) members() []identity.Member { return *n.memberList.Load() }

// assign publishes an identity and the members that come with it. The members come first, so that no goroutine sees the
// identity without them.
func (n *Node) assign(a *identity.Assignment) {
	n.memberList.Store(&a.Members)
	n.who.Store(&a.Identity)
}

// KnownIdentity reads the identity and the members on a disk, so that a transport can be made for them before the node
// is: the zero Assignment if the disk holds none.
func KnownIdentity(s Storage) (identity.Assignment, error) {
	facts, err := s.Facts()
	if err != nil {
		return identity.Assignment{}, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	who, err := identity.Read(facts)
	if err != nil || who == nil {
		return identity.Assignment{}, err
	}
	return who.Assignment, nil
}

// admit returns when this node may boot: at once if its disk holds an identity in a founded cluster. An empty node that
// was started to join waits for Bootstrap first. Then the cluster must be founded, see awaitFounding: the disk may have
// been lost together with a vote or with entries that were counted for a commit (trap T28, design section 9).
func (n *Node) admit(ctx context.Context) error {
	defer n.genesis.close()
	if n.cfg.Join && n.self().ID == 0 {
		if err := n.awaitBootstrap(ctx); err != nil || n.self().ID == 0 {
			return err
		}
	}
	if n.seating.Load() != nil {
		return nil
	}
	return n.awaitFounding(ctx)
}

// saveAssignment makes durable who this node is, and which disk in which cluster if that is founded, before it does
// anything that must not be forgotten. After an error it is unknown what is on the disk (trap T53): the node must end,
// and read it when it starts again.
func (n *Node) saveAssignment(a *identity.Assignment, in *identity.Seating) error {
	facts, err := a.Facts(in)
	if err != nil {
		return err
	}
	if err = n.cfg.Storage.SaveFacts(facts); err != nil {
		return fmt.Errorf("node: cannot save the node's identity: %w", err)
	}
	if in != nil {
		n.seating.Store(in)
	}
	return nil
}
