package raft

// Ready lists what the node must do now, in this order: follow Membership, send Messages, begin Fetches and snapshots,
// save HardState and Entries durably, send AfterSave, apply Committed, answer Reads; then call Advance.
type Ready struct {
	// Membership is set if the configuration in force, its commit, or the removal of this node changed. Messages are for
	// its peers.
	Membership *Membership
	// Messages may leave before the save: a leader's AppendEntries (thesis 10.2.1), pre-votes, TimeoutNow.
	Messages []Message
	// Fetches are parts of the log to read from the disk; report each with Fetched. SnapshotTo are followers to send a
	// snapshot to; report each with SnapshotSent or SnapshotFailed. Neither may delay what follows.
	Fetches    []Fetch
	SnapshotTo []NodeID
	// MustSave reports that HardState (term or vote) or Entries differ from what was saved last.
	MustSave  bool
	HardState HardState
	// Entries replace everything at and after Entries[0].Index in the stored log.
	Entries []Entry
	// AfterSave must not be sent before the save: votes, vote requests, acknowledgements (traps T1, T13, T14).
	AfterSave []Message
	// Committed entries have no gaps between them, and each is returned once.
	Committed []Entry
	// Reads are the read tokens that a quorum confirmed, each with the index to wait for (thesis 6.4).
	Reads []ReadState
	// DroppedReads are the tokens that were not confirmed before the node stopped leading; start these reads again.
	DroppedReads []ReadToken
}

// HasReady reports whether Ready would return anything.
func (c *Core) HasReady() bool {
	return c.memberNews || len(c.messages) > 0 || len(c.afterSave) > 0 || len(c.confirmed) > 0 || len(c.dropped) > 0 ||
		c.log.saved < c.log.last() || c.log.handed < c.log.commit || c.votesOrTermUnsaved() ||
		c.role == Leader && c.leaderHasWork()
}

// Ready returns what is to be done. Input before its Advance goes into the next one. A second call without an Advance
// in between panics.
func (c *Core) Ready() Ready {
	if c.readyOut {
		panic("raft: invariant broken: Ready was called again before Advance")
	}
	c.readyOut = true
	if c.role == Leader {
		c.prepareMessages()
	}
	rd := Ready{
		Messages:     c.messages,
		Fetches:      c.fetches,
		SnapshotTo:   c.snapshotTo,
		HardState:    c.HardState(),
		Entries:      c.log.slice(c.log.saved+1, c.log.last()),
		AfterSave:    c.afterSave,
		Committed:    c.log.slice(c.log.handed+1, c.log.commit),
		Reads:        c.confirmed,
		DroppedReads: c.dropped,
	}
	if c.memberNews {
		m := c.Membership()
		rd.Membership, c.memberNews = &m, false
	}
	rd.MustSave = len(rd.Entries) > 0 || c.votesOrTermUnsaved()
	c.log.handed = c.log.commit
	c.messages, c.fetches, c.snapshotTo, c.afterSave, c.confirmed, c.dropped = nil, nil, nil, nil, nil, nil
	return rd
}

// Advance reports that everything in rd was done. Only now does this node count itself: its vote in its own election
// (trap T1), and its own copy of what it proposed (trap T13). Entries in memory that exceed MaxTailBytes are dropped.
func (c *Core) Advance(rd Ready) {
	if !c.readyOut {
		panic("raft: invariant broken: Advance was called without a Ready before it")
	}
	c.readyOut = false
	c.saved = rd.HardState
	if n := len(rd.Entries); n > 0 {
		c.log.savedTo(rd.Entries[n-1])
	}
	switch {
	case c.role == Candidate && c.saved.Term == c.term && c.saved.Vote == c.id:
		c.countBallot(c.id, true)
	case c.role == Leader:
		c.maybeCommit()
	}
	c.log.trim(c.cfg.MaxTailBytes)
}

func (c *Core) votesOrTermUnsaved() bool {
	return c.term != c.saved.Term || c.vote != c.saved.Vote
}
