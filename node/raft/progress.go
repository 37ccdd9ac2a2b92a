package raft

import "slices"

// progressState says how entries travel to a follower.
type progressState uint8

const (
	// probing: it is not known where the logs agree; one append at a time finds out.
	probing progressState = iota
	// replicating: they agree up to match; several appends may be on their way at once.
	replicating
)

func (s progressState) String() string {
	if s == replicating {
		return "replicate"
	}
	return "probe"
}

// inflight is one append that was sent and not answered.
type inflight struct {
	requestID uint64
	prev      Index // PrevLogIndex
	last      Index
	bytes     int
	sentAt    uint64 // in the leader's ticks
}

// progress is what a leader knows about one follower in its term (paper, figure 2: nextIndex and matchIndex).
//
// Invariants: match < next (trap T18); match only grows; inflight is in the order of sending.
type progress struct {
	id          NodeID
	match, next Index
	state       progressState

	inflight      []inflight
	inflightBytes int

	// paused: the last message was lost, or the follower refuses what it once acknowledged. Nothing but heartbeats
	// goes out before the next tick after an answer, so that a broken peer cannot make the leader spin.
	paused   bool
	pausedAt uint64 // in the leader's ticks
	answered bool   // since the pause began

	ackTicks     int    // since the last answer of this term
	readRound    uint64 // the newest read round that it confirmed
	heartbeatDue bool
	heartbeat    uint64 // number of the last heartbeat
	sentAt       uint64 // in the leader's ticks: when anything was sent last
	told         Index  // the commit index that it was told last, no higher than what it could verify

	answeredRound uint64 // when the newest message was made that it answered, on this node's clock
	stamp         uint64 // the last that it sent; 0: none
	stampCame     uint64 // when, on this node's clock
	// refuses: it rejects what it once acknowledged, so its disk lost data (trap T28).
	refuses bool
	// unseated: its last answer said that it has no seat, with this incarnation.
	unseated    bool
	incarnation Incarnation
}

// hear notes an answer.
func (p *progress) hear(readRound uint64) {
	p.ackTicks = 0
	p.answered = true
	p.readRound = max(p.readRound, readRound)
}

// matched notes that the follower holds our log up to an index. It may come late and twice.
func (p *progress) matched(i Index) {
	p.refuses = false
	p.match = max(p.match, i)
	p.next = max(p.next, p.match+1)
	kept := p.inflight[:0]
	for _, f := range p.inflight {
		if f.last > p.match {
			kept = append(kept, f)
		} else {
			p.inflightBytes -= f.bytes
		}
	}
	p.inflight = kept
}

// probe goes back to one append at a time, from next on, and forgets what is on its way.
func (p *progress) probe(next Index) {
	p.state = probing
	p.next = max(next, p.match+1)
	p.inflight = p.inflight[:0]
	p.inflightBytes = 0
}

// restart forgets what the follower acknowledged, because that was another disk. Only a follower that does not count
// may be started anew: match goes back.
func (p *progress) restart() {
	p.match, p.told, p.refuses = 0, 0, false
	p.probe(1)
}

// pause holds appends back, until tick lets them go on. A pause that goes on is not prolonged, so that appends are
// tried in the end even if only the heartbeats' connection is broken.
func (p *progress) pause(now uint64) {
	if !p.paused {
		p.paused, p.pausedAt, p.answered = true, now, false
	}
}

// tick moves time: at tick now a pause may end, and an append without an answer for patience ticks counts as lost.
func (p *progress) tick(now uint64, patience int) {
	p.ackTicks++
	if p.paused && (p.answered || now-p.pausedAt >= uint64(patience)) {
		p.paused = false
	}
	if len(p.inflight) > 0 && now-p.inflight[0].sentAt >= uint64(patience) {
		p.probe(p.match + 1)
	}
}

// label names the state for people.
func (p *progress) label() string {
	if p.refuses {
		return "refuses"
	}
	return p.state.String()
}

// find gives the unanswered append with that number.
func (p *progress) find(requestID uint64) (inflight, bool) {
	i := slices.IndexFunc(p.inflight, func(f inflight) bool { return f.requestID == requestID })
	if i < 0 {
		return inflight{}, false
	}
	return p.inflight[i], true
}

// sent notes an append that goes out. While probing, next stays until the answer says what is true.
func (p *progress) sent(f inflight) {
	p.inflight = append(p.inflight, f)
	p.inflightBytes += f.bytes
	if p.state == replicating {
		p.next = f.last + 1
	}
}

// room tells how many command bytes may be on their way beside those that are; negative if no append may go out.
// One entry may always go out when nothing is on its way.
func (p *progress) room(cfg *Config) int {
	switch {
	case p.paused:
		return -1
	case len(p.inflight) == 0:
		return cfg.MaxInflightBytes
	case p.state == probing || len(p.inflight) >= cfg.MaxInflightMessages:
		return -1
	}
	return cfg.MaxInflightBytes - p.inflightBytes
}
