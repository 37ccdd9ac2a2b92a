package raft

// leaderHasWork reports whether prepareMessages would do anything.
func (c *Core) leaderHasWork() bool {
	if c.canBeginReadRound() || c.canAskTarget() {
		return true
	}
	for i := range c.lead.progress {
		if p := &c.lead.progress[i]; p.heartbeatDue || c.canSend(p) {
			return true
		}
	}
	return false
}

// prepareMessages creates a leader's messages when Ready fetches them, not when a command is proposed, so that many
// proposals in one pass share one AppendEntries per follower.
func (c *Core) prepareMessages() {
	if c.canBeginReadRound() {
		c.beginReadRound()
	}
	for i := range c.lead.progress {
		p := &c.lead.progress[i]
		if p.heartbeatDue {
			c.sendHeartbeat(p)
		}
		for c.canSend(p) {
			c.sendEntries(p)
		}
	}
	if c.canAskTarget() {
		c.askTarget()
	}
}

// canSend reports whether entries wait for a follower and its window is open.
func (c *Core) canSend(p *progress) bool {
	next := c.nextFor(p)
	if next > c.log.last() {
		return false
	}
	room := p.room(&c.cfg)
	if room < 0 {
		return false
	}
	return len(p.inflight) == 0 || len(c.log.slice(next, next)[0].Command) <= room
}

// nextFor returns the index of the entry to send next. That is the first of the log, if earlier ones were removed: a
// follower that does not hold what lies before it rejects the entry.
func (c *Core) nextFor(p *progress) Index { return max(p.next, c.log.offset+1) }

// sendEntries sends one AppendEntries with as many entries as the limits allow, at least one.
func (c *Core) sendEntries(p *progress) {
	limit := min(c.cfg.MaxMessageBytes, p.room(&c.cfg))
	next := c.nextFor(p)
	end := min(c.log.last(), next+Index(c.cfg.MaxMessageEntries)-1)
	entries := c.log.slice(next, end)
	count, bytes := 1, len(entries[0].Command)
	for count < len(entries) && bytes+len(entries[count].Command) <= limit {
		bytes += len(entries[count].Command)
		count++
	}
	m := c.appendRequest(p, next-1)
	m.Entries = entries[:count:count]
	m.LeaderCommit = c.log.commit
	c.messages = append(c.messages, m)
	last := m.PrevLogIndex + Index(count)
	p.sentCommit = min(m.LeaderCommit, last)
	p.sent(inflight{requestID: m.RequestID, prev: m.PrevLogIndex, last: last, bytes: bytes, sentAt: c.lead.ticks})
}

// sendHeartbeat sends a heartbeat. It carries only what the follower acknowledged, so that it succeeds even if it
// overtakes appends on another connection, and commits nothing beyond that. If that was removed from the log, it
// carries the start of the log, which the follower may reject.
func (c *Core) sendHeartbeat(p *progress) {
	p.heartbeatDue = false
	prev := max(p.match, c.log.offset)
	m := c.appendRequest(p, prev)
	m.LeaderCommit = min(c.log.commit, prev)
	p.heartbeat, p.sentCommit = 0, m.LeaderCommit
	if prev == p.match {
		p.heartbeat = m.RequestID
	}
	c.messages = append(c.messages, m)
}

func (c *Core) appendRequest(p *progress, prev Index) Message {
	c.lead.requestID++
	p.sentAt = c.lead.ticks
	m := Message{
		Type: MsgAppendEntries, From: c.id, To: p.id, Term: c.term,
		PrevLogIndex: prev, PrevLogTerm: c.log.mustTerm(prev), PrevLogDigest: c.log.digest(prev),
		RequestID: c.lead.requestID, ReadSeq: c.lead.reads.round,
	}
	c.stampRequest(p, &m)
	return m
}
