package raft

import (
	"errors"
	"math/rand/v2"
)

// What a caller can meet and handle. Everything else that goes wrong in the core is a broken invariant, and panics.
var (
	// ErrNotLeader: this node cannot take the proposal, the read or the transfer; nothing was appended.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrTransferring: the leader is handing over and takes no proposals (trap T11); nothing was appended.
	ErrTransferring = errors.New("raft: leadership is being transferred")
	// ErrOverloaded: too many bytes wait to be committed; nothing was appended.
	ErrOverloaded = errors.New("raft: too many uncommitted bytes")
	// ErrBadTarget: leadership can only go to another voter.
	ErrBadTarget = errors.New("raft: the target is not another voter")
	// ErrBadMessage: the message cannot come from a correct peer; it was ignored.
	ErrBadMessage = errors.New("raft: malformed message")
)

// Config is what a core needs to know before it starts. Times are in ticks.
type Config struct {
	ID     NodeID
	Voters []NodeID // includes ID, unless this node only listens

	ElectionTicks  int // the least election timeout; the real one is drawn from [ElectionTicks, 2*ElectionTicks]
	HeartbeatTicks int // less than ElectionTicks

	MaxMessageEntries   int // entries per AppendEntries
	MaxMessageBytes     int // command bytes per AppendEntries; one entry always fits
	MaxInflightMessages int // unanswered AppendEntries with entries, per follower
	MaxInflightBytes    int // unanswered command bytes, per follower
	MaxUncommittedBytes int // command bytes in the log above the commit index

	// Rand draws the election timeouts, and is the only source of chance.
	Rand *rand.Rand
}

// Ready is what the node must do now, in this order: send Messages, save HardState and Entries durably, send
// AfterSave, apply Committed, answer Reads; then call Advance.
type Ready struct {
	// Messages may leave before the save: a leader's AppendEntries (thesis 10.2.1), pre-votes, TimeoutNow.
	Messages []Message
	// MustSave says that HardState (term or vote) or Entries differ from what was saved last.
	MustSave  bool
	HardState HardState
	// Entries replace everything at and after Entries[0].Index in the stored log.
	Entries []Entry
	// AfterSave may not leave before the save: votes, requests for votes, acknowledgements (traps T1, T13, T14).
	AfterSave []Message
	// Committed entries follow each other without a gap, and each is handed out once.
	Committed []Entry
	// Reads are the read tokens that a quorum confirmed, each with the index to wait for (thesis 6.4).
	Reads []ReadState
	// DroppedReads are the tokens that lost their leader before they were confirmed; ask again.
	DroppedReads []ReadToken
}

// ReadToken names one read, unique within this core: made by the leader, never by the caller (trap T39).
type ReadToken struct {
	Term Term
	Seq  uint64
}

// ReadState says that a read which holds Token may be served once Index is applied.
type ReadState struct {
	Token ReadToken
	Index Index
}
