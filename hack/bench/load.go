package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kontiki-dev/kontiki/hack/lab/process"
)

// task does one request and returns how many operations it was, or 0 if it failed and counts as such.
type task func(ctx context.Context, c *worker) (operations int, err error)

// load is a number of clients that repeat one task as fast as they can, for a time.
type load struct {
	cell    int // makes the ids of this load's writes unique
	task    task
	warmUp  time.Duration
	measure time.Duration
	pace    time.Duration // pause of each client between two requests; 0: none
	cpu     func() time.Duration
}

// worker is one client of a load.
type worker struct {
	session session
	cluster *cluster
	random  *rand.Rand
	cell    int
	number  int
	count   int // requests so far

	keys []int // of a batch
	ids  []writeID

	latencies  []uint32 // of the requests that ended during the measurement, in microseconds
	operations int
}

// newWorker returns a client whose writes have unique ids.
func newWorker(c *cluster, s session, cell, number int) *worker {
	random := rand.New(rand.NewPCG(uint64(cell), uint64(number)))
	return &worker{session: s, cluster: c, random: random, cell: cell, number: number}
}

// keyCount is the number of keys of the cluster.
func (w *worker) keyCount() int { return len(w.cluster.account.keys) }

// result is the measured result of a load.
type result struct {
	operations int
	elapsed    time.Duration
	latency    *hdrhistogram.Histogram // microseconds
	servers    time.Duration           // processor time
	clients    time.Duration
	failures   *failures
	elections  int // terms that started in the meantime
}

func (r result) perSecond() float64 { return float64(r.operations) / r.elapsed.Seconds() }

// run loads a cluster. No request is canceled at the end: every one gets its response, or fails after a timeout, so
// that all are accounted for.
func (l load) run(ctx context.Context, c *cluster, sessions []session) (result, error) {
	workers := make([]*worker, len(sessions))
	for i, s := range sessions {
		workers[i] = newWorker(c, s, l.cell, i)
	}
	var failed failures
	var measuring, stopped atomic.Bool
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { l.work(ctx, w, &measuring, &stopped, &failed) })
	}
	err := sleep(ctx, l.warmUp)
	servers, clients, begin := l.cpu(), process.OwnCPU(), time.Now()
	measuring.Store(true)
	err = errors.Join(err, sleep(ctx, l.measure))
	measuring.Store(false)
	r := result{
		elapsed: time.Since(begin), servers: l.cpu() - servers, clients: process.OwnCPU() - clients, failures: &failed,
		latency: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3),
	}
	stopped.Store(true)
	wg.Wait()
	for _, w := range workers {
		r.operations += w.operations
		for _, latency := range w.latencies {
			err = errors.Join(err, r.latency.RecordValue(int64(max(1, latency))))
		}
	}
	return r, err
}

// work runs one client.
func (l load) work(ctx context.Context, w *worker, measuring, stopped *atomic.Bool, failed *failures) {
	for ; !stopped.Load(); w.count++ {
		begin := time.Now()
		operations, err := l.task(ctx, w)
		latency := time.Since(begin)
		if err != nil {
			kind, _ := classify(err)
			failed.add(kind, err)
			if sleep(ctx, 5*time.Millisecond) != nil { // no retry storm against a server that refuses
				return
			}
			continue
		}
		if measuring.Load() {
			w.operations += operations
			w.latencies = append(w.latencies, uint32(latency.Microseconds()))
		}
		if l.pace > 0 && sleep(ctx, l.pace) != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// put writes a random key and records the outcome.
func put(ctx context.Context, w *worker) (int, error) {
	key, id := w.random.IntN(w.keyCount()), idFor(w.cell, w.number, w.count)
	revision, err := w.session.put(ctx, key, id)
	w.enter(key, id, revision, err)
	return 1, err
}

// enter records the outcome of a write.
func (w *worker) enter(key int, id writeID, revision uint64, err error) {
	if err == nil {
		w.cluster.account.acknowledged(key, id, revision)
	} else if _, maybeDone := classify(err); maybeDone {
		w.cluster.account.outcomeUnknown(key, id)
	}
}

func getLinearizable(ctx context.Context, w *worker) (int, error) {
	return 1, w.session.get(ctx, w.random.IntN(w.keyCount()), false)
}

func getLocal(ctx context.Context, w *worker) (int, error) {
	return 1, w.session.get(ctx, w.random.IntN(w.keyCount()), true)
}

// putBatch writes batchSize different keys in one request. Each of them counts as an operation.
func putBatch(ctx context.Context, w *worker) (int, error) {
	first := w.random.IntN(w.keyCount())
	w.keys, w.ids = w.keys[:0], w.ids[:0]
	for i := range batchSize {
		// The stride has no divisor in common with the number of keys, so no key comes twice, as etcd requires.
		w.keys = append(w.keys, (first+i*77)%w.keyCount())
		w.ids = append(w.ids, idFor(w.cell, w.number, w.count*batchSize+i))
	}
	return w.batch(ctx)
}

// batch writes the worker's keys and records the outcome of each.
func (w *worker) batch(ctx context.Context) (int, error) {
	var failed error
	entered := 0
	err := w.session.batch(ctx, w.keys, w.ids, func(i int, revision uint64, err error) {
		w.enter(w.keys[i], w.ids[i], revision, err)
		entered++
		if err != nil {
			failed = err
		}
	})
	if err != nil {
		for i := entered; i < len(w.keys); i++ {
			w.enter(w.keys[i], w.ids[i], 0, err)
		}
		return 0, err
	}
	return len(w.keys), failed
}
