package scheduler

import (
	"testing"
	"time"
)

// A loop that was held up for long gets one tick, not all that it missed, and keeps the beat.
func TestTicksThatWereMissedDoNotComeInABurst(t *testing.T) {
	t.Parallel()
	const period = 10 * time.Millisecond
	start := time.Unix(1000, 0)
	beats := NewMetronome(start, period)
	for _, c := range []struct {
		from    time.Duration // when the loop begins to wait
		planned int
		wait    time.Duration // for how long
		until   time.Duration // when it wakes
		ticks   int
	}{
		{0, 1, 10, 9, 0}, // something came in
		{9, 1, 1, 10, 1}, // on time
		{10, 1, 10, 23, 1},
		{24, 1, 6, 95, 1}, // six were missed
		{95, 1, 5, 100, 1},
		{100, 10, 100, 200, 10},   // all that was planned
		{200, 10, 100, 235, 3},    // something came in before
		{235, 7, 65, 235, 0},      // and at once again
		{235, 7, 65, 315, 7},      // the machine was busy: one more has passed than was planned
		{318, 2, 12, 378, 1},      // it stood still
		{391, 20, 0, 391, 1},      // the pass took its time: a tick is due
		{450, 20, 0, 450, 1},      // it took even longer
		{450, 20, 200, 900, 1},    // it was stopped
		{901, 20, 199, 1100, 20},  // and the beat is the old one
		{1100, 20, 200, 1500, 20}, // as late as it may be
	} {
		wait := beats.Plan(start.Add(c.from*time.Millisecond), c.planned)
		ticks := beats.Beats(start.Add(c.until * time.Millisecond))
		if wait != c.wait*time.Millisecond || ticks != c.ticks {
			t.Errorf("from %d to %d ms, for %d ticks: a wait of %v, then %d ticks; want %d ms, %d",
				c.from, c.until, c.planned, wait, ticks, c.wait, c.ticks)
		}
	}
}
