package sim

import (
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// recentReads: a local read with a bound on its age (max_stale) that is answered returns a state that contains
// everything that any node had published as applied before the moment that the age names. Everything acknowledged to a
// client is published first, so this is what node.Staleness says, and a little more.
//
// The moment is compared in true time. The clocks of the node and of its leader may run slow, by as much as the slowest
// clock of the run; and both stand still while their machine sleeps, which the node cannot know before its next round.
// Such time is added to the age. A process that is stopped has a clock that goes on, so nothing is added for it.
type recentReads struct{}

func (c *recentReads) promise() string { return "a recent read is no older than it says" }

// step notes when each index was first applied, and checks the age as if a read came now. The reads of clients are
// checked as they are served.
func (c *recentReads) step(w *World, l *look) error {
	for raft.Index(len(w.ledger.applied)) < l.now.published {
		w.ledger.applied = append(w.ledger.applied, w.now)
	}
	if l.now.published == raft.Index(len(w.ledger.applied)) {
		return nil
	}
	age, known := l.now.process.node.Staleness()()
	if !known {
		return nil
	}
	return c.verify(w, l.machine, l.now.published, w.momentOf(l.machine, age))
}

// verify checks that a state in which a node had applied so much contains everything from before a moment.
func (c *recentReads) verify(w *World, m *machine, applied raft.Index, moment time.Duration) error {
	times := w.ledger.applied
	if applied >= raft.Index(len(times)) || times[applied] >= moment {
		return nil
	}
	return fmt.Errorf("node %d has applied %d and takes its state for one of %v ago; entry %d was applied %v ago",
		m.id, applied, w.now-moment, applied+1, w.now-times[applied])
}

// appliedBefore returns the last index that a node had published as applied before a moment.
func (l *ledger) appliedBefore(moment time.Duration) raft.Index {
	i := len(l.applied)
	for i > 0 && l.applied[i-1] >= moment {
		i--
	}
	return raft.Index(i)
}

// sleep is a time during which the clock of a machine stood still.
type sleep struct {
	id    raft.NodeID
	led   bool // its node led when it began
	lasts time.Duration
	end   time.Duration
}

func (p *process) sleepUntil(end time.Duration) sleep {
	return sleep{id: p.id(), led: p.led, lasts: end - p.since, end: end}
}

// momentOf returns the latest moment that an age on the clock of a node can mean, by the world's clock.
func (w *World) momentOf(m *machine, age time.Duration) time.Duration {
	moment := w.now - time.Duration(float64(age)/w.slowest)
	for _, other := range w.machines {
		if p := other.process; p != nil && p.asleep && (other == m || p.led) {
			moment -= w.now - p.since
		}
	}
	for i := len(w.sleeps) - 1; i >= 0; i-- {
		if s := w.sleeps[i]; s.end >= moment && (s.id == m.id || s.led) {
			moment -= s.lasts
		}
	}
	return moment
}

// serveRecent serves a read with a bound on its age as the REST handler does: it judges the age of the state that there
// was before it read, and judges it again after it has read.
func serveRecent(p *process, o *operation) func() {
	w, age := p.world, p.node.Staleness()
	called, applied := w.now, p.node.Applied()
	if _, err := o.judgeAge(age); err != nil {
		return func() { o.answer(kv.Record{}, false, err) }
	}
	p.Preempt() // a handler may lose its turn anywhere
	record, found := p.node.Get(o.key)
	p.Preempt()
	old, err := o.judgeAge(age)
	if err == nil {
		moment := w.momentOf(p.home, old)
		if len(w.machines) == 1 {
			moment = called // a node that is the whole cluster has no age, however long its handler takes
		}
		checker := recentReads{}
		if broken := checker.verify(w, p.home, applied, moment); broken != nil {
			w.broken(checker.promise(), "%v: %v", o, broken)
		}
		o.least = uint64(w.ledger.appliedBefore(moment))
	}
	astray := p.home.astray
	return func() {
		if o.answer(record, found, err); astray {
			o.outcome, o.reason = unknown, errForged
		}
	}
}

// judgeAge refuses a state that may be older than a read accepts.
func (o *operation) judgeAge(age func() (time.Duration, bool)) (time.Duration, error) {
	old, known := age()
	switch {
	case !known:
		return 0, errAgeUnknown
	case old > o.maxStale:
		return old, fmt.Errorf("%w: %v", errTooOld, old)
	}
	return old, nil
}
