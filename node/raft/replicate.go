package raft

// leaderHasWork reports whether prepareMessages would do anything.
func (c *Core) leaderHasWork() bool {
	if c.canBeginReadRound() || c.canAskTarget() {
		return true
	}
	for i := range c.lead.progress {
		if p := &c.lead.progress[i]; p.heartbeatDue || c.canSend(p) || c.wantsFetch(p) || c.wantsSnapshot(p) {
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
		if c.wantsFetch(p) {
			c.fetch(p)
		}
		if c.wantsSnapshot(p) {
			p.snapshotOut = true
			c.snapshotTo = append(c.snapshotTo, p.id)
		}
	}
	if c.canAskTarget() {
		c.askTarget()
	}
}

// canSend reports whether entries wait for a follower, in memory or fetched, and its window is open.
func (c *Core) canSend(p *progress) bool {
	next := c.nextFor(p)
	if next > c.log.last() {
		return false
	}
	room := p.room(&c.cfg)
	if room < 0 {
		return false
	}
	_, entries := c.entriesAfter(p, next-1, 1)
	return len(entries) > 0 && (len(p.inflight) == 0 || len(entries[0].Command) <= room)
}

// nextFor returns the index of the entry to send next. That is the first in memory, if the one that the follower may
// need was removed: a follower that does not hold what lies before it rejects the entry.
func (c *Core) nextFor(p *progress) Index {
	if c.log.reaches(p.next) {
		return p.next
	}
	return c.log.offset + 1
}

// entriesAfter returns up to limit entries after an index, with the position there: from the tail, or fetched for the
// follower; none if they have to be fetched.
func (c *Core) entriesAfter(p *progress, prev Index, limit int) (position, []Entry) {
	if prev >= c.log.offset {
		return c.log.at(prev), c.log.slice(prev+1, min(c.log.last(), prev+Index(limit)))
	}
	if !p.ahead.follows(prev) {
		return position{}, nil
	}
	return p.ahead.start, p.ahead.entries[:min(limit, len(p.ahead.entries))]
}

// sendEntries sends one AppendEntries with as many entries as the limits allow, at least one.
func (c *Core) sendEntries(p *progress) {
	next := c.nextFor(p)
	if next != p.next {
		p.probe(next) // what it may need was removed; its response shows whether it does
	}
	limit := min(c.cfg.MaxMessageBytes, p.room(&c.cfg))
	prev, entries := c.entriesAfter(p, next-1, c.cfg.MaxMessageEntries)
	count, bytes := 1, len(entries[0].Command)
	for count < len(entries) && bytes+len(entries[count].Command) <= limit {
		bytes += len(entries[count].Command)
		count++
	}
	m := c.appendRequest(p, prev)
	m.Entries = entries[:count:count]
	m.LeaderCommit = c.log.commit
	c.messages = append(c.messages, m)
	end := c.endOf(prev, m.Entries)
	p.sentCommit = min(m.LeaderCommit, end.index)
	p.sent(inflight{requestID: m.RequestID, prev: prev.index, end: end, bytes: bytes, sentAt: c.lead.ticks})
	p.ahead.advance(end)
}

// endOf returns the position of the last of some entries.
func (c *Core) endOf(prev position, entries []Entry) position {
	if end := prev.index + Index(len(entries)); end >= c.log.offset {
		return c.log.at(end)
	}
	for i := range entries {
		prev = position{entries[i].Index, entries[i].Term, prev.digest.Extend(&entries[i])}
	}
	return prev
}

// sendHeartbeat sends a heartbeat. It carries only what the follower acknowledged, so that it succeeds even if it
// overtakes appends on another connection, and commits nothing beyond that. If that is not in memory, it carries the
// start of the tail, which the follower may reject.
func (c *Core) sendHeartbeat(p *progress) {
	p.heartbeatDue = false
	prev := max(p.match, c.log.offset)
	m := c.appendRequest(p, c.log.at(prev))
	m.LeaderCommit = min(c.log.commit, prev)
	p.heartbeat, p.sentCommit = 0, m.LeaderCommit
	if prev == p.match {
		p.heartbeat = m.RequestID
	}
	c.messages = append(c.messages, m)
}

func (c *Core) appendRequest(p *progress, prev position) Message {
	c.lead.requestID++
	p.sentAt = c.lead.ticks
	m := Message{
		Type: MsgAppendEntries, From: c.id, To: p.id, Term: c.term,
		PrevLogIndex: prev.index, PrevLogTerm: prev.term, PrevLogDigest: prev.digest,
		RequestID: c.lead.requestID, ReadSeq: c.lead.reads.round,
	}
	c.stampRequest(p, &m)
	return m
}
