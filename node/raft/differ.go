package raft

// RequestSnapshot makes this node request a snapshot, because its state machine does not have the state that the log
// leads to. The log is right, so the node goes on voting, accepting entries and acknowledging them: a quorum that needs
// it does not wait. A leader transfers leadership to the best successor, and steps down if there is none or the
// transfer fails. From then on the node leads only as a caretaker. The request ends when Restore accepts a snapshot.
func (c *Core) RequestSnapshot() {
	c.differs, c.deferred = true, 0
	const why = "its state differs from that of the other members"
	switch {
	case c.role == Candidate || c.role == PreCandidate:
		c.becomeFollower(c.term, why)
	case c.role == Leader && c.lead.transfer.target == 0:
		if c.TransferLeadership(BestSuccessor(c.Status(), 2*c.cfg.HeartbeatTicks)) != nil {
			c.stepDown(why)
		}
	}
}

// tickCaretaker hands the leadership over to the first follower that needs no other state and has the whole log. A
// caretaker, a leader whose own state must be replaced, was elected because no other node could be: it has entries that
// they lack. It sends them these, and accepts no proposals. The log is all that an election and an append depend on, so
// it is as safe a leader as any. It leads on if there is no such follower, and none to pass the leadership on to: one
// may start later.
func (c *Core) tickCaretaker() {
	if !c.differs || c.lead.transfer.target != 0 {
		return
	}
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		if p.diskKnown && p.match == c.log.last() && c.isActive(p) && c.TransferLeadership(p.id) == nil {
			return
		}
	}
	if to := c.betterCaretaker(); to != 0 {
		c.lead.transfer = transfer{target: to}
	}
}

// betterCaretaker returns the follower to pass the leadership on to, although it has no state either; 0 if there is
// none. A follower that has a state lacks entries from before the caretaker's log begins, and no caretaker can send a
// snapshot: only a longer log helps. The one whose log begins first leads next, so the leadership is never passed back.
func (c *Core) betterCaretaker() NodeID {
	isNeeded, best, from := false, NodeID(0), c.snapshotFrom()
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		switch {
		case !p.diskKnown || !c.isActive(p):
		case p.requested == 0:
			isNeeded = isNeeded || p.state == awaitingSnapshot
		case p.requested < from && p.match == c.log.last() && p.disk != DiskFull && c.mayLead(p):
			best, from = p.id, p.requested
		}
	}
	if !isNeeded {
		return 0
	}
	return best
}

// mayLead reports whether a follower may be asked to lead: it is a voter that stays, with a seat.
func (c *Core) mayLead(p *progress) bool {
	return c.members.voters.incoming.Contains(p.id) && !p.unseated
}

// Differs reports whether this node requests a snapshot.
func (c *Core) Differs() bool { return c.differs }

// snapshotFrom returns the first index that a snapshot must reach to replace the state of this node: what follows it
// is on the disk, and is applied again.
func (c *Core) snapshotFrom() Index { return max(c.log.removed, 1) }

// takesSnapshot reports whether a snapshot that ends at an index is needed here.
func (c *Core) takesSnapshot(end Index) bool {
	return end > c.log.commit || c.differs && end >= c.snapshotFrom()
}

// SnapshotFrom returns the first index that a snapshot for a follower must reach: it needs the entries after it, which
// are on this node's disk or, if its state must be replaced, on its own.
func (c *Core) SnapshotFrom(peer NodeID) Index {
	if p := c.progressOf(peer); p != nil {
		return max(p.requested, c.log.removed)
	}
	return c.log.removed
}

// ProposeCheck appends an EntryCheck on a leader that accepts proposals, and returns its index.
func (c *Core) ProposeCheck() (Index, error) {
	switch {
	case c.role != Leader || c.differs:
		return 0, ErrNotLeader
	case c.lead.transfer.target != 0:
		return 0, ErrTransferring
	}
	c.appendOwn(EntryCheck, c.cfg.Encoding.Check)
	return c.log.last(), nil
}
