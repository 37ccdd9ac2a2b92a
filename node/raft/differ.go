package raft

// RequestSnapshot makes this node request a snapshot, because its state machine does not have the state that the log
// leads to. The log is right, so the node goes on voting, accepting entries and acknowledging them: a quorum that needs
// it does not wait. It does not lead: a leader transfers leadership to the best successor, and steps down if there is
// none or the transfer fails. The request ends when Restore accepts a snapshot.
func (c *Core) RequestSnapshot() {
	c.differs = true
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
