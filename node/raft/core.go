package raft

import (
	"errors"
	"fmt"
	"slices"
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
	// ErrBadTerm: an ErrBadMessage whose term no correct peer can have reached.
	ErrBadTerm = fmt.Errorf("%w: implausible term", ErrBadMessage)
	// ErrSecondLeader: an ErrBadMessage from a second leader of a term (trap T10).
	ErrSecondLeader = fmt.Errorf("%w: two leaders in one term", ErrBadMessage)
)

// Core is one node's part in the consensus (paper, figure 2). It is not safe for concurrent use: one goroutine
// owns it (trap T21).
type Core struct {
	cfg    Config
	id     NodeID
	voters Voters
	others []NodeID // the members but this one, in ascending order

	founders []Seat
	seated   bool

	role   Role
	reason string // why the role changed last
	term   Term
	vote   NodeID // 0: nobody in this term
	leader NodeID // of this term; 0: unknown
	log    raftLog

	electionElapsed int // ticks
	electionTimeout int // ticks, drawn anew whenever the wait begins again
	leaderContact   int // ticks since a leader was heard; -1: never

	ballots map[NodeID]bool // a candidate's or pre-candidate's answers so far
	lead    leadership      // a leader's; zero in every other role

	led    Term // the last term that this node led since it started; 0: none
	fresh  freshness
	budget termBudget // how far messages may raise the term

	now int64 // wall clock in microseconds, for the time stamp of a no-op

	// What the next Ready hands out.
	messages  []Message
	afterSave []Message
	confirmed []ReadState
	dropped   []ReadToken
	saved     HardState // as the disk has it
	readyOut  bool      // a Ready waits for its Advance
}

// New makes a core from what the disk has: the hard state and the whole log. It takes over log. The core starts
// as a follower, and its first Ready hands out everything up to the saved commit index again. An error says what
// in the configuration or in the saved state is wrong.
func New(cfg Config, state HardState, log []Entry) (*Core, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	voters, err := NewVoters(cfg.Voters)
	if err != nil {
		return nil, err
	}
	saved, err := newLog(state, log)
	if err != nil {
		return nil, err
	}
	c := &Core{
		cfg: cfg, id: cfg.ID, voters: voters, reason: "started",
		term: state.Term, vote: state.Vote, log: saved, saved: state, leaderContact: -1,
		budget: termBudget{left: fullTermBudget},
	}
	c.founders, c.seated = slices.Clone(cfg.Founders), cfg.Seated
	if cfg.Founders == nil {
		c.seated = true
		for _, id := range voters {
			c.founders = append(c.founders, Seat{Member: id})
		}
	}
	c.takeSeat()
	c.others = slices.DeleteFunc(slices.Clone(voters), func(id NodeID) bool { return id == c.id })
	c.resetElectionTimer()
	return c, nil
}

// Term gives the current term.
func (c *Core) Term() Term { return c.term }

// TermAt gives the term of the entry at an index; false if the log does not reach there. Index 0, the place
// before the log, has term 0.
func (c *Core) TermAt(i Index) (Term, bool) { return c.log.term(i) }

// SetTime tells the wall clock, in microseconds since 1970. It stamps the no-op of a new term and decides nothing.
func (c *Core) SetTime(nowMicros int64) { c.now = nowMicros }

// Tick lets one tick pass.
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

// Step takes one message in. A request is answered by exactly one response, which carries its Tag. ErrBadMessage
// says that no correct peer can have sent it, a DivergedError that one of the two logs is damaged; nothing changed and
// nothing will be answered.
func (c *Core) Step(m Message) error {
	if err := c.check(&m); err != nil {
		return err
	}
	switch {
	case m.Term < c.term:
		c.answerOldTerm(&m)
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
	case MsgTimeoutNowResponse: // says no more than its term
	}
	return nil
}

// adoptsTerm tells whether a message's higher term becomes ours (paper 5.1). Three do not move us: a request for
// a pre-vote, and a pre-vote granted, speak of a term that nobody is in yet (thesis 9.6); and a request for a
// vote while a leader is at work is ignored, or a node that was cut off would depose it (thesis 4.2.3, trap T7).
func (c *Core) adoptsTerm(m *Message) bool {
	switch m.Type {
	case MsgRequestVote:
		return !m.PreVote && (m.Transfer || !c.hearsLeader())
	case MsgRequestVoteResponse:
		return !m.PreVote || !m.VoteGranted
	}
	return true
}

// hearsLeader tells whether a leader was at work within the least election timeout.
func (c *Core) hearsLeader() bool {
	return c.role == Leader || c.leader != 0 && c.leaderContact < c.cfg.ElectionTicks
}

// answerOldTerm answers a request of an older term with our own, so that its sender catches up (paper 5.1): that
// is also how a node which is ahead pulls the cluster up to its term (trap T6). The answer does not echo the
// request's numbers: they count within the old term, and if its sender leads our term by the time it arrives, it
// would take them for numbers of this one (traps T18, T39). Old responses say nothing.
func (c *Core) answerOldTerm(m *Message) {
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
	r.SentAt = 0
	r.RequestID, r.ReadSeq = 0, 0
	c.afterSave = append(c.afterSave, r)
}

// answer makes the response to a request, saying no so far.
func (c *Core) answer(m *Message, response MessageType) Message {
	r := Message{
		Type: response, From: c.id, To: m.From, Term: c.term,
		RequestID: m.RequestID, ReadSeq: m.ReadSeq, SentAt: m.SentAt, Tag: m.Tag,
	}
	if response == MsgAppendEntriesResponse && m.Term == c.term {
		r.Stamp = c.stampAnswer()
	}
	return r
}

// setTerm enters a new term, in which this node has voted for nobody and knows no leader.
func (c *Core) setTerm(term Term) {
	if term <= c.term {
		panic(fmt.Sprintf("raft: invariant broken: the term would go from %d to %d", c.term, term))
	}
	c.term, c.vote, c.leader = term, 0, 0
}

// setRole changes the role and begins a new wait.
func (c *Core) setRole(role Role, reason string) {
	c.role, c.reason = role, reason
	c.resetElectionTimer()
}

// resetElectionTimer begins the wait for a leader anew, with a new length: random, so that nodes rarely
// campaign at once (paper 5.2).
func (c *Core) resetElectionTimer() {
	c.electionElapsed = 0
	c.electionTimeout = c.cfg.ElectionTicks + c.cfg.Rand.IntN(c.cfg.ElectionTicks+1)
}
