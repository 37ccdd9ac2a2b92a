package raft

import "fmt"

// becomeFollower follows whoever leads the term. A node that was no follower begins a new wait; a follower's wait
// goes on, because only a leader or a vote that it gave begins it anew (paper 5.2).
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

// handleRequestVote answers a request for a vote or a pre-vote, whatever our role, and whether or not we are a
// voter: the candidate may know of a configuration that we have not heard of (trap T8).
func (c *Core) handleRequestVote(m *Message) {
	r := c.answer(m, MsgRequestVoteResponse)
	r.PreVote = m.PreVote
	r.VoteGranted = c.wouldVote(m)
	if m.PreVote {
		if r.VoteGranted {
			r.Term = m.Term // or the pre-candidate, which is in an older term, would take it for an old one (trap T5)
		}
		c.messages = append(c.messages, r) // a pre-vote promises nothing, so it need not wait for the disk
		return
	}
	if r.VoteGranted {
		c.vote = m.From
		c.resetElectionTimer()
	}
	c.afterSave = append(c.afterSave, r)
}

// wouldVote is the rule for votes: nobody else got ours in that term, the candidate's log holds everything that
// may be committed (paper 5.2, 5.4.1), and no leader is at work that the candidate merely does not hear (trap T7). A
// node without a seat votes for none: its member may have voted already, with a disk that was lost (trap T28).
func (c *Core) wouldVote(m *Message) bool {
	if !c.seated {
		return false
	}
	if (m.PreVote || m.Term > c.term) && !m.Transfer && c.hearsLeader() {
		return false
	}
	free := m.Term > c.term || c.vote == m.From || c.vote == 0 && c.leader == 0
	return free && c.log.isUpToDate(m.LastLogTerm, m.LastLogIndex)
}

// acceptLeader notes that a node leads the current term. A term has at most one leader (paper 5.2, Election Safety):
// checkLeader refused the messages of a second one (trap T10).
func (c *Core) acceptLeader(id NodeID) {
	if c.leader != 0 && c.leader != id {
		panic(fmt.Sprintf("raft: invariant broken: nodes %d and %d both lead term %d (trap T10)", c.leader, id, c.term))
	}
	if c.role != Follower {
		c.becomeFollower(c.term, fmt.Sprintf("node %d leads term %d", id, c.term))
	}
	c.leader = id
	c.leaderContact = 0
	c.resetElectionTimer()
}

// handleAppendEntries takes a leader's entries, or its heartbeat (paper 5.3). The answer waits for the disk even
// when it brought nothing new: what it repeats may not be saved yet (trap T14).
func (c *Core) handleAppendEntries(m *Message) {
	c.acceptLeader(m.From)
	c.noteRequest(m)
	r := c.answer(m, MsgAppendEntriesResponse)
	if t, ok := c.log.term(m.PrevLogIndex); ok && t == m.PrevLogTerm {
		c.log.merge(m.Entries)
		r.Success = true
		r.MatchIndex = m.PrevLogIndex + Index(len(m.Entries)) // of this request, not of the log (trap T15)
		r.MatchDigest = c.log.digest(r.MatchIndex)
		c.log.commitTo(min(m.LeaderCommit, r.MatchIndex)) // only what it verified (trap T16)
		c.takeSeat()
	} else {
		r.ConflictIndex, r.ConflictTerm = c.conflict(m.PrevLogIndex)
	}
	if !c.seated {
		r.Incarnation = c.cfg.Incarnation
	}
	c.afterSave = append(c.afterSave, r)
}

// conflict says where our log may begin to differ from the leader's, which has another entry at prev than we do:
// the first index of our term there, so that the leader skips a whole term at once (paper 5.3), or the end of our log.
// What is committed is the same everywhere, so it is never before that.
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

// handleTimeoutNow campaigns at once, because the leader hands over to us (thesis 3.10): no pre-vote, and the
// requests say that the leader wants it.
func (c *Core) handleTimeoutNow(m *Message) {
	c.acceptLeader(m.From)
	c.afterSave = append(c.afterSave, c.answer(m, MsgTimeoutNowResponse))
	if c.mayCampaign() {
		c.becomeCandidate(true, fmt.Sprintf("node %d hands over", m.From))
	}
}
