package raft

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

// readRounds confirms reads without touching the log (thesis 6.4): a round asks every follower whether we still
// lead, and one round confirms all the reads that wait. At most one is on its way; reads that come meanwhile
// wait for the next, because the round may have begun before they did.
type readRounds struct {
	seq      uint64      // of the last token
	waiting  []ReadToken // for a round
	round    uint64      // number of the last round; 0: none yet
	inFlight []ReadToken // the reads of that round, until it is confirmed
	index    Index       // the commit index when it began
}

// ReadIndex asks for a linearizable read. The token comes back in Reads of some later Ready, or in DroppedReads
// if this node stops leading first. ErrNotLeader if it does not lead now.
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

// ReadIndexFor answers a follower's question without a round, if the follower and this leader are a quorum: that it
// asked in our term is its confirmation. Until it asked, neither had entered a later term, so nobody can have been
// elected in one, and our commit index covers everything acknowledged until then. It holds for reads that began
// before the follower asked, and only if a vote never leaves the follower before its questions carry the new term.
// False if a round is needed, or if this node does not lead that term.
func (c *Core) ReadIndexFor(from NodeID, term Term) (Index, bool) {
	if c.role != Leader || term != c.term || c.log.mustTerm(c.log.commit) != c.term {
		return 0, false
	}
	if p := c.progressOf(from); p != nil && p.unseated {
		return 0, false // as in handleAppendResponse
	}
	if !c.voters.Agree(func(id NodeID) bool { return id == c.id || id == from }) {
		return 0, false
	}
	return c.log.commit, true
}

// canBeginReadRound tells whether reads wait, no round is on its way, and an entry of this term is committed:
// before that a new leader's commit index may be behind (trap T38).
func (c *Core) canBeginReadRound() bool {
	reads := &c.lead.reads
	return len(reads.waiting) > 0 && len(reads.inFlight) == 0 && c.log.mustTerm(c.log.commit) == c.term
}

// beginReadRound asks everyone at once. If the question is lost, the next heartbeat carries it again.
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

// confirmReads hands out the reads of the round once a quorum, this node included, said since it began that we lead.
func (c *Core) confirmReads() {
	reads := &c.lead.reads
	if len(reads.inFlight) == 0 {
		return
	}
	if !c.voters.Agree(func(id NodeID) bool { return id == c.id || c.progressOf(id).readRound >= reads.round }) {
		return
	}
	for _, token := range reads.inFlight {
		c.confirmed = append(c.confirmed, ReadState{Token: token, Index: reads.index})
	}
	reads.inFlight = reads.inFlight[:0]
}
