package raft

// A node may serve reads from its own state, and reports how old that state may be: everything that was acknowledged
// anywhere before a moment of its own monotonic clock is in what it has applied. Clocks of different nodes are never
// compared.
//
// The leader's moment is the start of the last round that a quorum answered: SentAt travels to the followers and
// back, on the leader's clock. Until then no node led a later term, so its commit index covers everything
// acknowledged.
//
// A follower's responses carry a stamp, which stands for the moment of the response on its own clock. The leader's
// next message returns it, with the leader's commit index and QuorumAge: the time from the start of that last round
// to the arrival of the stamp. Stamp minus QuorumAge is before the round began, however long the message took. A
// partitioned leader confirms no round, so the moment does not advance on it or on its followers.

// claim states that everything acknowledged before a moment is in the entries up to index.
type claim struct {
	moment uint64 // on this node's clock
	index  Index
}

// maxClaims bounds the claims that wait to be applied. A claim beyond it replaces the last.
const maxClaims = 64

// Always is the moment of a single-node cluster: what it has applied is never old.
const Always = ^uint64(0)

// freshness is what a node has recorded about the age of its state.
type freshness struct {
	clock        uint64 // microseconds; 0: never set
	stamp        uint64 // in the responses to the leader, until it returns; 0: none
	stampedAt    uint64
	lastStamp    uint64  // the first is random, so that a stamp of an earlier run does not match
	claims       []claim // not applied yet, in the order of both fields
	moment       uint64  // of what is applied; 0: unknown
	leaderCommit Index   // the leader's commit index, as last received
}

// SetClock sets the time on a monotonic clock, in microseconds, more than 0. Messages stepped afterwards must have
// arrived before the clock was read, and what Ready returns is sent after it.
//
// A node that has had a term before it started may have acknowledged a message of a leader just before, so it holds its
// vote from the first time on (trap T42). One that never had a term has acknowledged nothing: the first election of a
// cluster does not wait.
func (c *Core) SetClock(micros uint64) {
	c.fresh.clock = micros
	if c.restarted {
		c.restarted = false
		c.holdVote()
	}
}

// Freshness returns the moment on this node's clock up to which everything that was acknowledged anywhere is in its
// state, if it has applied the entries up to an index; Always if the state can never be old, 0 if the moment is
// unknown.
func (c *Core) Freshness(applied Index) uint64 {
	f := &c.fresh
	leads := c.role == Leader && c.log.mustTerm(c.log.commit) == c.term // before, its commit index may lag (trap T38)
	if leads {
		f.claim(claim{c.quorumMoment(), c.log.commit})
	}
	covered := 0
	for covered < len(f.claims) && f.claims[covered].index <= applied {
		f.moment = f.claims[covered].moment
		covered++
	}
	f.claims = append(f.claims[:0], f.claims[covered:]...)
	if leads && len(c.members.others) == 0 && f.moment != 0 {
		return Always // nothing is acknowledged elsewhere, and here only what is applied
	}
	return f.moment
}

// claim adds a claim, if it covers more than the last one.
func (f *freshness) claim(next claim) {
	latest := claim{moment: f.moment}
	if n := len(f.claims); n > 0 {
		latest = f.claims[n-1]
	}
	if next.moment <= latest.moment {
		return
	}
	next.index = max(next.index, latest.index)
	if len(f.claims) == maxClaims {
		f.claims = f.claims[:maxClaims-1]
	}
	f.claims = append(f.claims, next)
}

// quorumMoment returns the start of the last round that a quorum answered in this term, this node included.
func (c *Core) quorumMoment() uint64 {
	return uint64(c.members.voters.CommitIndex(func(id NodeID) Index {
		if id == c.id {
			return Index(c.fresh.clock)
		}
		return Index(c.progressOf(id).answeredRound)
	}))
}

// stampRequest adds to a leader's message what its follower needs.
func (c *Core) stampRequest(p *progress, m *Message) {
	m.CommitIndex, m.SentAt = c.log.commit, c.fresh.clock
	round := c.quorumMoment()
	if p.stamp == 0 || round == 0 || c.log.mustTerm(c.log.commit) != c.term {
		return
	}
	m.Stamp = p.stamp
	if round < p.stampCame {
		m.QuorumAge = p.stampCame - round
	}
}

// noteAnswer records the round that a follower answered, how long it holds its vote, and its stamp.
func (c *Core) noteAnswer(p *progress, m *Message) {
	p.answeredRound = max(p.answeredRound, m.SentAt)
	c.noteHold(p, m)
	if m.Stamp != 0 && m.Stamp != p.stamp {
		p.stamp, p.stampCame = m.Stamp, c.fresh.clock
	}
}

// noteRequest records what a leader's message reports about the age of this node's state.
func (c *Core) noteRequest(m *Message) {
	f := &c.fresh
	if m.CommitIndex != 0 {
		f.leaderCommit = m.CommitIndex
	}
	if m.Stamp == 0 || m.Stamp != f.stamp {
		return
	}
	if m.QuorumAge < f.stampedAt {
		f.claim(claim{f.stampedAt - m.QuorumAge, m.CommitIndex})
	}
	f.stamp = 0 // the next response has a new one
}

// stampAnswer returns the stamp for a response to the leader; 0 without a clock.
func (c *Core) stampAnswer() uint64 {
	f := &c.fresh
	if f.stamp != 0 || f.clock == 0 {
		return f.stamp
	}
	if f.lastStamp == 0 {
		f.lastStamp = c.cfg.Rand.Uint64N(maxNumber)
	}
	f.lastStamp++
	f.stamp, f.stampedAt = f.lastStamp, f.clock
	return f.stamp
}
