package raft

// MessageType is the kind of a message between two nodes.
type MessageType uint8

// The messages of the protocol. Each request is followed by its response.
const (
	// MsgRequestVote requests a vote (paper 5.2), or with PreVote asks whether a vote would be granted (thesis 9.6).
	MsgRequestVote MessageType = iota + 1
	MsgRequestVoteResponse
	// MsgAppendEntries replicates entries (paper 5.3); without entries it is a heartbeat (5.2).
	MsgAppendEntries
	MsgAppendEntriesResponse
	// MsgTimeoutNow makes the target of a leadership transfer campaign at once (thesis 3.10).
	MsgTimeoutNow
	MsgTimeoutNowResponse
)

// Message is one message between two nodes. Type determines which fields are used.
type Message struct {
	Type MessageType
	From NodeID
	To   NodeID
	// Term is the sender's term. In a pre-vote request it is the term that the sender would campaign in; its response
	// echoes that term if granted, and has the responder's own if not (trap T5).
	Term Term

	// RequestVote.
	PreVote      bool // also set in the response
	Transfer     bool // sent because the leader transfers leadership: exempt from the leader-stickiness rule (trap T7)
	LastLogIndex Index
	LastLogTerm  Term
	VoteGranted  bool // response

	// AppendEntries.
	PrevLogIndex  Index
	PrevLogTerm   Term
	PrevLogDigest Digest // of the log up to PrevLogIndex; 0: absent, as from an older version
	Entries       []Entry
	LeaderCommit  Index
	Success       bool   // response
	MatchIndex    Index  // response: PrevLogIndex + number of entries of *this* request (trap T15)
	MatchDigest   Digest // response: of the log up to MatchIndex; 0: absent, as from an older version
	ConflictIndex Index  // response: where to try next: first index of ConflictTerm, or the end of a short log
	ConflictTerm  Term   // response: term of the conflicting entry, 0 if the log is too short

	// Incarnation is set in the AppendEntries response of a node without a seat, and requests one; 0: the node is
	// seated.
	Incarnation Incarnation
	// Disk is the state of the follower's disk, in the AppendEntries response.
	Disk DiskState

	// RequestSnapshot is set in the AppendEntries response of a node whose state must be replaced: the first index that a
	// snapshot for it must reach; 0: it needs none.
	RequestSnapshot Index

	// Level is that of the follower's program, in the AppendEntries response; 0: absent, as from an older version.
	Level Level

	// RemovedBy is set in the response to a removed node: the index of a committed configuration without it.
	RemovedBy Index

	// RequestID numbers a leader's AppendEntries per term. The response echoes it, which identifies late responses
	// (trap T18).
	RequestID uint64
	// ReadSeq is the latest read round of this leader's term; the response echoes it (trap T39).
	ReadSeq uint64

	// CommitIndex is the leader's own, while LeaderCommit is at most what a heartbeat can verify; 0: absent.
	CommitIndex Index
	// SentAt is when an AppendEntries was created, on the leader's clock; the response echoes it. Stamp identifies a
	// moment of the follower's clock, in the response; the leader returns it, with QuorumAge in microseconds (see
	// fresh.go).
	SentAt    uint64
	Stamp     uint64
	QuorumAge uint64
	// VoteHold is for how long the sender of an AppendEntries response grants no vote, on its own clock, from when it
	// received the request: in microseconds (see lease.go); 0: absent, as from an older version.
	VoteHold uint64

	// Tag is not on the wire. The node sets it on an incoming request, and the core copies it to the response, so
	// that the response reaches the exchange that waits for it.
	Tag uint64
}

// IsHeartbeat reports whether the message is an AppendEntries without entries, which is sent on the connection for
// small urgent messages (trap H1).
func (m *Message) IsHeartbeat() bool { return m.Type == MsgAppendEntries && len(m.Entries) == 0 }

// IsResponse reports whether the message answers another one.
func (m *Message) IsResponse() bool {
	switch m.Type {
	case MsgRequestVoteResponse, MsgAppendEntriesResponse, MsgTimeoutNowResponse:
		return true
	}
	return false
}

// HardState is what a node must have on its disk before it answers any message (paper, figure 2: persistent state).
type HardState struct {
	Term Term
	Vote NodeID // 0: none in Term
	// Commit may be behind the current commit index, on the disk even behind the last save: it never makes a save
	// necessary.
	Commit Index
}

// Role is a node's role in its term.
type Role uint8

// The roles of the paper, and the pre-candidate of the thesis (9.6).
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// String returns the role as on the wire and in the page: a pre-candidate is shown as CANDIDATE.
func (r Role) String() string {
	switch r {
	case Leader:
		return "LEADER"
	case Candidate, PreCandidate:
		return "CANDIDATE"
	}
	return "FOLLOWER"
}
