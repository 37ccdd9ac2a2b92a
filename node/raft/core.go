package raft

import (
	"errors"
	"fmt"
	"slices"
)

// Errors that a caller can handle. Everything else that goes wrong in the core is a broken invariant, and panics.
var (
	// ErrNotLeader: this node cannot accept the proposal, the read or the transfer; nothing was appended.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrTransferring: the leader is transferring leadership and accepts no proposals (trap T11); nothing was
	// appended.
	ErrTransferring = errors.New("raft: leadership is being transferred")
	// ErrOverloaded: too many uncommitted bytes; nothing was appended.
	ErrOverloaded = errors.New("raft: too many uncommitted bytes")
	// ErrBadTarget: the target of a leadership transfer must be another voter that can take over now.
	ErrBadTarget = errors.New("raft: the target is not another voter that can take over")
	// ErrRemoved: the disk no longer holds the entries.
	ErrRemoved = errors.New("raft: the entries were removed from the log")
	// ErrBadMessage: no correct peer can send the message; it was ignored.
	ErrBadMessage = errors.New("raft: malformed message")
	// ErrBadTerm: an ErrBadMessage whose term no correct peer can have reached.
	ErrBadTerm = fmt.Errorf("%w: implausible term", ErrBadMessage)
	// ErrSecondLeader: an ErrBadMessage from a second leader of a term (trap T10).
	ErrSecondLeader = fmt.Errorf("%w: two leaders in one term", ErrBadMessage)
)

// Core is the Raft state of one node (paper, figure 2). It is not safe for concurrent use: one goroutine owns it
// (trap T21).
type Core struct {
	cfg     Config
	id      NodeID
	members membership

	removedBy Index // the configuration by which another member refused this node; 0: none did

	founders []Seat
	seated   bool
	disk     DiskState
	differs  bool // the state machine does not have the state that the log leads to; see RequestSnapshot
	deferred int  // election timeouts in a row after which it left the election to others because of that

	role   Role
	reason string // why the role changed last
	term   Term
	vote   NodeID // 0: none in this term
	leader NodeID // of this term; 0: unknown
	log    raftLog

	electionElapsed int // ticks
	electionTimeout int // ticks, redrawn whenever the timer restarts
	leaderContact   int // ticks since the last message of a leader; -1: never

	ballots map[NodeID]bool // responses so far to a candidate or pre-candidate
	lead    leadership      // zero unless this node leads

	restarted bool   // it has had a term before it started, and the clock was not set yet
	heldSince uint64 // on the clock: when this node began to hold its vote; 0: never

	led    Term // the last term that this node led since it started; 0: none
	fresh  freshness
	budget termBudget // limits how far messages may raise the term

	now int64 // wall clock in microseconds, for the time stamp of a no-op

	// Contents of the next Ready.
	messages   []Message
	fetches    []Fetch
	snapshotTo []NodeID
	afterSave  []Message
	confirmed  []ReadState
	dropped    []ReadToken
	memberNews bool      // the membership changed
	saved      HardState // as saved on disk
	readyOut   bool      // a Ready was returned and not yet advanced
}

// New returns a core restored from disk: the hard state, and the log behind what the state machine has applied, of
// which it takes ownership. The core starts as a follower, and its first Ready returns every entry of the log up to the
// saved commit index again. The state machine must have what lies before the start of the log. An error states what is
// wrong in the configuration or in the saved state.
func New(cfg Config, state HardState, log Log) (*Core, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	saved, err := newLog(&cfg, state, log)
	if err != nil {
		return nil, err
	}
	c := &Core{
		cfg: cfg, id: cfg.ID, reason: "started",
		term: state.Term, vote: state.Vote, log: saved, saved: state, leaderContact: -1,
		budget: termBudget{left: fullTermBudget}, restarted: state.Term > 0,
	}
	c.configure()
	c.memberNews = false // the caller asks for it
	c.founders, c.seated = slices.Clone(cfg.Founders), cfg.Seated
	if cfg.Founders == nil {
		c.seated = true
		for _, m := range cfg.Initial.Members {
			c.founders = append(c.founders, Seat{Member: m.ID})
		}
	}
	c.takeSeat()
	c.resetElectionTimer()
	return c, nil
}

// Term returns the current term.
func (c *Core) Term() Term { return c.term }

// TermAt returns the term of the entry at an index; false if the memory does not hold it. It holds the position before
// the first entry in memory; index 0 has term 0.
func (c *Core) TermAt(i Index) (Term, bool) { return c.log.term(i) }

// SetTime sets the wall clock, in microseconds since 1970. It is the timestamp of a new term's no-op; no decision
// uses it.
func (c *Core) SetTime(nowMicros int64) { c.now = nowMicros }

