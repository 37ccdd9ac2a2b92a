package raft

// MessageType names what a message between two nodes is.
type MessageType uint8

// The messages of the protocol. Each request has the response that follows it.
const (
	// MsgRequestVote asks for a vote (paper 5.2), or, with PreVote, whether one would be given (thesis 9.6).
	MsgRequestVote MessageType = iota + 1
	MsgRequestVoteResponse
	// MsgAppendEntries replicates entries (paper 5.3); without entries it is a heartbeat (5.2).
	MsgAppendEntries
	MsgAppendEntriesResponse
	// MsgTimeoutNow tells the target of a leadership transfer to campaign at once (thesis 3.10).
	MsgTimeoutNow
	MsgTimeoutNowResponse
)

// Message is one message between two nodes. Which fields count depends on Type.
type Message struct {
	Type MessageType
	From NodeID
	To   NodeID
	// Term is the sender's term; in a pre-vote request the term that it would campaign in, and in its response
	// the echo of that term if granted, the responder's own if not (trap T5).
	Term Term

	// RequestVote.
	PreVote      bool // also set in the response
	Transfer     bool // sent on the leader's order: exempt from the leader-stickiness rule (trap T7)
	LastLogIndex Index
	LastLogTerm  Term
	VoteGranted  bool // response

	// AppendEntries.
	PrevLogIndex  Index
	PrevLogTerm   Term
	PrevLogDigest Digest // of the log up to PrevLogIndex; 0: not given, as by an older version
	Entries       []Entry
	LeaderCommit  Index
	Success       bool   // response
	MatchIndex    Index  // response: PrevLogIndex + number of entries of *this* request (trap T15)
	MatchDigest   Digest // response: of the log up to MatchIndex; 0: not given, as by an older version
	ConflictIndex Index  // response: where to try next: first index of ConflictTerm, or the end of a short log
	ConflictTerm  Term   // response: term of the conflicting entry, 0 if the log is too short

	// Incarnation is in the answer to AppendEntries of a node without a seat, and asks for one; 0: it is seated.
	Incarnation Incarnation

	// RequestID numbers a leader's AppendEntries per term; the response echoes it, so that late answers are
	// recognised (trap T18).
	RequestID uint64
	// ReadSeq is the newest read round of this leader's term; the response echoes it (trap T39).
	ReadSeq uint64

	// CommitIndex is a leader's own, while LeaderCommit goes no further than a heartbeat can verify; 0: not given.
	CommitIndex Index
	// SentAt is when an AppendEntries was made, on the leader's clock; the response echoes it. Stamp names a moment of
	// the follower's clock, in the response; the leader returns it, with QuorumAge in microseconds (see fresh.go).
	SentAt    uint64
	Stamp     uint64
	QuorumAge uint64

	// Tag is not on the wire. The node sets it on a request that came in, and the core copies it to the
	// response, so that the response finds the exchange that waits for it.
	Tag uint64
}

// IsHeartbeat tells whether the message is an AppendEntries without entries, which travels on the connection
// for small urgent messages (trap H1).
func (m *Message) IsHeartbeat() bool { return m.Type == MsgAppendEntries && len(m.Entries) == 0 }

// IsResponse tells whether the message answers another one.
func (m *Message) IsResponse() bool {
	switch m.Type {
	case MsgRequestVoteResponse, MsgAppendEntriesResponse, MsgTimeoutNowResponse:
		return true
	}
	return false
}

// HardState is what a node must have on its disk before it answers anyone (paper, figure 2: persistent state).
type HardState struct {
	Term Term
	Vote NodeID // 0: voted for nobody in Term
	// Commit may lag behind the truth, on the disk even behind what was saved last: it never makes a save necessary.
	Commit Index
}

// Role is what a node is in its term.
type Role uint8

// The roles of the paper, and the pre-candidate of the thesis (9.6).
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// String gives the role as it stands on the wire and on the page: a pre-candidate shows as CANDIDATE.
func (r Role) String() string {
	switch r {
	case Leader:
		return "LEADER"
	case Candidate, PreCandidate:
		return "CANDIDATE"
	}
	return "FOLLOWER"
}
