package scheduler

import "time"

// Metronome has the times at which the ticks of a loop are due. It keeps its beat whatever the loop does. The loop
// plans how many ticks it waits for. One that comes later than it planned gets one tick for all that it missed: a burst
// of them would make a node that was slow campaign at once.
type Metronome struct {
	next    time.Time
	period  time.Duration
	planned int // ticks that the present wait is for
}

// NewMetronome returns a Metronome whose first tick is due one period from now.
func NewMetronome(now time.Time, period time.Duration) *Metronome {
	return &Metronome{next: now.Add(period), period: period, planned: 1}
}

// Plan returns how long it is until the last of the next so many ticks, at least one. If a tick is due already, the
// loop took its time: the wait is 0, and that tick stands for all that the loop missed.
func (m *Metronome) Plan(now time.Time, ticks int) time.Duration {
	m.planned = ticks
	left := m.next.Sub(now)
	if left <= 0 {
		m.planned = 1
		return 0
	}
	return left + time.Duration(ticks-1)*m.period
}

// Beats returns how many ticks are due, at most as many as were planned, and counts them as done.
func (m *Metronome) Beats(now time.Time) int {
	late := now.Sub(m.next)
	if late < 0 {
		return 0
	}
	passed := int(late/m.period) + 1
	m.next = m.next.Add(time.Duration(passed) * m.period)
	if passed > 2*m.planned {
		return 1
	}
	return min(passed, m.planned)
}
