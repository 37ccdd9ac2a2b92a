package node

import "github.com/kontiki-dev/kontiki/node/raft"

// Event is one thing that a node's Raft did. Seq counts up per node; order between nodes is by cause (a vote
// follows its request), so that clocks need not agree.
type Event struct {
	Seq  uint64      `json:"seq"`
	Node raft.NodeID `json:"node"`
	AtMs int64       `json:"at_ms"` // Unix milliseconds, on that node's clock
	Kind EventKind   `json:"kind"`
	Term raft.Term   `json:"term"`
	// From and To are the two ends of a vote request or a vote: From asked for or gave it.
	From    raft.NodeID `json:"from,omitempty"`
	To      raft.NodeID `json:"to,omitempty"`
	PreVote bool        `json:"pre_vote,omitempty"`
	Granted bool        `json:"granted,omitempty"`
	// Role is the new role, in an event of kind role.
	Role string `json:"role,omitempty"`
	// Votes are the ids that elected the leader, in an event of kind elected; DurationMs is how long the
	// election took, from the start of the first campaign.
	Votes      []raft.NodeID `json:"votes,omitempty"`
	DurationMs int64         `json:"duration_ms,omitempty"`
	Reason     string        `json:"reason,omitempty"`
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventRole        EventKind = "role"
	EventTerm        EventKind = "term"
	EventVoteAsked   EventKind = "vote_asked"
	EventVote        EventKind = "vote"
	EventElected     EventKind = "elected"
	EventSteppedDown EventKind = "stepped_down"
	EventPeer        EventKind = "peer" // a peer became reachable (granted) or unreachable
	EventConfig      EventKind = "config"
	EventSnapshot    EventKind = "snapshot"
	EventAlarm       EventKind = "alarm"
)

// ClusterStatus is the whole cluster as one node sees it: GET /api/status, and the status events of the stream.
type ClusterStatus struct {
	ClusterID string       `json:"cluster_id"`
	Observer  raft.NodeID  `json:"observer"`
	LeaderID  raft.NodeID  `json:"leader_id"` // 0: none
	Term      raft.Term    `json:"term"`
	Health    Health       `json:"health"`
	Config    Config       `json:"config"`
	Nodes     []NodeStatus `json:"nodes"`
	// RecentEvents are the last 32 of the merged events, for a page that polls.
	RecentEvents []ObservedEvent `json:"recent_events"`
}

// Config is the membership in force.
type Config struct {
	Index   raft.Index     `json:"index"` // of the entry that set it; 0: the start configuration
	Members []ConfigMember `json:"members"`
}

// RoleVoter is the role of a member that votes.
const RoleVoter = "voter"

// ConfigMember is one member in the configuration.
type ConfigMember struct {
	ID         raft.NodeID `json:"id"`
	Address    string      `json:"address"`
	APIAddress string      `json:"api_address"`
	Role       string      `json:"role"` // voter or learner
}

// ObservedEvent is an event with its place in the observer's merged order, which is the cursor of the stream.
type ObservedEvent struct {
	Cursor uint64 `json:"cursor"`
	Event
}

// Health is the verdict on the cluster.
type Health struct {
	State     HealthState `json:"state"`
	Voters    int         `json:"voters"`
	Reachable int         `json:"reachable"` // voters that answer the observer and the leader, and whose disk is seated
	Quorum    int         `json:"quorum"`
	Tolerates int         `json:"tolerates"` // how many more voters may fail before writes stop
	Reasons   []string    `json:"reasons"`   // sentences for a person, the verdict first
}

// HealthState is the verdict in one word.
type HealthState string

// The verdicts.
const (
	Healthy  HealthState = "healthy"   // all voters count and there is a leader
	Degraded HealthState = "degraded"  // writes work, something is wrong
	NoLeader HealthState = "no_leader" // a quorum answers, and no member leads
	NoQuorum HealthState = "no_quorum" // too few voters count; writes stop
)

// NodeStatus is what the observer knows of one member. For an unreachable one the embedded status is the last
// that was seen, AgeMs says how old it is, and Error why there is none newer.
type NodeStatus struct {
	Status
	Healthy bool   `json:"healthy"`
	AgeMs   int64  `json:"age_ms"` // -1: never seen
	Error   string `json:"error,omitempty"`
}

// LogPage is a stretch of the replicated log as this node's disk has it.
type LogPage struct {
	FirstIndex  raft.Index // of the whole log
	LastIndex   raft.Index // of the whole log
	CommitIndex raft.Index
	Entries     []raft.Entry
}
