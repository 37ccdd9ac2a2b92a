package raft

// Status is a copy of a core's state, for the status and metrics.
type Status struct {
	ID     NodeID
	Role   Role
	Reason string // why the role changed last: "election timeout", "higher term 5 from node 3", ...
	Term   Term
	Vote   NodeID // 0: none in this term
	Leader NodeID // 0: unknown

	Commit Index
	// LeaderCommit is the leader's commit index as last received; 0: never.
	LeaderCommit Index
	FirstIndex   Index // of the log on the disk; LastIndex+1 if it is empty
	LastIndex    Index

	LeaderContactTicks int    // since the last message of the leader; 0 on the leader, -1: never
	TransferTarget     NodeID // 0: no transfer is in progress
	// Progress is the leader's record of its peers, in ascending order of id; nil in every other role.
	Progress []ProgressStatus
}

// ProgressStatus is the leader's record of one follower.
type ProgressStatus struct {
	ID          NodeID
	Member      MemberRole // Leaving also for a while after it was removed
	Match, Next Index
	// State is "probe", "replicate", "snapshot": its log ends before the leader's begins, or "refuses": it rejects what
	// it acknowledged, its disk lost data.
	State            string
	InflightMessages int  // AppendEntries with entries that were not answered
	AckTicks         int  // since the last response
	Active           bool // answered within the maximum election timeout, and so counts for check-quorum
	Silent           bool // has not answered within the maximum election timeout
	Disk             DiskState
	DiskKnown        bool // the follower has reported Disk in this term
	CaughtUp         bool // a learner that can be promoted
	// OldVersion: the follower's program has no configurations in its log, and this log has one. It takes no entries.
	OldVersion bool
}

// Status returns the state of the core.
func (c *Core) Status() Status {
	s := Status{
		ID: c.id, Role: c.role, Reason: c.reason, Term: c.term, Vote: c.vote, Leader: c.leader,
		Commit: c.log.commit, LeaderCommit: c.fresh.leaderCommit, FirstIndex: c.log.removed + 1, LastIndex: c.log.last(),
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
			ID: p.id, Member: p.member, Match: p.match, Next: p.next, State: p.label(),
			InflightMessages: len(p.inflight), AckTicks: p.ackTicks, Active: c.isActive(p),
			Silent: p.ackTicks >= c.patience(), Disk: p.disk, DiskKnown: p.diskKnown,
			CaughtUp: p.member == Learner && c.checkCaughtUp(p.id) == nil, OldVersion: c.isTooOld(p),
		}
	}
	return s
}

// Standing returns what an election changes. It is cheap enough to call after every step.
func (c *Core) Standing() (role Role, term Term, leader NodeID) { return c.role, c.term, c.leader }

// HardState is the current term, the vote in it and the commit index, whether they are on the disk yet or not.
func (c *Core) HardState() HardState {
	return HardState{Term: c.term, Vote: c.vote, Commit: c.log.commit}
}

// TailStart returns the index before the first entry in memory.
func (c *Core) TailStart() Index { return c.log.offset }

// LastIndex returns the index of the last entry in the log; 0 if it never had one.
func (c *Core) LastIndex() Index { return c.log.last() }

// Entries returns the entries with from <= index <= to. They are shared with the log and must not be changed. It
// panics if the memory does not hold them all.
func (c *Core) Entries(from, to Index) []Entry { return c.log.slice(from, to) }
