package scheduler

import "time"

// Metronome has the times at which the ticks of a loop are due. It keeps its beat whatever the loop does, and a loop
// that comes late gets one tick for all that it missed: a burst of them would make a node that was slow campaign at
// once.
type Metronome struct {
	next   time.Time
	period time.Duration
}

// NewMetronome returns a Metronome whose first tick is due one period from now.
func NewMetronome(now time.Time, period time.Duration) *Metronome {
	return &Metronome{next: now.Add(period), period: period}
}

// Left returns how long it is until the next tick, 0 if it is due.
func (m *Metronome) Left(now time.Time) time.Duration { return max(m.next.Sub(now), 0) }

// Beat reports whether a tick is due, and counts it as done.
func (m *Metronome) Beat(now time.Time) bool {
	late := now.Sub(m.next)
	if late < 0 {
		return false
	}
	m.next = m.next.Add((late/m.period + 1) * m.period)
	return true
}
