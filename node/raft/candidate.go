package raft

import (
	"strconv"
	"strings"
)

// deferredElections is how many times in a row the election timeout passes before a node campaigns whose state must be
// replaced: all others have had the time to be elected, and could not.
const deferredElections = 8

// mayCampaign reports whether this node may win an election: it is a voter and seated, and was not removed.
func (c *Core) mayCampaign() bool {
	return c.isVoter() && c.seated && c.removedBy == 0
}

// electionTimedOut starts an election, if this node may campaign and does not leave that to others.
func (c *Core) electionTimedOut() {
	if !c.mayCampaign() || c.defers() {
		c.leader = 0
		c.resetElectionTimer()
		return
	}
	if c.holdsVote() {
		return // its own vote is one too; the next tick tries again
	}
	c.becomePreCandidate("election timeout")
}

// defers reports whether this node leaves an election to others, because its state must be replaced. It campaigns in
// the end: the others may lack entries that only such nodes have (tickCaretaker).
func (c *Core) defers() bool {
	if !c.differs || c.deferred >= deferredElections {
		return false
	}
	c.deferred++
	return true
}

// becomePreCandidate asks the other voters whether they would grant a vote, without entering a new term: a node that
// cannot win must not disturb a cluster with a leader (thesis 9.6).
func (c *Core) becomePreCandidate(reason string) {
	c.leader = 0 // trap T6: a pre-candidate has no leader, and must be able to follow any
	c.setRole(PreCandidate, reason)
	c.ballots = make(map[NodeID]bool, len(c.members.electors)+1)
	request := c.voteRequest(c.term + 1)
	request.PreVote = true
	c.messages = c.appendToOthers(c.messages, request)
	c.countBallot(c.id, true)
}

// becomeCandidate starts a term and requests votes (paper 5.2). Its own vote counts once it is saved, in Advance.
func (c *Core) becomeCandidate(transfer bool, reason string) {
	c.setTerm(c.term + 1)
	c.vote = c.id
	c.setRole(Candidate, reason)
	c.ballots = make(map[NodeID]bool, len(c.members.electors)+1)
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

// appendToOthers addresses one message to every other voter.
func (c *Core) appendToOthers(messages []Message, m Message) []Message {
	for _, id := range c.members.electors {
		m.To = id
		messages = append(messages, m)
	}
	return messages
}

// handleVoteResponse counts a response, if it belongs to the current election (trap T2). The response to a vote
// request is of the current term, because Step handles all others; the response to a pre-vote carries the term that
// the request was for.
func (c *Core) handleVoteResponse(m *Message) {
	switch {
	case c.role == Candidate && !m.PreVote,
		c.role == PreCandidate && m.PreVote && (!m.VoteGranted || m.Term == c.term+1):
		c.countBallot(m.From, m.VoteGranted)
	}
}

// countBallot counts one voter's response. A granted vote stays granted whatever that voter sends later.
func (c *Core) countBallot(id NodeID, granted bool) {
	c.ballots[id] = c.ballots[id] || granted
	switch c.members.voters.tally(c.ballots) {
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

// supporters lists the voters that granted their vote, in ascending order.
func (c *Core) supporters() string {
	var ids []string
	for _, id := range c.members.voters.union() {
		if c.ballots[id] {
			ids = append(ids, strconv.FormatUint(uint64(id), 10))
		}
	}
	return strings.Join(ids, " ")
}
