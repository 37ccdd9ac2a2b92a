package raft

// A leader with a lease serves reads without a round, for as long as no other node can have been elected.
//
// Each acknowledgement of an append or a heartbeat states VoteHold: for how long its sender grants no vote, also not to
// itself, after it received a message of a leader. The leader adds that time, less the drift of the clocks, to SentAt,
// the moment on its own clock at which it created the message; the message arrived later, so the follower's time ends
// later (trap T42). The lease ends at the latest moment up to which a quorum holds its votes. Clocks of different nodes
// are never compared; only their rates must not differ by more than ClockDrift.
//
// A vote for the target of a transfer is granted nevertheless, so a leader that transfers leadership has no lease:
// until it gives that up if it has not asked the target yet, and for the rest of its term if it has.

// ReadPoint is what confirms a read: the read may be served once Index is applied.
type ReadPoint struct {
	Index Index
	// Leased reports that the lease of the leader confirmed it, without a round.
	Leased bool
}

// Lease is the right of a leader to serve reads by itself. The zero value is no lease.
type Lease struct {
	Term Term
	// End is when it ends, on the clock of SetClock; Always if no other node can be elected.
	End uint64
	// Index covers everything that was acknowledged when the lease was returned.
	Index Index
}

// Lease returns this leader's lease; the zero Lease if it has none. It is valid while the clock, as read after the
// lease was, is before its End.
func (c *Core) Lease() Lease {
	t := &c.lead.transfer
	if c.role != Leader || c.differs || t.target != 0 || c.lead.asked || c.log.mustTerm(c.log.commit) != c.term {
		return Lease{}
	}
	end := uint64(c.members.voters.CommitIndex(func(id NodeID) Index {
		if id == c.id {
			return Index(Always)
		}
		if p := c.progressOf(id); !p.unseated {
			return Index(p.holdsUntil)
		}
		return 0
	}))
	if end == 0 {
		return Lease{}
	}
	return Lease{Term: c.term, End: end, Index: c.log.commit}
}

// noteHold records until when the sender of a response holds its vote, on this node's clock. The request that it
// answers was created at SentAt.
func (c *Core) noteHold(p *progress, m *Message) {
	if m.SentAt != 0 && m.VoteHold != 0 {
		hold := uint64(float64(m.VoteHold) * (1 - c.cfg.ClockDrift))
		p.holdsUntil = max(p.holdsUntil, m.SentAt+hold)
	}
}

// holdVote begins the time in which this node grants no vote: it has received a message of a leader, or has started
// and may have acknowledged one before.
func (c *Core) holdVote() { c.heldSince = c.fresh.clock }

// holdsVote reports whether a lease may rest on this node, so that it grants no vote, also not its own. It asks the
// clock, because ticks come late, and many at once (trap T42). Without a clock it holds nothing.
func (c *Core) holdsVote() bool {
	return c.heldSince != 0 && c.fresh.clock < c.heldSince+c.cfg.VoteHold
}
