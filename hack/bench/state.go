package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// statePlan has the sizes of the section state.
type statePlan struct {
	keys   int
	burst  int // writes that a checkpoint includes, or whose past versions are compacted
	missed int // writes that a follower misses
	rate   int // writes per second while latencies are measured
	lists  int // lists per round
	flags  []string
}

const (
	pacedClients  = 64
	settleLimit   = 5 * time.Minute
	catchUpLimit  = 5 * time.Minute
	bulkClients   = 8
	singleClients = 256
	cutWrites     = 2_000
	calmTimes     = 3 // the undisturbed time in measured times: a garbage collection every few seconds makes its p99
)

func (b *bench) planState() statePlan {
	if b.short {
		return statePlan{
			keys: 20_000, burst: 5_000, missed: 5_000, rate: 500, lists: 5,
			flags: []string{"--log-entries", "1000", "--checkpoint-interval", "1s"},
		}
	}
	return statePlan{keys: b.stateKeys, burst: 100_000, missed: 100_000, rate: b.rate, lists: 20}
}

// state measures what a large state costs: memory, restart, lists, and the latency of writes while checkpoints are
// written, while the history is compacted and while a follower is sent a snapshot.
func (b *bench) state(ctx context.Context) error {
	plan := b.planState()
	var systems []system
	for _, sys := range b.systems {
		if _, ok := sys.(kontiki); ok {
			sys = kontiki{plan.flags}
		}
		systems = append(systems, sys)
	}
	results := map[string]*stateResult{}
	err := b.withClustersOf(ctx, systems, plan.keys, func(all []*cluster) error {
		var runs []*stateRun
		for _, c := range all {
			r := &stateRun{bench: b, c: c, plan: plan, result: newStateResult()}
			runs, results[c.name()] = append(runs, r), r.result
			if err := r.load(ctx); err != nil {
				return fmt.Errorf("load %s: %w", c.name(), err)
			}
		}
		for round := range b.roundCount {
			for i := range runs {
				r := runs[(i+round)%len(runs)]
				if err := r.round(ctx); err != nil {
					return fmt.Errorf("%s: %w", r.c.name(), err)
				}
			}
		}
		for _, r := range runs {
			if err := r.end(ctx); err != nil {
				return fmt.Errorf("%s: %w", r.c.name(), err)
			}
		}
		return nil
	})
	b.reportState(plan, results)
	return err
}

// stateRun is the section state on one cluster.
type stateRun struct {
	*bench
	c      *cluster
	plan   statePlan
	result *stateResult
	away   int         // the member that is stopped, while the disturbance is a follower that catches up
	has    uint64      // what it had applied
	held   atomic.Bool // no write is due, because a burst would delay it
}

// disturbance is work of the servers beside the writes whose latency is measured.
type disturbance struct {
	flag string // its name in -disturb
	name string
	// prepare does what comes before the measurement.
	prepare func(s *stateRun, ctx context.Context) error
	// cause makes the disturbance, and returns when it was there.
	cause func(s *stateRun, ctx context.Context) ([]window, error)
}

var disturbances = []disturbance{
	{"checkpoint", duringCheckpoints, func(*stateRun, context.Context) error { return nil }, (*stateRun).checkpoint},
	{"compaction", duringCompaction, (*stateRun).burst, (*stateRun).compaction},
	{"log", duringLog, (*stateRun).fallBehind, (*stateRun).catchUpByLog},
	{"snapshot", duringSnapshot, (*stateRun).needSnapshot, (*stateRun).catchUpBySnapshot},
}

