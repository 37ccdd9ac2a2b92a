package sim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Seeds is a range of seeds, from First to Last, both included.
type Seeds struct{ First, Last uint64 }

// Fresh begins the name of a range of fresh seeds: "fresh+2000".
const Fresh = "fresh"

// ParseSeeds parses "0..500", both ends included, or "17+2000": 2000 of them from 17. For "fresh+2000" it takes the
// first from fresh.
func ParseSeeds(text string, fresh func() uint64) (Seeds, error) {
	wrong := func(why error) (Seeds, error) {
		return Seeds{}, fmt.Errorf("%q is no range of seeds; 0..500, 17+2000 or fresh+2000 would be: %w", text, why)
	}
	if first, last, found := strings.Cut(text, ".."); found {
		from, err := strconv.ParseUint(first, 10, 64)
		to, errTo := strconv.ParseUint(last, 10, 64)
		switch {
		case err != nil || errTo != nil:
			return wrong(errors.Join(err, errTo))
		case to < from:
			return wrong(errors.New("the last seed must not be below the first"))
		}
		return Seeds{from, to}, nil
	}
	first, count, found := strings.Cut(text, "+")
	if !found {
		return wrong(errors.New("it has no .. and no +"))
	}
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil || n == 0 {
		return wrong(fmt.Errorf("%q is no number of seeds", count))
	}
	var from uint64
	if first == Fresh {
		from = fresh()
	} else if from, err = strconv.ParseUint(first, 10, 64); err != nil {
		return wrong(err)
	}
	if from > math.MaxUint64-(n-1) {
		return wrong(errors.New("the last seed must be below 2^64"))
	}
	return Seeds{from, from + n - 1}, nil
}

// String returns the seeds as ParseSeeds parses them.
func (s Seeds) String() string { return fmt.Sprintf("%d..%d", s.First, s.Last) }

// Campaign runs many seeds.
type Campaign struct {
	Config  Config // of every run, except its seed
	Seeds   Seeds
	Workers int  // that run at once, one seed each
	First   bool // stop at the first seed that breaks an invariant
	// Over is called with the result of every run in the order of the seeds, one at a time; nil: it is not called.
	Over func(Result)

	run func(Config) Result // for tests; default Run
}

// Summary is the result of many seeds. It does not depend on the number of workers.
type Summary struct {
	Seeds     int
	Steps     int
	Simulated time.Duration
	Operations
	Kept       engine.Housekeeping
	Struck     map[string]int
	Violations []*Violation // by seed
}

// Run runs all seeds, and returns a summary.
func (c *Campaign) Run() Summary {
	if c.run == nil {
		c.run = Run
	}
	l := queue{campaign: c, next: c.Seeds.First, summary: Summary{Struck: map[string]int{}}, waiting: map[uint64]Result{}}
	l.due = l.next
	var wait sync.WaitGroup
	for range max(1, c.Workers) {
		wait.Go(l.work)
	}
	wait.Wait()
	return l.summary
}

// queue has the seeds that the workers take, in order, and the results that wait for their turn.
type queue struct {
	campaign *Campaign

	mu      sync.Mutex
	next    uint64 // seed that no worker has
	handed  bool   // the last seed
	stop    bool
	due     uint64 // seed whose result is reported next
	waiting map[uint64]Result
	summary Summary
}

func (l *queue) work() {
	for {
		seed, more := l.take()
		if !more {
			return
		}
		cfg := l.campaign.Config
		cfg.Seed = seed
		l.over(l.campaign.run(cfg))
	}
}

// take returns the next seed.
func (l *queue) take() (seed uint64, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop || l.handed {
		return 0, false
	}
	seed = l.next
	l.next++
	l.handed = seed == l.campaign.Seeds.Last
	return seed, true
}

// over reports a run, and those that waited for it. The seeds before one that ends the campaign have all been taken by
// then, and are reported; those after it are not.
func (l *queue) over(r Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[r.Seed] = r
	l.handed = l.handed || l.campaign.First && r.Violation != nil
	for !l.stop {
		r, here := l.waiting[l.due]
		if !here {
			return
		}
		delete(l.waiting, l.due)
		l.due++
		l.summary.add(&r)
		l.stop = l.campaign.First && r.Violation != nil
		if l.campaign.Over != nil {
			l.campaign.Over(r)
		}
	}
}

func (s *Summary) add(r *Result) {
	s.Seeds++
	s.Steps += r.Steps
	s.Simulated += r.Simulated
	s.Operations.Add(r.Operations)
	s.Kept.Add(r.Kept)
	for fault, times := range r.Struck {
		s.Struck[fault] += times
	}
	if r.Violation != nil {
		s.Violations = append(s.Violations, r.Violation)
	}
}
