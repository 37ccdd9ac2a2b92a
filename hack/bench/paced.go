package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// paced is a load of writes at a fixed rate: each request is due at a time of its own, whatever became of those before.
type paced struct {
	cell   int
	rate   int // writes per second of all clients
	warmUp time.Duration
	held   *atomic.Bool // while true, no request is due
}

// sample is one request of a paced load. Its latency counts from the time at which it was due, so that a stall counts
// for every request that waits for it.
type sample struct{ due, done time.Time }

// window is a part of a run.
type window struct{ from, to time.Time }

// run writes until a function returns, which is called after the warm-up.
func (p paced) run(
	ctx context.Context, c *cluster, sessions []session, during func(ctx context.Context) error,
) ([]sample, *failures, error) {
	var failed failures
	var stopped atomic.Bool
	var wg sync.WaitGroup
	begin := time.Now()
	samples := make([][]sample, len(sessions))
	for i, s := range sessions {
		w := newWorker(c, s, p.cell, i)
		wg.Go(func() { samples[i] = p.work(ctx, w, begin, len(sessions), &stopped, &failed) })
	}
	err := sleep(ctx, p.warmUp)
	if err == nil {
		err = during(ctx)
	}
	stopped.Store(true)
	wg.Wait()
	var all []sample
	for _, part := range samples {
		all = append(all, part...)
	}
	return all, &failed, err
}

// work runs one client of several.
func (p paced) work(
	ctx context.Context, w *worker, begin time.Time, clients int, stopped *atomic.Bool, failed *failures,
) []sample {
	var samples []sample
	every := time.Duration(clients) * time.Second / time.Duration(p.rate)
	due := begin.Add(every * time.Duration(w.number) / time.Duration(clients))
	for ; !stopped.Load(); w.count++ {
		for p.held.Load() && sleep(ctx, time.Millisecond) == nil {
			due = time.Now().Add(every * time.Duration(w.number) / time.Duration(clients))
		}
		if sleep(ctx, time.Until(due)) != nil {
			break
		}
		if _, err := put(ctx, w); err != nil {
			kind, _ := classify(err)
			failed.add(kind, err)
		} else {
			samples = append(samples, sample{due, time.Now()})
		}
		due = due.Add(every)
	}
	return samples
}

// errNoSamples means that a measurement has no result.
var errNoSamples = errors.New("no write was in flight during the measurement")

// within returns the latencies of the requests that were in flight during any of the windows, in microseconds.
func within(samples []sample, windows []window) (*hdrhistogram.Histogram, error) {
	h := hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
	for _, s := range samples {
		for _, w := range windows {
			if s.due.Before(w.to) && s.done.After(w.from) {
				if err := h.RecordValue(max(1, s.done.Sub(s.due).Microseconds())); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	if h.TotalCount() == 0 {
		return nil, errNoSamples
	}
	return h, nil
}