// load writes every key once, and measures the memory when the rest of that work is done.
func (s *stateRun) load(ctx context.Context) error {
	var next atomic.Int64
	begin := time.Now()
	requests := (s.plan.keys + batchSize - 1) / batchSize
	err := s.bulk(ctx, s.c.members, bulkClients, requests, func(ctx context.Context, w *worker) (int, error) {
		return w.loadKeys(ctx, int(next.Add(batchSize))-batchSize)
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.result.loaded, err = s.c.memory()
	fmt.Fprintf(s.progress, "%s: %s keys loaded in %.1f s, settled after %.1f s, at most %.0f MB per node\n", s.c.name(),
		thousands(float64(s.plan.keys)), took.Seconds(), time.Since(begin).Seconds(), s.result.loaded)
	return err
}

// loadKeys writes batchSize keys from one on, and again if an election is the reason that it is not known whether they
// were written.
func (w *worker) loadKeys(ctx context.Context, first int) (int, error) {
	for {
		w.keys, w.ids = w.keys[:0], w.ids[:0]
		for i := first; i < min(first+batchSize, w.keyCount()); i++ {
			w.keys = append(w.keys, i)
			w.ids = append(w.ids, idFor(w.cell, w.number, w.count*batchSize+i-first))
		}
		n, err := w.batch(ctx)
		if kind, _ := classify(err); err == nil || kind != noLeader && kind != outcomeUnknown {
			return n, err
		}
		w.count++
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// round measures everything once.
func (s *stateRun) round(ctx context.Context) error {
	for _, d := range s.options.disturb {
		if err := s.disturb(ctx, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	took, err := s.c.restartFollower(ctx)
	if err != nil {
		return err
	}
	s.result.restarts = append(s.result.restarts, took)
	fmt.Fprintf(s.progress, "%s: ready %d ms after a restart\n", s.c.name(), took.Milliseconds())
	return s.lists(ctx)
}

// end measures the memory again and verifies every key.
func (s *stateRun) end(ctx context.Context) error {
	if err := s.c.caughtUp(ctx); err != nil {
		return err
	}
	var err error
	if s.result.atEnd, err = s.c.memory(); err != nil {
		return err
	}
	sessions, closeAll, err := s.c.drivers(s.c.members)[0].open(ctx, 1, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	begin := time.Now()
	if err := s.c.account.verifyByList(ctx, sessions[0]); err != nil {
		return fmt.Errorf("%s does not have the writes that it acknowledged: %w", s.c.name(), err)
	}
	fmt.Fprintf(s.progress, "%s: every key read back in %.1f s; at most %.0f MB per node\n", s.c.name(),
		time.Since(begin).Seconds(), s.result.atEnd)
	return nil
}

// memory returns the resident megabytes of the largest member.
func (c *cluster) memory() (float64, error) {
	var most int64
	for _, m := range c.members {
		bytes, err := m.process.Memory()
		if err != nil {
			return 0, err
		}
		most = max(most, bytes)
	}
	return float64(most) / 1e6, nil
}

// disturb measures writes without and then with a disturbance.
func (s *stateRun) disturb(ctx context.Context, d disturbance) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	calm, err := s.measurePaced(ctx, s.c.members, s.calm)
	if err != nil {
		return err
	}
	if err := d.prepare(s, ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	cause := func(ctx context.Context) ([]window, error) { return d.cause(s, ctx) }
	disturbed, err := s.measurePaced(ctx, s.running(), cause)
	if err != nil {
		return err
	}
	s.result.add(d.name, calm, disturbed)
	fmt.Fprintf(s.progress, "%s: undisturbed %s; %s %s\n", s.c.name(), quantiles(calm), d.name, quantiles(disturbed))
	_, err = s.c.awaitReady(ctx)
	return err
}

// running returns the members that are not stopped.
func (s *stateRun) running() []*member {
	var running []*member
	for _, m := range s.c.members {
		if m.process.Running() {
			running = append(running, m)
		}
	}
	return running
}

// calm lets the time pass that is measured without a disturbance.
func (s *stateRun) calm(ctx context.Context) ([]window, error) {
	before, err := s.c.checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := sleep(ctx, calmTimes*s.seconds); err != nil {
		return nil, err
	}
	end := time.Now()
	after, err := s.c.checkpoints(ctx)
	if after > before {
		fmt.Fprintf(s.progress, "%s: %.0f checkpoints ended in the undisturbed time\n", s.c.name(), after-before)
	}
	return []window{{begin, end}}, err
}

// measurePaced writes at the rate of the plan, and returns the latencies of the requests in flight during the windows
// that a function returns.
func (s *stateRun) measurePaced(
	ctx context.Context, members []*member, during func(ctx context.Context) ([]window, error),
) (*hdrhistogram.Histogram, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit+catchUpLimit)
	defer cancel()
	sessions, closeAll, err := s.c.drivers(members)[0].open(ctx, pacedClients, 0)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	before, err := s.c.term(ctx)
	if err != nil {
		return nil, err
	}
	s.cells++
	var windows []window
	p := paced{cell: s.cells, rate: s.plan.rate, warmUp: s.warmUp, held: &s.held}
	samples, failed, err := p.run(ctx, s.c, sessions, func(ctx context.Context) (err error) {
		windows, err = during(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	after, err := s.c.term(ctx)
	if err != nil {
		return nil, err
	}
	if after > before {
		fmt.Fprintf(s.progress, "%s: the term went from %d to %d under load\n", s.c.name(), before, after)
	}
	if err := errors.Join(failed.judge(after > before, false), s.c.ended()); err != nil {
		return nil, err
	}
	return within(samples, windows)
}

// bulk makes so many requests as fast as possible. Only an election may let some of them fail.
func (s *stateRun) bulk(ctx context.Context, members []*member, clients, requests int, t task) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	sessions, closeAll, err := s.c.drivers(members)[0].open(ctx, clients, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	before, err := s.c.term(ctx)
	if err != nil {
		return err
	}
	s.cells++
	var started atomic.Int64
	var failed failures
	var wg sync.WaitGroup
	for i, session := range sessions {
		w := newWorker(s.c, session, s.cells, i)
		wg.Go(func() {
			for ; started.Add(1) <= int64(requests) && ctx.Err() == nil; w.count++ {
				if _, err := t(ctx, w); err != nil {
					kind, _ := classify(err)
					failed.add(kind, err)
					_ = sleep(ctx, 5*time.Millisecond) // the loop checks ctx itself
				}
			}
		})
	}
	wg.Wait()
	after, err := s.c.term(ctx)
	if err != nil {
		return err
	}
	if after > before {
		fmt.Fprintf(s.progress, "%s: the term went from %d to %d under load\n", s.c.name(), before, after)
	}
	return errors.Join(failed.judge(after > before, false), ctx.Err())
}

// burst writes keys that exist in batches.
func (s *stateRun) burst(ctx context.Context) error {
	return s.bulk(ctx, s.c.members, bulkClients, s.plan.burst/batchSize, putBatch)
}

// lists measures lists through each driver.
func (s *stateRun) lists(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for _, d := range s.c.drivers(s.c.members) {
		sessions, closeAll, err := d.open(ctx, 1, 0)
		if err != nil {
			return err
		}
		defer closeAll()
		w := newWorker(s.c, sessions[0], 0, 0) // it only lends its random numbers: both systems list the same ranges
		for range s.plan.lists {
			from := w.random.IntN(s.plan.keys - listKeys + 1)
			begin := time.Now()
			count, err := sessions[0].list(ctx, from, listKeys, nil)
			if err != nil {
				return err
			}
			if count != listKeys {
				return fmt.Errorf("a list from %s on has %d keys, want %d", keyName(from), count, listKeys)
			}
			s.result.lists[d.name] = append(s.result.lists[d.name], time.Since(begin))
		}
		fmt.Fprintf(s.progress, "%s: list of %s keys through %s, median %.1f ms\n", s.c.name(), thousands(listKeys), d.name,
			float64(medianTime(s.result.lists[d.name]).Microseconds())/1000)
	}
	return nil
}
