package node

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// LifeCycle tells where a node stands between an empty disk and a member.
type LifeCycle string

// The life cycle of a node, as GET /api/v1/cluster shows it.
const (
	// StateEmpty: no identity yet; the node is inert until it is bootstrapped or added.
	StateEmpty LifeCycle = "empty"
	// StateMember: the node has an identity and takes part.
	StateMember LifeCycle = "member"
)

// Status is one node's view of itself, published by its loop when the leadership changes and at ticks, and told to
// peers by GET /raft/v1/status. Field names are the seed's where it has them. Durations are in milliseconds.
type Status struct {
	ID         raft.NodeID `json:"id"`
	ClusterID  string      `json:"cluster_id"`
	Address    string      `json:"address"`     // peer URL
	APIAddress string      `json:"api_address"` // API URL
	Version    string      `json:"version"`
	LifeCycle  LifeCycle   `json:"life_cycle"`

	// Seated reports whether this node knows that its disk is seated, and so counts for the quorum; nil: not known yet.
	Seated *bool `json:"seated,omitempty"`
	// Founders is a digest of who founded the cluster. Two of them in one cluster mean that it was founded twice; empty:
	// not known yet.
	Founders string `json:"founders,omitempty"`
	// Founding is what this node waits for before a new cluster is founded; nil: it does not wait.
	Founding *Founding `json:"founding,omitempty"`

	// Notice is what a person should know of how this node was started; empty: nothing.
	Notice string `json:"notice,omitempty"`
	// Mismatch says in which entries the node's list of members differs from that of a member which refuses its messages
	// for that: a sentence like Notice. Empty: none does.
	Mismatch string `json:"mismatch,omitempty"`

	State        string      `json:"state"` // FOLLOWER, CANDIDATE, LEADER
	Reason       string      `json:"reason,omitempty"`
	CurrentTerm  raft.Term   `json:"current_term"`
	VotedFor     raft.NodeID `json:"voted_for"` // 0: nobody
	LeaderID     raft.NodeID `json:"leader_id"` // 0: none known
	CommitIndex  raft.Index  `json:"commit_index"`
	LastApplied  raft.Index  `json:"last_applied"`
	LastLogIndex raft.Index  `json:"last_log_index"`
	FirstIndex   raft.Index  `json:"first_log_index"`

	UptimeSeconds float64 `json:"uptime_s"`
	// LeaderForSeconds is how long this node has led, 0 if it does not.
	LeaderForSeconds float64 `json:"leader_for_s,omitempty"`
	// LastContactMs is how long ago a follower heard from its leader; -1 if never. On the leader it is 0, or how long its
	// loop has hung.
	LastContactMs int64 `json:"last_contact_ms"`
	// StalenessMs is how old what this node has applied may be: all that was acknowledged anywhere longer ago is in it.
	// -1: unknown.
	StalenessMs int64 `json:"staleness_ms"`
	// LeaderCommit is the leader's commit index as it told this node last, 0 if it never did.
	LeaderCommit raft.Index `json:"leader_commit"`
	// NextIndex and MatchIndex are the leader's, by member id.
	NextIndex  map[raft.NodeID]raft.Index `json:"next_index,omitempty"`
	MatchIndex map[raft.NodeID]raft.Index `json:"match_index,omitempty"`
	Progress   map[raft.NodeID]Progress   `json:"progress,omitempty"`
	Latency    LatencySummary             `json:"latency"`
	Rates      Rates                      `json:"rates"`
	Disk       Disk                       `json:"disk"`
	Pending    int                        `json:"proposals_pending"`
	// SeenMembers are the ids of the members whose seats this node knows to be given: their disks hold votes or entries
	// that must not be lost (trap T28).
	SeenMembers []raft.NodeID `json:"seen_members"`
	// Events are this node's last ones, in the answer to a peer only.
	Events []Event `json:"events,omitempty"`

	// seats are those of SeenMembers, with their disks.
	seats []raft.Seat
	// published is when the loop stored this, since the node's start: one store with the rest, or an old contact
	// could be counted from a new time.
	published time.Duration
}

// Progress is how the leader sees one follower.
type Progress struct {
	State    string  `json:"state"` // probe, replicate, or refuses: it rejects what it acknowledged
	Inflight int     `json:"inflight"`
	RTTMs    float64 `json:"rtt_ms"` // of the last answered message, 0 if none
	AckAgeMs int64   `json:"ack_age_ms"`
	// Unreachable: it has not answered for the longest election timeout, so the leader does not count on it.
	Unreachable bool `json:"unreachable,omitempty"`
}

// LatencySummary holds what the page shows of the node's latency histograms.
type LatencySummary struct {
	Write Quantiles `json:"write"` // proposal to result, on the leader
	Read  Quantiles `json:"read"`  // linearizable reads
	Fsync Quantiles `json:"fsync"` // one save
}

// Quantiles summarises the last minute or so of one histogram, in milliseconds. Buckets[i] counts the
// observations of at most 0.5 * 2^i ms; the last one counts the rest.
type Quantiles struct {
	P50     float64  `json:"p50"`
	P99     float64  `json:"p99"`
	Count   uint64   `json:"count"`
	Buckets []uint64 `json:"buckets,omitempty"`
}

// Rates are per second, over the last few seconds.
type Rates struct {
	Writes float64 `json:"writes"`
	Reads  float64 `json:"reads"`
}

// Disk is the size of the node's files, in bytes, what is free beside them, and whether the disk is slow.
type Disk struct {
	LogBytes  int64 `json:"log_bytes"`
	FreeBytes int64 `json:"free_bytes"`
	// Slow is the node's verdict on its fsyncs; see LatencySummary.Fsync for the figures.
	Slow bool `json:"slow,omitempty"`
}
