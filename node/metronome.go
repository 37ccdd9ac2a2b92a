package node

import (
	"time"
)

// metronome tells when the loop's ticks are due. It keeps its beat whatever the loop does, and a loop that comes late
// gets one tick for all that it missed: a burst of them would make a node that was slow campaign at once.
type metronome struct {
	next   time.Time
	period time.Duration
}

func newMetronome(now time.Time, period time.Duration) *metronome {
	return &metronome{next: now.Add(period), period: period}
}

// left is how long it is until the next tick, 0 if it is due.
func (m *metronome) left(now time.Time) time.Duration { return max(m.next.Sub(now), 0) }

// beat reports whether a tick is due, and counts it as done.
func (m *metronome) beat(now time.Time) bool {
	late := now.Sub(m.next)
	if late < 0 {
		return false
	}
	m.next = m.next.Add((late/m.period + 1) * m.period)
	return true
}
