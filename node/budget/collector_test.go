package budget

import (
	"math"
	"runtime/debug"
	"testing"
	"time"
)

// A small heap is left to the runtime, and a large one grows by a bounded amount, as long as that is enough for the
// collector.
func TestCollectorRoom(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		live, current uint64 // MiB
		share         float64
		want          uint64
	}{
		{0, 0, 0, 0},
		{4, 0, 0.2, 0},
		{48, 0, 0, 0},
		{96, 0, 0, 48},
		{480, 0, 0, 48},
		{480, 0, 0.2, 48},
		{480, 48, 0.2, 96},    // it costs too much
		{480, 96, 0.06, 192},  // still
		{480, 192, 0.03, 192}, // enough
		{480, 384, 0.06, 480}, // no more than the runtime gives
		{480, 384, 0.01, 48},  // the load is over
		{100, 384, 0.03, 100}, // most was deleted
		{4, 96, 0.1, 0},
	} {
		if got := collectorRoom(c.live*mib, c.current*mib, c.share); got != c.want*mib {
			t.Errorf("a live heap of %d MiB with room of %d MiB and a share of %v: %d MiB, want %d", c.live, c.current, c.share,
				got/mib, c.want)
		}
	}
}

func TestCollectionIsDue(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		allocated, room uint64 // MiB
		since           time.Duration
		want            bool
	}{
		{47, 48, time.Second, false},
		{48, 48, time.Second, true},
		{48, 192, time.Second, false},
		{192, 192, time.Second, true},
		{48, 192, relaxAfter, true}, // the load is over
		{47, 192, time.Hour, false},
	} {
		if got := collectionDue(c.allocated*mib, c.room*mib, c.since); got != c.want {
			t.Errorf("%d of %d MiB, %v after a collection: %t, want %t", c.allocated, c.room, c.since, got, c.want)
		}
	}
}

// While something is loaded that stays, the heap may grow by it. What is loaded counts as the live heap once a
// collection has found it.
func TestALoadIsNoGarbage(t *testing.T) {
	t.Parallel()
	var l loads
	l.add(100<<20, 50<<20)
	l.add(200<<20, 60<<20) // a second one
	for _, c := range []struct{ live, want int }{
		{50 << 20, 994}, // seven tenths of that lead to 50 + 300 + 48 MiB
		{0, 398 * 1000 / 7 / 4},
		{199 << 20, 142},
		{390 << 20, 100},
		{500 << 20, 100}, // it is larger than was expected
	} {
		if got := l.percent(uint64(c.live)); got != c.want {
			t.Errorf("a live heap of %d MiB: GOGC is %d, want %d", c.live>>20, got, c.want)
		}
	}
	l.add(-100<<20, 70<<20)
	if got := l.percent(50 << 20); got != 708 {
		t.Errorf("after the first load: %d", got)
	}
	l.add(-200<<20, 70<<20)
	if got := l.percent(50 << 20); got != 100 {
		t.Errorf("after both loads: %d", got)
	}
}

// Without a pace, as where the environment has GOGC, a load changes nothing.
func TestALoadWithoutAPaceChangesNothing(t *testing.T) {
	t.Parallel()
	loaded := ExpectLoad(math.MaxInt64)
	loaded()
	loaded()
	if limit := debug.SetMemoryLimit(-1); limit <= 0 {
		t.Errorf("the memory limit is %d", limit)
	}
}
