package engine

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// sleep is a time during which the clock of a machine stood still.
type sleep struct {
	id    raft.NodeID
	led   bool // its node led when it began
	lasts time.Duration
	end   time.Duration
}

func (p *Process) sleepUntil(end time.Duration) sleep {
	return sleep{id: p.ID(), led: p.led, lasts: end - p.since, end: end}
}

// Moment returns the latest moment that an age on the clock of a node can mean, by the world's clock. The clocks of the
// node and of its leader may run slow, by as much as the slowest clock of the run; and both stand still while their
// machine sleeps. Such time is added to the age.
func (w *World) Moment(id raft.NodeID, age time.Duration) time.Duration {
	moment := w.now - time.Duration(float64(age)/w.slowest)
	for _, other := range w.Machines {
		if p := other.Process; p != nil && p.asleep && (other.ID == id || p.led) {
			moment -= w.now - p.since
		}
	}
	for i := len(w.sleeps) - 1; i >= 0; i-- {
		if s := w.sleeps[i]; s.end >= moment && (s.id == id || s.led) {
			moment -= s.lasts
		}
	}
	return moment
}
