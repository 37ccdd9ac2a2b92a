package raft

import "fmt"

// leadership is the state that a node has only while it leads a term.
type leadership struct {
	progress         []progress // of all peers, in ascending order of id
	departed         departure
	requestID        uint64 // of the last AppendEntries
	ticks            uint64 // since the term began
	heartbeatElapsed int    // ticks
	uncommittedBytes int    // command bytes above the commit index
	reads            readRounds
	transfer         transfer
	asked            bool // a transfer was begun in this term, and its target asked to campaign
}

// becomeLeader starts to lead the term in which this node was elected, with a no-op: a leader's commit index is
// reliable only once an entry of its own term commits (paper, section 8 and 5.4.2).
func (c *Core) becomeLeader(reason string) {
	c.setRole(Leader, reason)
	c.ballots = nil
	c.leader, c.led = c.id, c.term
	c.leaderContact = 0
	c.deferred = 0
	c.lead = leadership{}
	c.followMembers(c.log.last() + 1)
	for _, e := range c.log.slice(c.log.commit+1, c.log.last()) {
		c.lead.uncommittedBytes += len(e.Command)
	}
	c.appendOwn(EntryNoOp, c.cfg.Encoding.NoOp)
}

// appendOwn appends an entry that this leader creates itself.
func (c *Core) appendOwn(kind EntryType, command []byte) {
	c.log.append(Entry{Index: c.log.last() + 1, Term: c.term, Type: kind, Timestamp: c.now, Command: command})
	c.lead.uncommittedBytes += len(command)
}

// stopLeading drops the state of the term that ends. Reads that were confirmed but not yet returned are dropped as
// well: a change of leader beats a read that is ready (trap T40).
func (c *Core) stopLeading() {
	c.dropped = append(c.dropped, c.lead.reads.inFlight...)
	c.dropped = append(c.dropped, c.lead.reads.waiting...)
	for _, read := range c.confirmed {
		c.dropped = append(c.dropped, read.Token)
	}
	c.confirmed = nil
	c.lead = leadership{}
}

// Propose appends commands to the leader's log, one entry each, all or none, and returns the index of the first and
// their term. A command is committed once an entry of that term is committed at its index; if another term commits
// there, the command was lost. The caller must not change commands afterwards. nowMicros is their timestamp.
func (c *Core) Propose(nowMicros int64, commands [][]byte) (first Index, term Term, err error) {
	if c.role != Leader || c.differs {
		return 0, 0, ErrNotLeader
	}
	if c.lead.transfer.target != 0 {
		return 0, 0, ErrTransferring
	}
	size := 0
	for _, command := range commands {
		size += len(command)
	}
	// A proposal that exceeds the bound alone is accepted if nothing else is uncommitted.
	if c.lead.uncommittedBytes > 0 && c.lead.uncommittedBytes+size > c.cfg.MaxUncommittedBytes {
		return 0, 0, ErrOverloaded
	}
	first = c.log.last() + 1
	for i, command := range commands {
		c.log.append(Entry{Index: first + Index(i), Term: c.term, Timestamp: nowMicros, Command: command})
	}
	c.lead.uncommittedBytes += size
	return first, c.term, nil
}

// TakesProposals reports whether a proposal would be sent at once. While every follower's window is full, a proposal
// would only wait in the log, and be saved here by itself: the caller should hold proposals back until a response
// opens a window, so that they share one append and one save. TakesProposals returns true on a node that does not
// lead, and on a caretaker, because Propose refuses proposals there.
func (c *Core) TakesProposals() bool {
	if c.role != Leader || c.differs || len(c.members.electors) == 0 {
		return true
	}
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		if p.member == Voter && p.room(&c.cfg) >= 0 && c.nextFor(p) > c.log.offset {
			return true
		}
	}
	return false
}

// ReportUnreachable reports that a message to a node was lost. A leader then probes that node's log again, at the
// pace of its heartbeat responses.
func (c *Core) ReportUnreachable(to NodeID) {
	if p := c.progressOf(to); p != nil {
		p.sendAgain()
		p.pause(c.lead.ticks)
		if c.lead.transfer.target == to {
			c.lead.transfer.asked = false
		}
	}
}

// progressOf returns a follower's progress; nil if this node does not lead or id is not a member.
func (c *Core) progressOf(id NodeID) *progress {
	for i := range c.lead.progress {
		if c.lead.progress[i].id == id {
			return &c.lead.progress[i]
		}
	}
	return nil
}

// patience is how many ticks a leader waits for a response: the maximum election timeout. By then every follower that
// receives no leader campaigns; with less, a slow disk under a follower would look like a lost one.
func (c *Core) patience() int { return 2 * c.cfg.ElectionTicks }

