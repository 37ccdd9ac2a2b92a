package budget

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// usualPercent is the runtime's default for GOGC: a collection starts when the heap is twice the live heap.
	usualPercent = 100
	// freeGrowth is how much garbage a large heap may hold when a collection starts, and leastPercent the minimum of
	// GOGC, for a very large heap.
	freeGrowth   = 48 << 20
	leastPercent = 8
	// mostShare is the share of the processors from which on the collector gets more room, up to the usual one.
	mostShare = 0.05
	// percentStep is the least change of GOGC that is worth a stop of the world.
	percentStep = 2
	// relaxAfter is the time after a collection from which on a heap needs no more room than usual for its size.
	relaxAfter = 5 * time.Second
)

// collectorPercent returns the value of GOGC for a live heap: the usual one for a small heap, and less for a large one,
// most of which are keys and values that are no garbage soon. If the collector took too large a share of the processors
// with the current value, it is doubled.
func collectorPercent(live uint64, current int, share float64) int {
	base := usualPercent
	if live > freeGrowth {
		base = max(int(freeGrowth*100/live), leastPercent)
	}
	switch {
	case share > mostShare:
		return min(max(2*current, base), usualPercent)
	case share > mostShare/4: // with less room it would soon be too large again
		return max(current, base)
	}
	return base
}

// PaceCollector adjusts the garbage collector to the live heap after each collection, as long as the process runs,
// unless the environment has GOGC.
func PaceCollector() {
	if os.Getenv("GOGC") == "" {
		paceCollector()
	}
}

var paceCollector = sync.OnceFunc(func() {
	p := &collectorPace{percent: usualPercent, last: time.Now()}
	p.relax = time.AfterFunc(relaxAfter, p.adjust)
	p.watch()
})

// collectorPace sets GOGC.
type collectorPace struct {
	mu      sync.Mutex
	percent int
	last    time.Time   // of the last adjustment
	spent   float64     // seconds of processors that collections took until then
	relax   *time.Timer // adjusts once more if no collection follows
}

// watch has adjust called after the next collection, which finds that nothing refers to the mark.
func (p *collectorPace) watch() {
	mark := new([16]byte) // a smaller object could share its memory with one that stays
	runtime.AddCleanup(mark, func(p *collectorPace) {
		p.adjust()
		p.watch()
	}, p)
}

// adjust sets GOGC for the live heap that the last collection found, and for what collections took since the last call.
func (p *collectorPace) adjust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
	}
	metrics.Read(samples)
	live, now := samples[0].Value.Uint64(), time.Now()
	spent := samples[1].Value.Float64() - samples[2].Value.Float64() // what nothing else wanted is free
	available := now.Sub(p.last).Seconds() * float64(runtime.GOMAXPROCS(0))
	share := (spent - p.spent) / max(available, 1e-3)
	p.last, p.spent = now, spent
	want := collectorPercent(live, p.percent, share)
	if want >= p.percent+percentStep || want <= p.percent-percentStep {
		p.percent = want
		debug.SetGCPercent(want)
	}
	if want > collectorPercent(live, want, 0) {
		p.relax.Reset(relaxAfter)
	} else {
		p.relax.Stop()
	}
}
