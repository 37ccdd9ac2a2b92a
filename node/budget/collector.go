package budget

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// usualPercent is the runtime's default for GOGC: a collection starts before the heap is twice the live heap.
	usualPercent = 100
	// leastRoom is how much may be allocated before a collection of a large heap starts. A smaller heap is left to the
	// runtime, which lets it double.
	leastRoom = 48 << 20
	// mostShare is the share of the processors from which on collections get more room, up to the size of the heap.
	mostShare = 0.05
	// leastHeap is the live heap that the runtime assumes at least.
	leastHeap = 4 << 20
	// relaxAfter is the time after a collection from which on the next one needs no more room than leastRoom, and the
	// time after a load until a collection.
	relaxAfter = 5 * time.Second
	// paceEvery is how often a large heap is looked at.
	paceEvery = 50 * time.Millisecond
)

// collectorRoom returns how many bytes may be allocated before the next collection; 0: the runtime decides. Most of a
// large heap are keys and values, which are no garbage soon, so it gets less room than the runtime gives it. If
// collections took too large a share of the processors with the current room, it is doubled.
func collectorRoom(live, current uint64, share float64) uint64 {
	if live <= leastRoom {
		return 0
	}
	switch {
	case share > mostShare:
		return min(max(2*current, leastRoom), live)
	case share > mostShare/4: // with less room it would soon be too large again
		return min(max(current, leastRoom), live)
	}
	return leastRoom
}

// collectionDue reports whether a heap that may have so much room, but for a while only, is to be collected now.
func collectionDue(allocated, room uint64, since time.Duration) bool {
	if since >= relaxAfter {
		room = min(room, leastRoom)
	}
	return allocated >= room
}

// PaceCollector has a large heap collected before the runtime would, as long as the process runs, unless the
// environment has GOGC.
func PaceCollector() {
	if os.Getenv("GOGC") == "" {
		paceCollector()
	}
}

var paceCollector = sync.OnceFunc(func() {
	p := &collectorPace{percent: usualPercent, last: time.Now()}
	p.look = time.AfterFunc(paceEvery, p.collect)
	p.relax = time.AfterFunc(relaxAfter, p.adjust)
	p.watch()
	pacing.Store(p)
})

// pacing is the pace of this process; nil: there is none.
var pacing atomic.Pointer[collectorPace]

// ExpectLoad lets the heap grow by so many bytes that are about to be loaded and stay: a collection meanwhile would
// find no garbage among them. The caller calls the result once they are loaded. The memory limit holds all the same.
func ExpectLoad(bytes int64) (loaded func()) {
	p := pacing.Load()
	if p == nil || bytes <= 0 {
		return func() {}
	}
	p.load(bytes)
	return sync.OnceFunc(func() { p.load(-bytes) })
}

// collectorPace starts collections.
type collectorPace struct {
	mu        sync.Mutex
	percent   int       // GOGC
	room      uint64    // 0: the runtime decides
	last      time.Time // of the last collection
	spent     float64   // seconds of processors that collections took until then
	allocated uint64    // bytes that were allocated until then
	loads     loads
	look      *time.Timer // calls collect
	relax     *time.Timer // calls adjust after a load
}

// loads are the loads in progress.
type loads struct {
	bytes uint64 // of all of them; 0: there is none
	from  uint64 // the live heap when the first began
}

// add begins a load, or ends one that has as many bytes.
func (l *loads) add(bytes int64, live uint64) {
	if l.bytes == 0 {
		l.from = live
	}
	l.bytes += uint64(bytes)
}

// percent returns the value of GOGC with which no collection begins before the live heap has grown to what the loads
// make of it. One begins when up to three tenths of the growth that GOGC allows are left.
func (l *loads) percent(live uint64) int {
	goal := l.from + l.bytes + leastRoom
	if l.bytes == 0 || goal <= live {
		return usualPercent
	}
	return max(usualPercent, int((goal-live)*1000/7/max(live, leastHeap)))
}

// load begins or ends a load.
func (p *collectorPace) load(bytes int64) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	p.mu.Lock()
	p.loads.add(bytes, live[0].Value.Uint64())
	p.mu.Unlock()
	if bytes > 0 {
		p.adjust()
	} else { // what is loaded is used now: a collection can wait
		p.relax.Reset(relaxAfter)
	}
}

// watch has adjust called after the next collection, which finds that nothing refers to the mark.
func (p *collectorPace) watch() {
	mark := new([16]byte) // a smaller object could share its memory with one that stays
	runtime.AddCleanup(mark, func(p *collectorPace) {
		p.adjust()
		p.watch()
	}, p)
}

// adjust sets what the heap may grow, for the live heap that the last collection found, and for what collections took
// since the last call.
func (p *collectorPace) adjust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
	}
	metrics.Read(samples)
	live, now := samples[0].Value.Uint64(), time.Now()
	spent := samples[2].Value.Float64() - samples[3].Value.Float64() // what nothing else wanted is free
	available := now.Sub(p.last).Seconds() * float64(runtime.GOMAXPROCS(0))
	share := (spent - p.spent) / max(available, 1e-3)
	p.last, p.spent, p.allocated = now, spent, samples[1].Value.Uint64()
	if want := p.loads.percent(live); want != p.percent {
		p.percent = want
		debug.SetGCPercent(want)
	}
	p.room = collectorRoom(live, p.room, share)
	if p.loads.bytes > 0 {
		p.room = 0
	}
	if p.room > 0 {
		p.look.Reset(paceEvery)
	}
}

// collect collects a heap that has had its room, and looks again later.
func (p *collectorPace) collect() {
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(allocated)
	p.mu.Lock()
	paced := p.room > 0
	due := paced && collectionDue(allocated[0].Value.Uint64()-p.allocated, p.room, time.Since(p.last))
	p.mu.Unlock()
	switch {
	case due:
		runtime.GC() // has adjust called
	case paced:
		p.look.Reset(paceEvery)
	}
}
