package raft

import (
	"fmt"
	"slices"
)

// leadership is what a node knows only while it leads a term, and forgets with it.
type leadership struct {
	progress         []progress // of everyone else, in ascending order of id
	requestID        uint64     // of the last AppendEntries
	ticks            uint64     // since the term began
	heartbeatElapsed int        // ticks
	uncommittedBytes int        // command bytes above the commit index
	reads            readRounds
	transfer         transfer
}

// becomeLeader begins to lead the term that this node was elected in, with a no-op: only when an entry of its own
// term commits does a leader know what is committed (paper, section 8 and 5.4.2).
func (c *Core) becomeLeader(reason string) {
	c.setRole(Leader, reason)
	c.ballots = nil
	c.leader, c.led = c.id, c.term
	c.leaderContact = 0
	c.lead = leadership{progress: make([]progress, len(c.others))}
	for i, id := range c.others {
		c.lead.progress[i] = progress{id: id, next: c.log.last() + 1} // optimistic (paper 5.3)
	}
	for _, e := range c.log.slice(c.log.commit+1, c.log.last()) {
		c.lead.uncommittedBytes += len(e.Command)
	}
	c.log.append(Entry{Index: c.log.last() + 1, Term: c.term, Timestamp: c.now, Command: noOpCommand})
	c.lead.uncommittedBytes += len(noOpCommand)
}

// stopLeading drops what belongs to the term that ends. Reads that were confirmed but not yet handed out go as
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

// Propose appends commands to the leader's log, one entry each, all or none, and gives the index of the first and
// their term. They are done once an entry of that term stands committed at that index; if another term commits
// there, they were lost. Commands may not be changed afterwards. nowMicros is their time stamp.
func (c *Core) Propose(nowMicros int64, commands [][]byte) (first Index, term Term, err error) {
	if c.role != Leader {
		return 0, 0, ErrNotLeader
	}
	if c.lead.transfer.target != 0 {
		return 0, 0, ErrTransferring
	}
	size := 0
	for _, command := range commands {
		size += len(command)
	}
	// A proposal that is larger than the whole bound goes through when nothing else waits.
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

// TakesProposals tells whether a proposal would travel at once. While every follower's window is full it would
// only wait in the log, and be saved here by itself: the caller does better to hold proposals back until an answer
// opens a window, so that they share one append and one save. It is true on a node that does not lead, because
// Propose refuses them there.
func (c *Core) TakesProposals() bool {
	if c.role != Leader || len(c.lead.progress) == 0 {
		return true
	}
	return slices.ContainsFunc(c.lead.progress, func(p progress) bool { return p.room(&c.cfg) >= 0 })
}

// ReportUnreachable says that a message to a node was lost. A leader probes anew where that node's log stands, at
// the pace of its answers to heartbeats.
func (c *Core) ReportUnreachable(to NodeID) {
	if p := c.progressOf(to); p != nil {
		p.probe(p.match + 1)
		p.pause(c.lead.ticks)
		if c.lead.transfer.target == to {
			c.lead.transfer.asked = false
		}
	}
}

// progressOf gives a follower's progress; nil if we do not lead or do not know it.
func (c *Core) progressOf(id NodeID) *progress {
	for i := range c.lead.progress {
		if c.lead.progress[i].id == id {
			return &c.lead.progress[i]
		}
	}
	return nil
}

// patience is how many ticks a leader waits for an answer: the longest election timeout. By then every follower that
// does not hear us campaigns; less would let a slow disk under a follower look like a lost one.
func (c *Core) patience() int { return 2 * c.cfg.ElectionTicks }

// tickLeader counts time for heartbeats, lost appends and the transfer, and steps down when too few followers
// answer: a leader that is cut off must not go on believing in itself (thesis 6.2, check-quorum).
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
		// When nothing went out for a whole tick, a follower learns of a commit now rather than at the next heartbeat:
		// reads there wait for it. More often would cost a message for every write.
		news := c.lead.ticks > p.sentAt+1 && min(c.log.commit, p.match) > p.told
		p.heartbeatDue = p.heartbeatDue || beat || news
	}
	c.tickTransfer()
	if !c.voters.Agree(func(id NodeID) bool { return id == c.id || c.isActive(c.progressOf(id)) }) {
		c.becomeFollower(c.term, "no contact with a majority for one election timeout")
		c.leader = 0
	}
}

// isActive tells whether a follower is seated and answered in time, and so counts for check-quorum.
func (c *Core) isActive(p *progress) bool { return p.ackTicks < c.patience() && !p.unseated }

// handleAppendResponse learns from a follower's answer. What it says of the log counts by the number of its
// request, because answers come late, twice and out of order (trap T18); that it accepts us as the leader
// counts whatever else it says.
func (c *Core) handleAppendResponse(m *Message) {
	p := c.progressOf(m.From)
	if p == nil {
		return // we stopped leading this term
	}
	if m.Incarnation != 0 {
		// A disk without a seat confirms nothing. The member's lost disk may have voted for a later leader, and this
		// one does not know it (trap T28).
		m.ReadSeq, m.SentAt = 0, 0
	}
	p.hear(m.ReadSeq)
	c.handleUnseated(p, m.Incarnation)
	c.noteAnswer(p, m)
	request, known := p.find(m.RequestID)
	switch {
	case m.Success:
		p.matched(m.MatchIndex)
		if known {
			p.state = replicating
		}
		c.maybeCommit()
	case known:
		c.handleConflict(p, request.prev, m)
	case m.RequestID != 0 && m.RequestID == p.heartbeat:
		p.refuses = true // a heartbeat speaks only of what it acknowledged
	}
	c.confirmReads()
}

// handleConflict moves to where the logs may agree. The answer rejected prev, so the next attempt is always
// before it (trap T19); and always after match, which the follower acknowledged.
func (c *Core) handleConflict(p *progress, prev Index, m *Message) {
	if prev <= p.match {
		// It refuses what it acknowledged: its disk lost data (trap T28). Its state must be seen, not hidden, and it
		// must not make us spin.
		p.refuses = true
		p.probe(p.match + 1)
		p.pause(c.lead.ticks)
		return
	}
	next := m.ConflictIndex
	if m.ConflictTerm != 0 {
		// Our last entry that is no newer than its conflicting term: the logs cannot agree after it.
		ours := c.log.lastUpToTerm(m.ConflictTerm, prev)
		if c.log.mustTerm(ours) == m.ConflictTerm {
			next = ours + 1
		} else {
			next = min(next, ours+1)
		}
	}
	p.probe(min(next, prev))
}

// maybeCommit commits what a quorum holds on disk, if it is of this term; older entries ride along (paper 5.4.2,
// trap T12). This node counts with what it saved (trap T13), a node without a seat not at all (trap T28).
func (c *Core) maybeCommit() {
	index := c.voters.CommitIndex(func(id NodeID) Index {
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
}
