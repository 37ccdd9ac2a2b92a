package raft

// Status is what a core knows of itself, for people and metrics. It is a copy.
type Status struct {
	ID     NodeID
	Role   Role
	Reason string // why the role changed last: "election timeout", "higher term 5 from node 3", ...
	Term   Term
	Vote   NodeID // 0: nobody in this term
	Leader NodeID // 0: unknown

	Commit Index
	// LeaderCommit is the leader's commit index as far as this node was told; 0: never.
	LeaderCommit Index
	FirstIndex   Index // of the log in memory; LastIndex+1 if it is empty
	LastIndex    Index

	LeaderContactTicks int    // since the leader was heard; 0 on the leader, -1 if none ever was
	TransferTarget     NodeID // 0: no transfer goes on
	// Progress is how a leader sees everyone else, in ascending order of id; nil in every other role.
	Progress []ProgressStatus
}

// ProgressStatus is how a leader sees one follower.
type ProgressStatus struct {
	ID               NodeID
	Match, Next      Index
	State            string // "probe", "replicate", or "refuses": it rejects what it acknowledged, its disk lost data
	InflightMessages int    // AppendEntries with entries that were not answered
	AckTicks         int    // since the last answer
	Active           bool   // answered within the longest election timeout, and so counts for check-quorum
	Silent           bool   // has not answered within the longest election timeout
}

// Status tells what the core knows of itself.
func (c *Core) Status() Status {
	s := Status{
		ID: c.id, Role: c.role, Reason: c.reason, Term: c.term, Vote: c.vote, Leader: c.leader,
		Commit: c.log.commit, LeaderCommit: c.fresh.leaderCommit, FirstIndex: c.log.offset + 1, LastIndex: c.log.last(),
		LeaderContactTicks: c.leaderContact, TransferTarget: c.lead.transfer.target,
	}
	if c.role != Leader {
		return s
	}
	s.LeaderCommit = c.log.commit
	s.Progress = make([]ProgressStatus, len(c.lead.progress))
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		s.Progress[i] = ProgressStatus{
			ID: p.id, Match: p.match, Next: p.next, State: p.label(),
			InflightMessages: len(p.inflight), AckTicks: p.ackTicks, Active: c.isActive(p),
			Silent: p.ackTicks >= c.patience(),
		}
	}
	return s
}

// Standing is what changes when an election does: cheap enough to be asked after every step.
func (c *Core) Standing() (role Role, term Term, leader NodeID) { return c.role, c.term, c.leader }

// HardState is the current term, the vote in it and the commit index, whether they are on the disk yet or not.
func (c *Core) HardState() HardState {
	return HardState{Term: c.term, Vote: c.vote, Commit: c.log.commit}
}

// LastIndex is the index of the last entry in the log; 0 if there was never one.
func (c *Core) LastIndex() Index { return c.log.last() }

// Entries gives the entries with from <= index <= to. They are shared with the log, and nobody may change them. It
// panics if the log does not hold them all.
func (c *Core) Entries(from, to Index) []Entry { return c.log.slice(from, to) }
