package metrics

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kontiki-dev/kontiki/node/api"
)

// recent is a histogram of the last half to whole minute: two that take turns.
type recent struct {
	mu            sync.Mutex
	current, past *hdrhistogram.Histogram // nil: nothing yet
	began         time.Time               // when the first in current came
	pastBegan     time.Time               // when the first in past came
	last          time.Time               // when the last came
	turned        time.Time
	count         uint64
	changed       bool          // since the summary
	summary       api.Quantiles // read only: all callers share it
}

// recentSpan is how long one of the two histograms collects.
const recentSpan = 30 * time.Second

// recentBuckets is how many bars the page's histogram has: up to 0.5 * 2^14 ms, and the rest.
const recentBuckets = 16

func newRecentSpan() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60e6, 2) }

// turn makes room for what is new.
func (r *recent) turn(now time.Time) {
	if r.current == nil {
		r.current, r.turned = newRecentSpan(), now
	}
	if now.Sub(r.turned) < recentSpan {
		return
	}
	r.changed = true
	r.current, r.past = r.past, r.current
	if r.current == nil {
		r.current = newRecentSpan()
	}
	r.current.Reset()
	r.pastBegan = r.began
	if now.Sub(r.turned) >= 2*recentSpan {
		r.past.Reset()
	}
	r.turned = now
}

func (r *recent) add(d time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.count++
	r.changed = true
	if r.current.TotalCount() == 0 {
		r.began = now
	}
	r.last = now
	_ = r.current.RecordValue(max(d.Microseconds(), 1)) // fails beyond a minute; such a latency is left out
}

func (r *recent) total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// covered returns the time between the first and the last sample in the histograms.
func (r *recent) covered() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.past != nil && r.past.TotalCount() > 0 {
		return r.last.Sub(r.pastBegan)
	}
	return r.last.Sub(r.began)
}

// quantiles summarizes the histograms. It computes only if something changed, because an idle node publishes its status
// as often as a busy one.
func (r *recent) quantiles(now time.Time) api.Quantiles {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return api.Quantiles{}
	}
	if r.turn(now); r.changed {
		r.changed = false
		r.summary = summarize(r.all())
	}
	return r.summary
}

// all returns what both histograms hold. The caller must not change it.
func (r *recent) all() *hdrhistogram.Histogram {
	if r.past == nil || r.past.TotalCount() == 0 {
		return r.current
	}
	both := newRecentSpan()
	both.Merge(r.current)
	both.Merge(r.past)
	return both
}

func summarize(h *hdrhistogram.Histogram) api.Quantiles {
	if h.TotalCount() == 0 {
		return api.Quantiles{}
	}
	q := api.Quantiles{
		P50: float64(h.ValueAtQuantile(50)) / 1e3, P99: float64(h.ValueAtQuantile(99)) / 1e3,
		Count: uint64(h.TotalCount()), Buckets: make([]uint64, recentBuckets),
	}
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			q.Buckets[bucketOf(bar.To)] += uint64(bar.Count)
		}
	}
	return q
}

// bucketOf returns the first bar that is at least as wide as a latency in microseconds.
func bucketOf(micros int64) int {
	for i := range recentBuckets - 1 {
		if micros <= 500<<i {
			return i
		}
	}
	return recentBuckets - 1
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
