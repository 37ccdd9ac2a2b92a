package raft

import "fmt"

// becomeFollower follows the leader of the term. The election timer restarts unless this node was a follower already:
// then only a message of the leader or a granted vote restarts it (paper 5.2).
func (c *Core) becomeFollower(term Term, reason string) {
	if c.role == Leader {
		c.stopLeading()
	}
	if term != c.term {
		c.setTerm(term)
	}
	c.ballots = nil
	if c.role != Follower {
		c.setRole(Follower, reason)
	}
}

// handleRequestVote answers a request for a vote or a pre-vote in every role, and also on a learner: the candidate
// may have a newer configuration than this node (trap T8).
func (c *Core) handleRequestVote(m *Message) {
	r := c.answer(m, MsgRequestVoteResponse)
	r.PreVote = m.PreVote
	r.VoteGranted = c.wouldVote(m)
	if m.PreVote {
		if r.VoteGranted {
			r.Term = m.Term // with its older term, the pre-candidate would ignore the response (trap T5)
		}
		c.messages = append(c.messages, r) // a pre-vote commits this node to nothing, so it need not wait for the disk
		return
	}
	if r.VoteGranted {
		c.vote = m.From
		c.resetElectionTimer()
	}
	c.afterSave = append(c.afterSave, r)
}

// wouldVote is the rule for votes: this node voted for no other candidate in that term, the candidate's log holds
// everything that may be committed (paper 5.2, 5.4.1), and no leader is active that the candidate fails to receive
// (trap T7) or may have a lease that rests on this node, whatever the term (trap T42). A node without a seat never
// votes: its member may have voted already, with a disk that was lost (trap T28).
func (c *Core) wouldVote(m *Message) bool {
	if !c.seated {
		return false
	}
	if (m.PreVote || m.Term > c.term) && !m.Transfer && c.leaderActive() {
		return false
	}
	if !m.Transfer && c.holdsVote() {
		return false
	}
	free := m.Term > c.term || c.vote == m.From || c.vote == 0 && c.leader == 0
	return free && c.log.isUpToDate(m.LastLogTerm, m.LastLogIndex)
}

// acceptLeader records the leader of the current term. A term has at most one leader (paper 5.2, Election Safety):
// checkLeader refuses the messages of a second one (trap T10).
func (c *Core) acceptLeader(id NodeID) {
	if c.leader != 0 && c.leader != id {
		panic(fmt.Sprintf("raft: invariant broken: nodes %d and %d both lead term %d (trap T10)", c.leader, id, c.term))
	}
	if c.role != Follower {
		c.becomeFollower(c.term, fmt.Sprintf("node %d leads term %d", id, c.term))
	}
	c.leader = id
	c.leaderContact = 0
	c.deferred = 0
	c.resetElectionTimer()
}

// handleAppendEntries appends a leader's entries, or handles its heartbeat (paper 5.3). The response waits for the
// disk even if nothing was new: entries that are sent again may not be saved yet (trap T14). A request that begins
// before the start of the log is acknowledged at least up to there.
func (c *Core) handleAppendEntries(m *Message) {
	m = c.log.fromStart(m)
	c.acceptLeader(m.From)
	c.holdVote()
	c.noteRequest(m)
	if c.disk == DiskFull {
		m = c.log.held(m)
	}
	r := c.answer(m, MsgAppendEntriesResponse)
	if t, ok := c.log.term(m.PrevLogIndex); ok && t == m.PrevLogTerm {
		c.log.merge(m.Entries)
		r.Success = true
		r.MatchIndex = m.PrevLogIndex + Index(len(m.Entries)) // of this request, not of the log (trap T15)
		r.MatchDigest = c.log.digest(r.MatchIndex)
		c.log.commitTo(min(m.LeaderCommit, r.MatchIndex)) // only what the request verified (trap T16)
		c.configure()
		c.takeSeat()
	} else {
		r.ConflictIndex, r.ConflictTerm = c.conflict(m.PrevLogIndex)
	}
	r.VoteHold = c.cfg.VoteHold
	if c.differs {
		r.RequestSnapshot = c.snapshotFrom()
	}
	if !c.seated {
		r.Incarnation = c.cfg.Incarnation
	}
	c.afterSave = append(c.afterSave, r)
}

// conflict returns where this node's log may begin to differ from the leader's, whose entry at prev differs: the
// first index of the term of the entry at prev, so that the leader skips a whole term at once (paper 5.3), or the end
// of a shorter log. Committed entries are the same everywhere, so it is never before the commit index.
func (c *Core) conflict(prev Index) (Index, Term) {
	if prev > c.log.last() {
		return c.log.last() + 1, 0
	}
	if prev <= c.log.commit {
		panic(fmt.Sprintf("raft: invariant broken: the leader of term %d has another entry at %d, which is committed here",
			c.term, prev))
	}
	return max(c.log.firstOfTermAt(prev), c.log.commit+1), c.log.mustTerm(prev)
}

// handleTimeoutNow campaigns at once, because the leader transfers leadership to this node (thesis 3.10): without a
// pre-vote, and the vote requests carry Transfer. A node whose state must be replaced does so as well, because a
// caretaker passes on to it, and leaves the next elections to no others. A leader that has a state, to
// which no response has reported this yet, gets the leadership back.
func (c *Core) handleTimeoutNow(m *Message) {
	c.acceptLeader(m.From)
	c.afterSave = append(c.afterSave, c.answer(m, MsgTimeoutNowResponse))
	if c.mayCampaign() {
		c.deferred = deferredElections
		c.becomeCandidate(true, fmt.Sprintf("node %d hands over", m.From))
	}
}