// Tick advances the clock by one tick.
func (c *Core) Tick() {
	c.budget.tick()
	if c.role == Leader {
		c.tickLeader()
		return
	}
	if c.leaderContact >= 0 {
		c.leaderContact++
	}
	c.electionElapsed++
	if c.electionElapsed >= c.electionTimeout {
		c.electionTimedOut()
	}
}

// Step handles one message. A request gets exactly one response, which carries its Tag. Step returns ErrBadMessage if
// no correct peer can have sent the message, and a DivergedError if one of the two logs is damaged; then nothing
// changed and no response follows.
func (c *Core) Step(m Message) error {
	if err := c.check(&m); err != nil {
		return err
	}
	if !c.screen(&m) {
		return nil
	}
	switch {
	case m.Term < c.term:
		c.refuseRequest(&m, 0)
		return nil
	case m.Term > c.term && c.adoptsTerm(&m):
		c.budget.spend(m.Term - c.term)
		c.becomeFollower(m.Term, fmt.Sprintf("higher term %d from node %d", m.Term, m.From))
	}
	switch m.Type {
	case MsgRequestVote:
		c.handleRequestVote(&m)
	case MsgAppendEntries:
		c.handleAppendEntries(&m)
	case MsgTimeoutNow:
		c.handleTimeoutNow(&m)
	case MsgRequestVoteResponse:
		c.handleVoteResponse(&m)
	case MsgAppendEntriesResponse:
		c.handleAppendResponse(&m)
	case MsgTimeoutNowResponse: // carries only its term
	}
	return nil
}

// adoptsTerm reports whether this node enters the higher term of a message (paper 5.1). Three messages do not raise
// the term: a pre-vote request, and a granted pre-vote, carry a term that no node has entered yet (thesis 9.6); a
// vote request while a leader is active is ignored, since otherwise a node that was partitioned would depose the
// leader (thesis 4.2.3, trap T7); so is one while a lease may rest on this node.
func (c *Core) adoptsTerm(m *Message) bool {
	switch m.Type {
	case MsgRequestVote:
		return !m.PreVote && (m.Transfer || !c.leaderActive() && !c.holdsVote())
	case MsgRequestVoteResponse:
		return !m.PreVote || !m.VoteGranted
	}
	return true
}

// leaderActive reports whether a message of a leader arrived within the minimum election timeout.
func (c *Core) leaderActive() bool {
	return c.role == Leader || c.leader != 0 && c.leaderContact < c.cfg.ElectionTicks
}

// refuseRequest answers a request of an older term with the current term, so that its sender enters it (paper 5.1).
// This is also how a node with a higher term raises the term of the cluster (trap T6). The response does not echo the
// request's numbers: they count within the old term, and if its sender leads the new term when the response arrives,
// it would take them for numbers of the new one (traps T18, T39). Responses are ignored. removedBy is set for a request
// of a removed node.
func (c *Core) refuseRequest(m *Message, removedBy Index) {
	var r Message
	switch m.Type {
	case MsgRequestVote:
		r = c.answer(m, MsgRequestVoteResponse)
		r.PreVote = m.PreVote
	case MsgAppendEntries:
		r = c.answer(m, MsgAppendEntriesResponse)
	case MsgTimeoutNow:
		r = c.answer(m, MsgTimeoutNowResponse)
	default:
		return
	}
	r.SentAt, r.RemovedBy = 0, removedBy
	r.RequestID, r.ReadSeq = 0, 0
	c.afterSave = append(c.afterSave, r)
}

// answer returns the response to a request, initially a refusal.
func (c *Core) answer(m *Message, response MessageType) Message {
	r := Message{
		Type: response, From: c.id, To: m.From, Term: c.term,
		RequestID: m.RequestID, ReadSeq: m.ReadSeq, SentAt: m.SentAt, Tag: m.Tag,
	}
	if response == MsgAppendEntriesResponse && m.Term == c.term {
		r.Stamp = c.stampAnswer()
		r.Disk, r.Level = c.disk, c.cfg.Level
	}
	return r
}

// setTerm enters a new term, without a vote and without a leader.
func (c *Core) setTerm(term Term) {
	if term <= c.term {
		panic(fmt.Sprintf("raft: invariant broken: the term would go from %d to %d", c.term, term))
	}
	c.term, c.vote, c.leader = term, 0, 0
}

// setRole changes the role and restarts the election timer.
func (c *Core) setRole(role Role, reason string) {
	c.role, c.reason = role, reason
	c.resetElectionTimer()
}

// resetElectionTimer restarts the election timer with a new random length, so that nodes rarely campaign at the same
// time (paper 5.2).
func (c *Core) resetElectionTimer() {
	c.electionElapsed = 0
	c.electionTimeout = c.cfg.ElectionTicks + c.cfg.Rand.IntN(c.cfg.ElectionTicks+1)
}
