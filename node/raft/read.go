package raft

// ReadToken identifies one read, unique within this core: created by the leader, never by the caller (trap T39).
type ReadToken struct {
	Term Term
	Seq  uint64
}

// ReadState reports that the read with Token may be served once Index is applied.
type ReadState struct {
	Token ReadToken
	Index Index
}

// readRounds confirms reads without touching the log (thesis 6.4): a round asks every follower whether this node
// still leads, and confirms all the reads that wait. At most one round is in flight; reads that arrive meanwhile wait
// for the next, because the round may have begun before them.
type readRounds struct {
	seq      uint64      // of the last token
	waiting  []ReadToken // for a round
	round    uint64      // number of the last round; 0: none yet
	inFlight []ReadToken // the reads of that round, until it is confirmed
	index    Index       // the commit index when it began
}

// ReadIndex starts a linearizable read. Its token is returned in Reads of a later Ready, or in DroppedReads if this
// node stops leading first. ReadIndex returns ErrNotLeader if this node does not lead.
func (c *Core) ReadIndex() (ReadToken, error) {
	if c.role != Leader {
		return ReadToken{}, ErrNotLeader
	}
	reads := &c.lead.reads
	reads.seq++
	token := ReadToken{Term: c.term, Seq: reads.seq}
	reads.waiting = append(reads.waiting, token)
	return token, nil
}

// ReadIndexFor confirms a follower's read without a round, if the follower and this leader are a quorum: the
// follower's request in this term is its confirmation. Until it was sent, neither had entered a later term, so no
// leader can have been elected in one, and the commit index covers everything acknowledged until then. This holds for
// reads that began before the request, and only if a vote never leaves the follower before its requests carry the new
// term. It returns false if a round is needed, or if this node does not lead that term.
func (c *Core) ReadIndexFor(from NodeID, term Term) (Index, bool) {
	if c.role != Leader || term != c.term || c.log.mustTerm(c.log.commit) != c.term {
		return 0, false
	}
	if p := c.progressOf(from); p != nil && p.unseated {
		return 0, false // as in handleAppendResponse
	}
	if !c.members.voters.Agree(func(id NodeID) bool { return id == c.id || id == from }) {
		return 0, false
	}
	return c.log.commit, true
}

// canBeginReadRound reports whether reads wait, no round is in flight, and an entry of this term is committed: before
// that a new leader's commit index may be behind (trap T38).
func (c *Core) canBeginReadRound() bool {
	reads := &c.lead.reads
	return len(reads.waiting) > 0 && len(reads.inFlight) == 0 && c.log.mustTerm(c.log.commit) == c.term
}

// beginReadRound asks all followers at once. If the request is lost, the next heartbeat carries the round again.
func (c *Core) beginReadRound() {
	reads := &c.lead.reads
	reads.round++
	reads.inFlight, reads.waiting = reads.waiting, reads.inFlight
	reads.index = c.log.commit
	for i := range c.lead.progress {
		c.lead.progress[i].heartbeatDue = true
	}
	c.confirmReads()
}

// confirmReads returns the reads of the round once a quorum, this node included, has answered it.
func (c *Core) confirmReads() {
	reads := &c.lead.reads
	if len(reads.inFlight) == 0 {
		return
	}
	if !c.members.voters.Agree(func(id NodeID) bool { return id == c.id || c.progressOf(id).readRound >= reads.round }) {
		return
	}
	for _, token := range reads.inFlight {
		c.confirmed = append(c.confirmed, ReadState{Token: token, Index: reads.index})
	}
	reads.inFlight = reads.inFlight[:0]
}
