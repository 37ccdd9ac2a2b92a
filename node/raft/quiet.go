package raft

// QuietTicks returns the number of ticks after which the core has something to do, at least 1, if no message and no
// proposal comes before: the caller need not wake up for those before it, and delivers them together.
func (c *Core) QuietTicks() int {
	if c.role != Leader {
		return max(1, c.electionTimeout-c.electionElapsed)
	}
	if c.lead.transfer.target != 0 || c.membershipDue() {
		return 1
	}
	quiet := c.cfg.HeartbeatTicks - c.lead.heartbeatElapsed
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		if p.paused || len(p.inflight) > 0 || min(c.log.commit, p.match) > p.sentCommit {
			return 1
		}
		quiet = min(quiet, c.patience()-p.ackTicks)
	}
	return max(1, quiet)
}
