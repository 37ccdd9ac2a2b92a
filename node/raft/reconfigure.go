package raft

import "fmt"

// ProposeChange appends the configuration that a change leads to, and returns its index and term. It is in force at
// once. If it is joint, its second step follows by itself. The change is done once a configuration that is not joint is
// committed at that index or later; if another term commits there, the change was lost.
//
// The errors are those of change.go, ErrNotLeader and ErrTransferring; nothing was appended.
func (c *Core) ProposeChange(change Change) (Index, Term, error) {
	if err := c.mayReconfigure(); err != nil {
		return 0, 0, err
	}
	current := c.members.current
	if change.Expected != current.Index {
		return 0, 0, fmt.Errorf("%w: it is %d, and not %d", ErrConfigurationIndex, current.Index, change.Expected)
	}
	if err := c.checkLevels(change); err != nil {
		return 0, 0, err
	}
	next, err := current.apply(change)
	if err != nil {
		return 0, 0, err
	}
	for _, id := range change.Promote {
		if err := c.checkCaughtUp(id); err != nil {
			return 0, 0, err
		}
	}
	if err := c.checkQuorum(next); err != nil && !change.Force {
		return 0, 0, err
	}
	if !next.Voters().Contains(c.id) {
		if err := c.handOverFirst(next.Voters()); err != nil {
			return 0, 0, err
		}
	}
	c.appendConfiguration(next)
	return c.log.last(), c.term, nil
}

// mayReconfigure returns the reason why this node may not append a configuration now; nil if it may.
func (c *Core) mayReconfigure() error {
	switch current := c.members.current; {
	case c.role != Leader || c.differs:
		return ErrNotLeader
	case c.lead.transfer.target != 0:
		return ErrTransferring
	case current.Index > c.log.commit || current.Joint():
		return fmt.Errorf("%w: that of entry %d", ErrChangeInFlight, current.Index)
	case c.log.mustTerm(c.log.commit) != c.term:
		return ErrTermNotCommitted
	}
	return nil
}

// appendConfiguration puts a configuration into force by appending it.
func (c *Core) appendConfiguration(next Configuration) {
	if current := c.members.current; current.Index > c.log.commit || c.log.mustTerm(c.log.commit) != c.term {
		panic(fmt.Sprintf("raft: invariant broken: a configuration would follow that of entry %d; the commit index is %d "+
			"(traps T23, T24)", current.Index, c.log.commit))
	}
	c.appendOwn(EntryConfig, c.cfg.Encoding.Configuration(next))
	c.configure()
}

// checkQuorum returns an error if fewer voters of a configuration than a quorum respond: what is proposed next would
// not be committed.
func (c *Core) checkQuorum(next Configuration) error {
	responds := func(id NodeID) bool {
		p := c.progressOf(id)
		return id == c.id || p != nil && p.responds(c.cfg.ElectionTicks)
	}
	voters := next.quorums()
	if voters.Agree(responds) {
		return nil
	}
	var silent []NodeID
	for _, id := range voters.union() {
		if !responds(id) {
			silent = append(silent, id)
		}
	}
	return fmt.Errorf("%w: of the voters %v, these have not responded within an election timeout: %v", ErrQuorumAtRisk,
		voters.union(), silent)
}

// handOverFirst transfers the leadership to one of the remaining voters before this node is removed, so that proposals
// do not stop for an election timeout. It returns nil if none can take over, or the last transfer of this term failed.
func (c *Core) handOverFirst(remaining Voters) error {
	if c.lead.transfer.failed {
		return nil
	}
	to := c.successorAmong(remaining)
	if to == 0 || c.TransferLeadership(to) != nil {
		return nil
	}
	return fmt.Errorf("%w: to node %d", ErrHandingOver, to)
}

// successorAmong returns the best successor of this leader among some voters; 0 if there is none.
func (c *Core) successorAmong(voters Voters) NodeID {
	s := c.Status()
	var fit []ProgressStatus
	for _, p := range s.Progress {
		if voters.Contains(p.ID) {
			fit = append(fit, p)
		}
	}
	s.Progress = fit
	return BestSuccessor(s, 2*c.cfg.HeartbeatTicks)
}

// finishChange does what follows once the configuration in force is committed: the second step of a joint one follows,
// and a leader that is no voter any more steps down (trap T26).
func (c *Core) finishChange() {
	current := c.members.current
	if c.role != Leader || current.Index > c.log.commit {
		return
	}
	switch {
	case current.Joint():
		if c.lead.transfer.target == 0 && !c.differs && c.log.mustTerm(c.log.commit) == c.term {
			c.appendConfiguration(current.left())
		}
	case !c.members.voters.Contains(c.id):
		c.leadNoMore()
	}
}

// leadNoMore steps down because the removal of this leader is committed, and asks a voter with the whole log to
// campaign.
func (c *Core) leadNoMore() {
	to := c.successorAmong(c.members.voters.incoming)
	if p := c.progressOf(to); p != nil && p.match == c.log.last() && !p.paused {
		c.messages = append(c.messages, Message{Type: MsgTimeoutNow, From: c.id, To: to, Term: c.term})
	}
	c.stepDown("its removal is committed")
}

// tickMembership forgets members that were removed a while ago, and promotes a learner that has caught up.
func (c *Core) tickMembership() {
	if c.role != Leader {
		return
	}
	if d := &c.lead.departed; len(d.members) > 0 && c.lead.ticks >= d.until {
		*d = departure{}
		c.followMembers(c.log.last())
		c.memberNews = true
	}
	c.finishChange()
	if id := c.learnerToPromote(); id != 0 {
		_, _, _ = c.ProposeChange(Change{Expected: c.members.current.Index, Promote: []NodeID{id}}) // else at a later tick
	}
}

// learnerToPromote returns a learner that is to be promoted when it has caught up, and has; 0 if there is none.
func (c *Core) learnerToPromote() NodeID {
	for _, m := range c.members.others {
		if m.Role == Learner && m.AutoPromote && c.checkCaughtUp(m.ID) == nil {
			return m.ID
		}
	}
	return 0
}

// membershipDue reports whether tickMembership has something to wait for.
func (c *Core) membershipDue() bool {
	return len(c.lead.departed.members) > 0 || c.learnerToPromote() != 0
}
