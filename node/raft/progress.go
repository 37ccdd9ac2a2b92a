package raft

import "slices"

// progressState is how entries are sent to a follower.
type progressState uint8

const (
	// probing: where the logs agree is unknown; one append at a time finds out.
	probing progressState = iota
	// replicating: the logs agree up to match; several appends may be in flight.
	replicating
	// awaitingSnapshot: the follower needs entries that are no longer on the leader's disk. It receives heartbeats and
	// a snapshot. It leaves the state when the snapshot was sent, or when it acknowledges what it lacked.
	awaitingSnapshot
)

func (s progressState) String() string {
	switch s {
	case replicating:
		return "replicate"
	case awaitingSnapshot:
		return "snapshot"
	}
	return "probe"
}

// inflight is an append that was sent and not answered.
type inflight struct {
	requestID uint64
	prev      Index    // PrevLogIndex
	end       position // of its last entry
	bytes     int
	sentAt    uint64 // in the leader's ticks
}

// progress is a leader's record of one follower in its term (paper, figure 2: nextIndex and matchIndex).
//
// Invariants: match < next (trap T18); match only grows; inflight is in the order of sending.
type progress struct {
	id          NodeID
	member      MemberRole // Leaving also after it left
	catchUp     catchUp    // of a learner
	match, next Index
	state       progressState

	inflight      []inflight
	inflightBytes int

	fetching Index     // the first entry of the fetch in flight; 0: none
	ahead    readAhead // entries that were fetched and not sent

	requested   Index  // the follower's state must be replaced, by a snapshot that reaches this index; 0: no
	snapshotOut bool   // Ready returned the follower in SnapshotTo, and the outcome was not reported
	snapshotAt  uint64 // in the leader's ticks: no snapshot before this

	// paused: the last message was lost, or the follower rejects what it acknowledged. Only heartbeats are sent
	// before the first tick after a response, so that a broken peer cannot make the leader spin.
	paused   bool
	pausedAt uint64 // in the leader's ticks
	answered bool   // since the pause began

	ackTicks     int    // since the last response of this term
	answeredTerm bool   // there was one
	readRound    uint64 // the latest read round that it confirmed
	heartbeatDue bool
	heartbeat    uint64 // number of the last heartbeat, if a follower that kept its log cannot reject it; else 0
	sentAt       uint64 // in the leader's ticks: when a message was sent last
	sentCommit   Index  // the commit index that was sent last, at most what the follower could verify

	answeredRound uint64 // when the latest message that it answered was created, on this node's clock
	holdsUntil    uint64 // until when it grants no vote, on this node's clock
	stamp         uint64 // the last one received; 0: none
	stampCame     uint64 // its arrival, on this node's clock
	// refuses: it rejects what it acknowledged, so its disk lost data (trap T28).
	refuses bool
	// unseated: its last response reported that it has no seat, with this incarnation.
	unseated    bool
	incarnation Incarnation
	// disk is the state of its disk in its last response of this term, if there was one.
	disk      DiskState
	diskKnown bool
	level     Level // of its program, in its last response of this term
}

// answeredNow records a response.
func (p *progress) answeredNow(readRound uint64) {
	p.ackTicks = 0
	p.answered, p.answeredTerm = true, true
	p.readRound = max(p.readRound, readRound)
}

// responds reports whether the follower is seated and answered within some ticks.
func (p *progress) responds(ticks int) bool {
	return p.answeredTerm && p.ackTicks < ticks && !p.unseated
}

// matched records that the follower holds the leader's log up to an index. Calls may arrive late and twice.
func (p *progress) matched(i Index) {
	p.refuses = false
	p.match = max(p.match, i)
	p.next = max(p.next, p.match+1)
	kept := p.inflight[:0]
	for _, f := range p.inflight {
		if f.end.index > p.match {
			kept = append(kept, f)
		} else {
			p.inflightBytes -= f.bytes
		}
	}
	p.inflight = kept
}

// probe returns to one append at a time, from next on, and drops the record of appends in flight.
func (p *progress) probe(next Index) {
	p.state = probing
	p.next = max(next, p.match+1)
	p.forgetAppends()
}

// awaitSnapshot stops appends until the follower has a snapshot.
func (p *progress) awaitSnapshot() {
	p.state = awaitingSnapshot
	p.forgetAppends()
}

// forgetAppends drops the record of appends in flight, and what was fetched for the next ones.
func (p *progress) forgetAppends() {
	p.inflight = p.inflight[:0]
	p.inflightBytes = 0
	p.ahead = readAhead{}
}

// sendAgain probes after an append was lost. While nothing that was sent is acknowledged, the probe stays where it was.
func (p *progress) sendAgain() {
	switch p.state {
	case replicating:
		p.probe(p.match + 1)
	case probing:
		p.probe(p.next)
	case awaitingSnapshot:
	}
}

// restart drops what the follower acknowledged, because that was another disk. It moves match back, so it is allowed
// only for a follower that does not count.
func (p *progress) restart() {
	p.match, p.sentCommit, p.refuses = 0, 0, false
	p.probe(1)
}

// pause holds appends back until tick resumes them. A second pause does not extend the first, so that appends are
// tried eventually even if only the heartbeats' connection is broken.
func (p *progress) pause(now uint64) {
	if !p.paused {
		p.paused, p.pausedAt, p.answered = true, now, false
	}
}

// tick advances the time: at tick now a pause may end, and an append unanswered for patience ticks counts as lost.
func (p *progress) tick(now uint64, patience int) {
	p.ackTicks++
	if p.paused && (p.answered || now-p.pausedAt >= uint64(patience)) {
		p.paused = false
	}
	if len(p.inflight) > 0 && now-p.inflight[0].sentAt >= uint64(patience) {
		p.sendAgain()
	}
}

// label names the state for the status.
func (p *progress) label() string {
	if p.refuses {
		return "refuses"
	}
	if p.requested != 0 {
		return awaitingSnapshot.String()
	}
	return p.state.String()
}

// needsSnapshot reports whether only a snapshot helps the follower.
func (p *progress) needsSnapshot() bool { return p.state == awaitingSnapshot || p.requested != 0 }

// find returns the unanswered append with that number.
func (p *progress) find(requestID uint64) (inflight, bool) {
	i := slices.IndexFunc(p.inflight, func(f inflight) bool { return f.requestID == requestID })
	if i < 0 {
		return inflight{}, false
	}
	return p.inflight[i], true
}

// sent records an append that is sent. While probing, next stays until the response confirms or corrects it.
func (p *progress) sent(f inflight) {
	p.inflight = append(p.inflight, f)
	p.inflightBytes += f.bytes
	if p.state == replicating {
		p.next = f.end.index + 1
	}
}

// room returns how many more command bytes may be in flight; negative if no append may be sent. One entry may always
// be sent if nothing is in flight.
func (p *progress) room(cfg *Config) int {
	switch {
	case p.paused, p.state == awaitingSnapshot, p.disk == DiskFull:
		return -1
	case len(p.inflight) == 0:
		return cfg.MaxInflightBytes
	case p.state == probing || len(p.inflight) >= cfg.MaxInflightMessages:
		return -1
	}
	return cfg.MaxInflightBytes - p.inflightBytes
}
