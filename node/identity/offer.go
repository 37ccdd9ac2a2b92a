package identity

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Offer is the identity that a leader gives to an empty node, once the configuration that has it as a member is
// committed.
type Offer struct {
	ClusterID string      `json:"cluster_id"`
	NodeID    raft.NodeID `json:"node_id"`
	// Address is the peer URL of the new member in the configuration. A node at another address refuses the offer.
	Address string `json:"address"`
	// Founders are the seats that the cluster was founded with; see raft.Config.
	Founders []raft.Seat `json:"founders"`
}

// Check refuses an offer that no correct leader makes, or that is meant for another node than one whose own peer URL is
// at.
func (o *Offer) Check(at string) error {
	if err := checkClusterID(o.ClusterID); err != nil {
		return err
	}
	switch {
	case o.NodeID == 0 || o.NodeID > maxIncarnation:
		return fmt.Errorf("the node id %d should be from 1 to 2^53", o.NodeID)
	case len(o.Founders) == 0 || len(o.Founders) > MaxMembers:
		return fmt.Errorf("%d founders; a cluster has 1 to %d", len(o.Founders), MaxMembers)
	case at == "":
		return errors.New("this node has no address of its own; start it with --advertise-peer")
	case address.HostAndPort(o.Address) != address.HostAndPort(at):
		return fmt.Errorf("the offer is for node %d at %s, but this node's own address is %s: it came to another node than "+
			"it was meant for", o.NodeID, o.Address, at)
	}
	for _, s := range o.Founders {
		if s.Member == o.NodeID {
			return fmt.Errorf("node %d founded the cluster with another disk, and cannot be added to it", o.NodeID)
		}
	}
	return checkSeatOrder(o.Founders)
}

// Assignment returns what an empty node becomes that accepts the offer.
func (o *Offer) Assignment() *Assignment {
	return &Assignment{Identity: Identity{ID: o.NodeID, ClusterID: o.ClusterID}}
}

// NewSeating returns the seating of an empty disk that joins a founded cluster: the log gives it a seat (trap T28).
func NewSeating(founders []raft.Seat, rng *rand.Rand) *Seating {
	return &Seating{Incarnation: newIncarnation(rng), Founders: founders}
}

func newIncarnation(rng *rand.Rand) raft.Incarnation {
	return 1 + raft.Incarnation(rng.Uint64N(maxIncarnation))
}
