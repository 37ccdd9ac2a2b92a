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
		at, left time.Duration
		tick     bool
	}{
		{0, 10, false},
		{9, 1, false},
		{10, 0, true}, // on time
		{10, 10, false},
		{23, 0, true}, // late
		{24, 6, false},
		{95, 0, true}, // six were missed
		{95, 5, false},
		{100, 0, true}, // and the beat is the old one
	} {
		now := start.Add(c.at * time.Millisecond)
		left, tick := beats.Left(now), beats.Beat(now)
		if left != c.left*time.Millisecond || tick != c.tick {
			t.Errorf("after %d ms: %v left, tick %t; want %d ms, %t", c.at, left, tick, c.left, c.tick)
		}
	}
}
