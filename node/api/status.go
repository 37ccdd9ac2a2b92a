package api

// ClusterStatus answers GET /api/status: the whole cluster as one node sees it.
type ClusterStatus struct {
	ClusterID string       `json:"cluster_id"`
	Observer  uint64       `json:"observer"`
	LeaderID  uint64       `json:"leader_id"` // 0: none
	Term      uint64       `json:"term"`
	Health    Health       `json:"health"`
	Config    Membership   `json:"config"`
	Nodes     []NodeStatus `json:"nodes"`
	// RecentEvents are the last 32, for a page that polls.
	RecentEvents []ObservedEvent `json:"recent_events"`
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

// NodeStatus is one member as the observer sees it. For an unreachable one the status is the last that was
// seen, AgeMs is its age, and Error is why there is none newer.
type NodeStatus struct {
	Status
	Healthy bool   `json:"healthy"`
	AgeMs   int64  `json:"age_ms"` // -1: never seen
	Error   string `json:"error,omitempty"`
}

// Status is one node's view of itself, for clients and for its peers. Durations are in milliseconds unless the name
// has another unit.
type Status struct {
	ID         uint64    `json:"id"`
	ClusterID  string    `json:"cluster_id"`
	Address    string    `json:"address"`     // peer URL
	APIAddress string    `json:"api_address"` // API URL
	Version    string    `json:"version"`
	LifeCycle  LifeCycle `json:"life_cycle"`

	// Seated reports whether the disk is known to be seated, and so counts for the quorum; nil: not known.
	Seated *bool `json:"seated,omitempty"`
	// Founders is a digest of who founded the cluster. Two of them in one cluster mean that it was founded twice; empty:
	// not known yet.
	Founders string `json:"founders,omitempty"`
	// Founding is what the node waits for before a new cluster is founded; nil: it does not wait.
	Founding *Founding `json:"founding,omitempty"`

	// Notice is a warning about how this node was started; empty: none.
	Notice string `json:"notice,omitempty"`
	// Mismatch names the entries in which the node's list of members differs from that of a member that refuses its
	// requests because of them; empty: no member does.
	Mismatch string `json:"mismatch,omitempty"`
	// Alarms are the conditions that need the attention of a person, while they last.
	Alarms []Alarm `json:"alarms,omitempty"`

	State       string `json:"state"` // FOLLOWER, CANDIDATE, LEADER or LEARNER
	Reason      string `json:"reason,omitempty"`
	CurrentTerm uint64 `json:"current_term"`
	VotedFor    uint64 `json:"voted_for"` // 0: none
	LeaderID    uint64 `json:"leader_id"` // 0: none known
	CommitIndex uint64 `json:"commit_index"`
	// CheckpointIndex is the last entry whose effect is in the checkpoint on the disk, state.db.
	CheckpointIndex uint64 `json:"checkpoint_index"`
	LastApplied     uint64 `json:"last_applied"`
	// StateDiffers is the index of the check entry that showed that this node's state is not that of a majority, or that
	// up to which the state is missing, because its file was damaged when the node started. The node serves nothing
	// before a snapshot has replaced that state; absent: it is the same, as far as is known.
	StateDiffers uint64 `json:"state_differs,omitempty"`
	LastLogIndex uint64 `json:"last_log_index"`
	FirstIndex   uint64 `json:"first_log_index"`

	UptimeSeconds    float64 `json:"uptime_s"`
	LeaderForSeconds float64 `json:"leader_for_s,omitempty"`
	// LastContactMs is the time since the leader's last message to a follower; -1 if none. On the leader it is 0,
	// or how long its loop has hung.
	LastContactMs int64 `json:"last_contact_ms"`
	// StalenessMs is how old what the node has applied may be: all that was acknowledged anywhere longer ago is in it.
	// -1: unknown.
	StalenessMs int64 `json:"staleness_ms"`
	// LeaderCommit is the leader's commit index in its last message, 0 if there was none.
	LeaderCommit uint64 `json:"leader_commit"`
	// NextIndex, MatchIndex and Progress are the leader's, by member id.
	NextIndex  map[uint64]uint64   `json:"next_index,omitempty"`
	MatchIndex map[uint64]uint64   `json:"match_index,omitempty"`
	Progress   map[uint64]Progress `json:"progress,omitempty"`
	Latency    LatencySummary      `json:"latency"`
	Rates      Rates               `json:"rates"`
	Disk       Disk                `json:"disk"`
	Store      Store               `json:"store"`
	Pending    int                 `json:"proposals_pending"`
	// SeenMembers are the ids of the members with a seat: their disks hold votes or entries
	// that must not be lost (trap T28).
	SeenMembers []uint64 `json:"seen_members"`
}

// Progress is how the leader sees one follower.
type Progress struct {
	// State is probe, replicate, snapshot: it needs one, or refuses: it rejects what it acknowledged.
	State    string  `json:"state"`
	Inflight int     `json:"inflight"`
	RTTMs    float64 `json:"rtt_ms"` // of the last answered message, 0 if none
	AckAgeMs int64   `json:"ack_age_ms"`
	// Unreachable: it has not answered for the longest election timeout, so the leader does not count on it.
	Unreachable bool `json:"unreachable,omitempty"`
	// OldVersion: it runs a program from before changes of the members, which takes none of the entries since the first.
	OldVersion bool `json:"old_version,omitempty"`
	// CaughtUp: it is a learner that can be promoted.
	CaughtUp bool `json:"caught_up,omitempty"`
}

// Founding is what a member of a new cluster waits for: fewer members than Needed answer, and the founding needs that
// many at once.
type Founding struct {
	Members int      `json:"members"`
	Needed  int      `json:"needed"`
	Missing []uint64 `json:"missing"` // the ids of those that do not answer, in ascending order
}

// LatencySummary holds a node's latency figures.
type LatencySummary struct {
	Write Quantiles `json:"write"` // proposal to result, on the leader
	Read  Quantiles `json:"read"`  // linearizable reads
	Fsync Quantiles `json:"fsync"` // one save
}

// Quantiles summarises the last minute or so, in milliseconds. Buckets[i] counts the observations of at most
// 0.5 * 2^i ms; the last one counts the rest.
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
	// ReusableBytes are those inside state.db that hold nothing, after deletes: what is written uses them first.
	ReusableBytes int64 `json:"reusable_bytes"`
	// UnsyncedMs is the age of the oldest append that is not durable yet. While a disk hangs, it grows.
	UnsyncedMs int64 `json:"unsynced_ms,omitempty"`
	// Slow is the node's verdict on its fsyncs; see LatencySummary.Fsync for the figures.
	Slow bool `json:"slow,omitempty"`
}

// Store is the size of the state that a node has applied, in its memory.
type Store struct {
	Keys int `json:"keys"`
	// LiveBytes are the bytes of the keys, values and content types that exist now, and about what memory they take
	// beside them.
	LiveBytes int64 `json:"live_bytes"`
	// HistoryVersions and HistoryBytes are the versions that were replaced or deleted and can still be read.
	HistoryVersions int   `json:"history_versions"`
	HistoryBytes    int64 `json:"history_bytes"`
	// CompactedRevision is the oldest revision that can be read; 0: all can.
	CompactedRevision uint64 `json:"compacted_revision"`
}
