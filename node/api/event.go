package api

// The events of the stream GET PathEvents.
const (
	// StreamRaft carries an ObservedEvent; its id is the cursor.
	StreamRaft = "raft"
	// StreamStatus carries a ClusterStatus, about every 500 ms.
	StreamStatus = "status"
)

// ObservedEvent is an event with its place in the observer's merged order, which is the cursor of the stream.
type ObservedEvent struct {
	Cursor uint64 `json:"cursor"`
	Event
}

// Event is one thing that a node's Raft did. Seq counts up per node; order between nodes is by cause (a vote
// follows its request), so that clocks need not agree.
type Event struct {
	Seq  uint64    `json:"seq"`
	Node uint64    `json:"node"`
	AtMs int64     `json:"at_ms"` // Unix milliseconds, on that node's clock
	Kind EventKind `json:"kind"`
	Term uint64    `json:"term"`
	// From and To are the two ends of a vote request or a vote: From asked for or gave it.
	From    uint64 `json:"from,omitempty"`
	To      uint64 `json:"to,omitempty"`
	PreVote bool   `json:"pre_vote,omitempty"`
	Granted bool   `json:"granted,omitempty"`
	// Role is the new role, in an event of kind role.
	Role string `json:"role,omitempty"`
	// Votes are the ids that elected the leader, in an event of kind elected; DurationMs is how long the
	// election took, from the start of the first campaign.
	Votes      []uint64 `json:"votes,omitempty"`
	DurationMs int64    `json:"duration_ms,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	// Alarm and Level are set in an event of kind alarm that raises or clears an alarm of the status.
	Alarm AlarmName  `json:"alarm,omitempty"`
	Level AlarmLevel `json:"level,omitempty"`
}

// EventKind is the kind of an event.
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
