package raft

import (
	"strconv"
	"strings"
)

// mayCampaign reports whether this node may win an election: a voter that is seated.
func (c *Core) mayCampaign() bool { return c.voters.Contains(c.id) && c.seated }

// electionTimedOut begins an election, if this node may.
func (c *Core) electionTimedOut() {
	if !c.mayCampaign() {
		c.leader = 0
		c.resetElectionTimer()
		return
	}
	c.becomePreCandidate("election timeout")
}

// becomePreCandidate asks whether the others would vote for us, without a new term: a node that cannot win must
// not disturb those who are at work (thesis 9.6).
func (c *Core) becomePreCandidate(reason string) {
	c.leader = 0 // trap T6: who asks has no leader, and must be able to follow any
	c.setRole(PreCandidate, reason)
	c.ballots = make(map[NodeID]bool, len(c.voters))
	request := c.voteRequest(c.term + 1)
	request.PreVote = true
	c.messages = c.appendToOthers(c.messages, request)
	c.countBallot(c.id, true)
}

// becomeCandidate begins a term and asks for votes (paper 5.2). Its own vote counts once it is saved, in Advance.
func (c *Core) becomeCandidate(transfer bool, reason string) {
	c.setTerm(c.term + 1)
	c.vote = c.id
	c.setRole(Candidate, reason)
	c.ballots = make(map[NodeID]bool, len(c.voters))
	request := c.voteRequest(c.term)
	request.Transfer = transfer
	c.afterSave = c.appendToOthers(c.afterSave, request)
}

func (c *Core) voteRequest(term Term) Message {
	return Message{
		Type: MsgRequestVote, From: c.id, Term: term,
		LastLogIndex: c.log.last(), LastLogTerm: c.log.lastTerm(),
	}
}

// appendToOthers addresses one message to every voter but this node.
func (c *Core) appendToOthers(messages []Message, m Message) []Message {
	for _, id := range c.others {
		m.To = id
		messages = append(messages, m)
	}
	return messages
}

// handleVoteResponse counts an answer, if it belongs to the election that goes on (trap T2). A real vote that comes
// here is of the current term, because Step took care of all others; a pre-vote says which term it was asked for.
func (c *Core) handleVoteResponse(m *Message) {
	switch {
	case c.role == Candidate && !m.PreVote,
		c.role == PreCandidate && m.PreVote && (!m.VoteGranted || m.Term == c.term+1):
		c.countBallot(m.From, m.VoteGranted)
	}
}

// countBallot counts one voter's answer; a yes stands, whatever that voter says later.
func (c *Core) countBallot(id NodeID, granted bool) {
	c.ballots[id] = c.ballots[id] || granted
	switch c.voters.tally(c.ballots) {
	case won:
		if c.role == PreCandidate {
			c.becomeCandidate(false, "pre-vote granted by "+c.supporters())
		} else {
			c.becomeLeader("elected by " + c.supporters())
		}
	case lost:
		c.becomeFollower(c.term, "a majority refused its vote")
	case undecided:
	}
}

// supporters lists who said yes, in ascending order.
func (c *Core) supporters() string {
	var ids []string
	for _, id := range c.voters {
		if c.ballots[id] {
			ids = append(ids, strconv.FormatUint(uint64(id), 10))
		}
	}
	return strings.Join(ids, " ")
}
