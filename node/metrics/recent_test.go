package metrics

import (
	"testing"
	"time"
)

func TestLatenciesOfTheLastMinuteAreSummedUp(t *testing.T) {
	t.Parallel()
	at := func(s time.Duration) time.Time { return time.Time{}.Add(time.Hour + s*time.Second) }
	var r recent
	if q := r.quantiles(at(0)); q.Count != 0 || q.Buckets != nil {
		t.Errorf("before anything was measured: %+v", q)
	}
	for _, step := range []struct {
		what        string
		at          time.Duration
		measured    time.Duration // 0: nothing
		count       uint64
		least, most float64 // of the 99th percentile, milliseconds
	}{
		{"the first", 0, 10 * time.Millisecond, 1, 9.9, 10.1},
		{"asked again", 1, 0, 1, 9.9, 10.1},
		{"a slower one", 2, time.Second, 2, 990, 1010},
		{"half a minute on, both still count", 31, 0, 2, 990, 1010},
		{"with a new one", 32, 5 * time.Millisecond, 3, 990, 1010},
		{"a minute on, only the new one", 62, 0, 1, 4.9, 5.1},
		{"long after, nothing", 200, 0, 0, 0, 0},
		{"and again", 201, 2 * time.Millisecond, 1, 1.9, 2.1},
	} {
		if step.measured > 0 {
			r.add(step.measured, at(step.at))
		}
		q := r.quantiles(at(step.at))
		if q.Count != step.count || q.P99 < step.least || q.P99 > step.most {
			t.Errorf("%s: got %+v, want %d and a p99 from %v to %v ms", step.what, q, step.count, step.least, step.most)
		}
		bars := uint64(0)
		for _, n := range q.Buckets {
			bars += n
		}
		if bars != q.Count {
			t.Errorf("%s: the bars hold %d of %d", step.what, bars, q.Count)
		}
	}
	if r.total() != 4 {
		t.Errorf("got %d measured in all, want 4", r.total())
	}
}
