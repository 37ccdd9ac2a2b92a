package budget

import "testing"

// A small heap doubles before a collection, and a large one grows by a bounded amount, as long as that is enough for
// the collector.
func TestCollectorPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live    uint64
		current int
		share   float64
		want    int
	}{
		{0, 100, 0, 100},
		{4 << 20, 100, 0.2, 100},
		{48 << 20, 100, 0, 100},
		{96 << 20, 100, 0, 50},
		{480 << 20, 100, 0, 10},
		{1 << 40, 100, 0, 8},
		{480 << 20, 10, 0.2, 20},   // it costs too much
		{480 << 20, 20, 0.06, 40},  // still
		{480 << 20, 40, 0.03, 40},  // enough
		{480 << 20, 80, 0.06, 100}, // no more than usual
		{480 << 20, 80, 0.01, 10},  // the load is over
		{4 << 20, 20, 0.1, 100},
	} {
		if got := collectorPercent(c.live, c.current, c.share); got != c.want {
			t.Errorf("a live heap of %d MiB, GOGC %d, with a share of %v: %d, want %d", c.live>>20, c.current, c.share, got,
				c.want)
		}
	}
	before := uint64(0)
	for live := uint64(1 << 20); live < 4<<30; live += 1 << 20 {
		goal := live + live*uint64(collectorPercent(live, usualPercent, 0))/100
		if goal < before {
			t.Fatalf("a live heap of %d MiB may grow to %d MiB, less than a smaller one", live>>20, goal>>20)
		}
		before = goal - goal/50 // a percentage is rounded
	}
}
