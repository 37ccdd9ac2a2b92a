package node

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// PeerStatus is what a node reports to a peer, by GET /raft/v1/status.
type PeerStatus struct {
	api.Status
	// Events are the node's last ones.
	Events []api.Event `json:"events,omitempty"`
}

// HandleStatus answers a peer that asks for this node's status. For the transport.
func (n *Node) HandleStatus() PeerStatus { return PeerStatus{n.Status(), n.observation.Own()} }

// publishedStatus is a node's view of itself as its loop stores it, when the leadership changes and at ticks.
type publishedStatus struct {
	api.Status
	// seats are those of SeenMembers, with their disks.
	seats []raft.Seat
	// at is when the loop stored this, since the node's start: one store with the rest, or an old contact could be counted
	// from a new time.
	at time.Duration
}
