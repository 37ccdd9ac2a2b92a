package api

// ClusterView answers GET /api/v1/cluster: what this one node thinks, without asking another.
type ClusterView struct {
	ClusterID    string     `json:"cluster_id"`
	NodeID       uint64     `json:"node_id"` // 0 while State is empty
	State        LifeCycle  `json:"state"`
	Role         string     `json:"role"`
	Term         uint64     `json:"term"`
	LeaderID     uint64     `json:"leader_id"`
	CommitIndex  uint64     `json:"commit_index"`
	LastApplied  uint64     `json:"last_applied"`
	LastLogIndex uint64     `json:"last_log_index"`
	Config       Membership `json:"config"`
	// SeenMembers are the ids of the members that have held entries or votes, in ascending order. A member in
	// this list that comes back with an empty disk has lost something (trap T28).
	SeenMembers []uint64 `json:"seen_members"`
	// Ready reports whether PathReady answers 200: this node is a member, has a leader, has applied nearly all
	// committed entries, and is not about to stop.
	Ready        bool     `json:"ready"`
	Version      string   `json:"version"`
	Capabilities []string `json:"capabilities"`
}

// LifeCycle is the stage of a node between an empty disk and a former member.
type LifeCycle string

// The life cycle of a node.
const (
	StateEmpty   LifeCycle = "empty"   // no identity yet: the node is inert until it is bootstrapped or added
	StateMember  LifeCycle = "member"  // has an identity and takes part
	StateRemoved LifeCycle = "removed" // was a member once
)

// Membership is the configuration in force.
type Membership struct {
	Index   uint64         `json:"index"` // of the entry that set it; 0: the start configuration
	Members []ConfigMember `json:"members"`
	// CommittedIndex is that of the last configuration which is committed; less than Index while a change is in progress.
	CommittedIndex uint64 `json:"committed_index"`
	// Outgoing are the ids of the voters before a change of several, while it is in progress: the configuration is joint,
	// and needs a majority of them beside one of its voters. Absent: it is not.
	Outgoing []uint64 `json:"outgoing,omitempty"`
}

// ConfigMember is one member in the configuration.
type ConfigMember struct {
	ID         uint64 `json:"id"`
	Address    string `json:"address"`     // peer URL
	APIAddress string `json:"api_address"` // API URL, empty until the member has reported it
	Role       string `json:"role"`        // voter, learner, or leaving: a voter whose removal is in progress
	// AutoPromote: the leader makes this learner a voter once it has caught up.
	AutoPromote bool `json:"auto_promote,omitempty"`
}

// StateLearner is Status.State of a node that is a learner.
const StateLearner = "LEARNER"

// The roles of a member.
const (
	RoleVoter   = "voter"   // counts in elections and for commits; the only one that a BootstrapRequest may name
	RoleLearner = "learner" // receives the log, and does not count
	RoleLeaving = "leaving" // counts as one of Membership.Outgoing only, and is no member afterwards
)

// BootstrapRequest is the body of POST PathBootstrap: it gives an empty node that was started with --join its
// identity and the members of the new cluster. Every initial member must receive the same cluster id and the same
// members, each its own NodeID.
//
// The answer is 200 with the node's ClusterView, also if the node is exactly that already; CodeConflict if it is
// anything else, or was not started with --join; CodeInvalid if the request cannot be right, as when the address under
// NodeID is another than the node's own --advertise-peer.
type BootstrapRequest struct {
	ClusterID string         `json:"cluster_id"`
	NodeID    uint64         `json:"node_id"`
	Members   []ConfigMember `json:"members"`
}

// TransferRequest is the body of POST /api/v1/leader/transfer; it may be left out.
type TransferRequest struct {
	To uint64 `json:"to,omitempty"` // 0: the follower that is furthest
	// ExpectedTerm is the term in which the leader is to hand over; in another one it refuses with CodeConflict, because
	// the request was decided on a state that is past. 0: in any term.
	ExpectedTerm uint64 `json:"expected_term,omitempty"`
}

// TransferResponse answers POST /api/v1/leader/transfer: the view of the node when the transfer had succeeded.
type TransferResponse struct {
	LeaderID uint64 `json:"leader_id"` // 0: the new one is not known yet
	Term     uint64 `json:"term"`
}
