package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/founding"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// KnownIdentity reads the identity and the members on a disk, so that a transport can be made for them before the node
// is: the zero Assignment if the disk holds none. A node that was added later, or removed, has no members there.
func KnownIdentity(s Storage) (identity.Assignment, error) {
	facts, err := s.Facts()
	if err != nil {
		return identity.Assignment{}, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	who, err := identity.Read(facts)
	if err != nil || who == nil {
		return identity.Assignment{}, err
	}
	if who.Removed {
		who.Members = nil // it sends nothing to them
	}
	return who.Assignment, nil
}

// admit returns when this node may boot: at once if its disk holds an identity in a founded cluster. An empty node that
// was started to join waits for Bootstrap first. Then the cluster must be founded: the disk may have been lost together
// with a vote or with entries that were counted for a commit (trap T28, design section 9).
func (n *Node) admit(ctx context.Context) error {
	defer n.founder.Close()
	if n.cfg.Join && n.self().ID == 0 {
		if err := n.awaitBootstrap(ctx); err != nil || n.self().ID == 0 {
			return err
		}
	}
	if n.seating.Load() != nil {
		return nil
	}
	seating, err := n.founder.Run(ctx)
	if err != nil || seating == nil {
		return err
	}
	have := &identity.Assignment{Identity: n.self(), Members: n.assigned.Load().Members}
	return n.saveAssignment(have, seating)
}

// newFounder returns a node's part in the founding of its cluster.
func newFounder(n *Node) *founding.Founder {
	return founding.New(founding.Config{
		Self: n.self, Members: n.members, ByMajority: n.cfg.FoundByMajority,
		Facts: n.cfg.Storage.Facts, Save: n.saveFacts, Ask: n.cfg.Transport.Genesis,
		Waits: n.publishFounding, Patience: n.cfg.LeaderPatience,
		Await: func(ctx context.Context, done <-chan struct{}) error {
			return n.await(ctx, n.cfg.LeaderPatience, done).err(ctx)
		},
		Logger: n.cfg.Logger, Scheduler: n.sched, Rand: n.cfg.Rand,
	})
}

// publishFounding publishes what this node waits for before the cluster is founded. It is called before the loop runs.
func (n *Node) publishFounding(f *api.Founding) {
	s := *n.status.Load()
	s.Founding = f
	n.status.Store(&s)
}

// HandleGenesis answers a member that founds the cluster, or asks whether it is founded. For the transport. ErrNotReady
// if this node has no identity or is stopping; raft.ErrBadMessage if no correct member sends that request.
func (n *Node) HandleGenesis(ctx context.Context, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
	if s := n.seating.Load(); s != nil {
		return identity.GenesisAnswer{
			Incarnation: s.Incarnation, Founded: true, Founders: s.Founders, Seats: n.status.Load().seats,
		}, nil
	}
	if n.self().ID == 0 {
		return identity.GenesisAnswer{}, ErrNotReady
	}
	answer, err := n.founder.Handle(ctx, r)
	if errors.Is(err, founding.ErrUnavailable) {
		err = ErrNotReady
	}
	return answer, err
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