// tickLeader counts time for heartbeats, lost appends and the transfer, and steps down if too few followers answer: a
// partitioned leader must not continue to lead (thesis 6.2, check-quorum).
func (c *Core) tickLeader() {
	c.lead.ticks++
	c.lead.heartbeatElapsed++
	beat := c.lead.heartbeatElapsed >= c.cfg.HeartbeatTicks
	if beat {
		c.lead.heartbeatElapsed = 0
	}
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		p.tick(c.lead.ticks, c.patience())
		// If nothing was sent for a whole tick, a follower receives a new commit index now rather than with the next
		// heartbeat: reads there wait for it. More often would cost a message for every write.
		commitDue := c.lead.ticks > p.sentAt+1 && min(c.log.commit, p.match) > p.sentCommit
		p.heartbeatDue = p.heartbeatDue || beat || commitDue
	}
	c.tickTransfer()
	if c.role != Leader {
		return
	}
	c.tickCaretaker()
	if !c.members.voters.Agree(func(id NodeID) bool { return id == c.id || c.isActive(c.progressOf(id)) }) {
		c.stepDown("no contact with a majority for one election timeout")
	}
	c.tickMembership()
}

// StoodStill reports that this node sent nothing for a number of ticks, because its disk did not respond. Ticks that it
// missed are not made up for, so check-quorum alone would let it lead on. A leader steps down whose followers must have
// given it up. It must not be called between Ready and Advance.
func (c *Core) StoodStill(ticks int) {
	if c.role != Leader || ticks < c.patience() ||
		c.members.voters.Agree(func(id NodeID) bool { return id == c.id }) {
		return
	}
	c.stepDown("its disk did not respond for the longest election timeout")
}

// stepDown stops leading the term, which has no leader then.
func (c *Core) stepDown(reason string) {
	c.becomeFollower(c.term, reason)
	c.leader = 0
}

// isActive reports whether a follower is seated and answered in time: for check-quorum, if it is a voter.
func (c *Core) isActive(p *progress) bool { return p.ackTicks < c.patience() && !p.unseated }

// handleAppendResponse handles a follower's response. What it reports about the log counts by the number of its
// request, because responses arrive late, twice and out of order (trap T18). That it accepts this leader always
// counts.
func (c *Core) handleAppendResponse(m *Message) {
	p := c.progressOf(m.From)
	if p == nil {
		return // this node stopped leading the term
	}
	if m.Incarnation != 0 {
		// A disk without a seat confirms nothing. The member's lost disk may have voted for a later leader, of which
		// this one has no record (trap T28).
		m.ReadSeq, m.SentAt, m.VoteHold = 0, 0, 0
	}
	p.answeredNow(m.ReadSeq)
	c.handleUnseated(p, m.Incarnation)
	c.noteAnswer(p, m)
	p.requested, p.level = m.RequestSnapshot, m.Level
	request, known := p.find(m.RequestID)
	switch {
	case m.Success:
		p.matched(m.MatchIndex)
		switch {
		case known:
			p.state = replicating
		case p.state == awaitingSnapshot && c.log.reaches(p.match+1):
			p.probe(p.match + 1)
		}
		if p.member == Learner {
			p.catchUp.acknowledged(p.match, c.log.last(), c.lead.ticks)
		}
	case known:
		c.handleConflict(p, request.prev, m)
	case m.RequestID != 0 && m.RequestID == p.heartbeat:
		p.refuses = true // a heartbeat carries only what the follower acknowledged
	}
	p.noteDisk(m.Disk)
	if m.Success {
		c.maybeCommit() // last: it may replace the records of the followers
	}
	c.confirmReads()
}

// handleConflict moves to where the logs may agree. The follower rejected prev, so the next attempt is always before
// it (trap T19); and always after match, which the follower acknowledged.
func (c *Core) handleConflict(p *progress, prev Index, m *Message) {
	if prev <= p.match {
		// The follower rejects what it acknowledged: its disk lost data (trap T28). Its progress must show that, and
		// must not make the leader spin.
		p.refuses = true
		p.probe(p.match + 1)
		p.pause(c.lead.ticks)
		return
	}
	next := m.ConflictIndex
	if m.ConflictTerm != 0 && prev >= c.log.offset { // the terms of earlier entries are not in memory
		// The leader's last entry that is no newer than the conflicting term: the logs cannot agree after it.
		ours := c.log.lastUpToTerm(m.ConflictTerm, prev)
		if c.log.mustTerm(ours) == m.ConflictTerm {
			next = ours + 1
		} else {
			next = min(next, ours+1)
		}
	}
	p.probe(min(next, prev))
	if !c.log.reaches(p.next) {
		p.awaitSnapshot() // the two logs differ, or its log ends, before this one begins
	}
}

// maybeCommit commits what a quorum has saved, if it is of this term; older entries are committed with it (paper
// 5.4.2, trap T12). This node counts with what it saved (trap T13), a node without a seat not at all (trap T28).
func (c *Core) maybeCommit() {
	index := c.members.voters.CommitIndex(func(id NodeID) Index {
		if id == c.id {
			return c.log.saved
		}
		if p := c.progressOf(id); !p.unseated {
			return p.match
		}
		return 0
	})
	if index <= c.log.commit || c.log.mustTerm(index) != c.term {
		return
	}
	for _, e := range c.log.slice(c.log.commit+1, index) {
		c.lead.uncommittedBytes -= len(e.Command)
	}
	if c.lead.uncommittedBytes < 0 {
		panic(fmt.Sprintf("raft: invariant broken: %d uncommitted bytes", c.lead.uncommittedBytes))
	}
	c.log.commitTo(index)
	c.configure()
	c.finishChange()
}
