package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim"
)

// heapEvery is the number of chapters between two figures of the memory: 100,000 steps.
const heapEvery = 4

// one runs one seed.
func (p *program) one() (broken bool, err error) {
	cfg := p.cfg
	var trace *bufio.Writer
	if p.verbose {
		trace = bufio.NewWriter(p.stdout)
		cfg.Trace = trace
	}
	memory := heap{}
	cfg.Ended = func(chapter sim.Result) {
		memory.measure(chapter.Steps)
		if memory.chapters%heapEvery == 0 && !p.json {
			fmt.Fprintf(p.stderr, "after %s steps: heap %s\n", thousands(memory.steps), megabytes(memory.now))
		}
	}
	watch := startWatch()
	r := sim.Run(cfg)
	cost := watch.stop(r.Steps)
	if trace != nil {
		if err := trace.Flush(); err != nil {
			return false, err
		}
	}
	if p.json {
		return r.Violation != nil, p.printJSON(report{
			Seeds: 1, Digest: r.Digest, Steps: r.Steps, SimulatedHours: r.Simulated.Hours(),
			StepsPerSecond: cost.perSecond(), Operations: r.Operations, Violation: r.Violation,
		})
	}
	describe(p.stdout, &r)
	fmt.Fprintf(p.stdout, "speed       %v\n", cost)
	fmt.Fprintf(p.stdout, "heap        at most %s, measured after each chapter\n", megabytes(memory.most))
	fmt.Fprintf(p.stdout, "digest      %s\n", r.Digest)
	if r.Violation == nil {
		fmt.Fprintln(p.stdout, "every invariant held")
		return false, nil
	}
	printViolation(p.stdout, r.Violation, replay(os.Getenv(plantedIn), cfg))
	return true, nil
}

// shrinkOne looks for a shorter run of a seed's failure.
func (p *program) shrinkOne() (broken bool) {
	tried := 0
	began := time.Now()
	cfg, r := sim.Shrink(p.cfg, func(cfg sim.Config) sim.Result {
		tried++
		r := sim.Run(cfg)
		if r.Violation != nil {
			fmt.Fprintf(p.stderr, "%3d: broken at step %s with %s\n", tried, thousands(r.Violation.Step), cfg.CommandLine())
		}
		return r
	})
	took := time.Since(began)
	if r.Violation == nil {
		describe(p.stdout, &r)
		fmt.Fprintln(p.stdout, "every invariant held: there is nothing to shrink")
		return false
	}
	describe(p.stdout, &r)
	fmt.Fprintf(p.stdout, "the shortest of %d runs, found in %v\n", tried, took.Round(time.Millisecond))
	printViolation(p.stdout, r.Violation, replay(os.Getenv(plantedIn), cfg))
	return true
}

// describe prints the setting of a run, and its faults and operations.
func describe(w io.Writer, r *sim.Result) {
	fmt.Fprintf(w, "seed        %d", r.Seed)
	if r.Chapters > 1 {
		fmt.Fprintf(w, ", %d chapters; the last one:", r.Chapters)
	}
	fmt.Fprintf(w, "\ncluster     %d nodes, %d clients; to each follower %d appends in flight, of at most %d entries\n",
		r.Nodes, r.Clients, r.Inflight, r.MessageEntries)
	fmt.Fprintf(w, "timing      heartbeat %v, election timeout %v, message %v, save %v\n", r.Heartbeat, r.ElectionTimeout,
		r.Latency, r.DiskLatency)
	fmt.Fprintf(w, "limits      %v\n", &r.Limits)
	fmt.Fprintf(w, "faults      %v\n", &r.Mix)
	fmt.Fprintf(w, "struck      %s\n", counted(r.Struck))
	printKept(w, r.Kept)
	fmt.Fprintf(w, "operations  %s done, %s refused, %s unknown\n", thousands(r.Done), thousands(r.Refused),
		thousands(r.Unknown))
	fmt.Fprintf(w, "steps       %s, simulated %v\n", thousands(r.Steps), r.Simulated.Round(time.Millisecond))
}

// printViolation prints the broken invariant, the events before, and the command that replays the run.
func printViolation(w io.Writer, v *sim.Violation, replay string) {
	fmt.Fprintln(w, "\nthe last events (step, time, what):")
	for _, line := range v.Last {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "\nBROKEN: %s\nseed %d, step %d: %s\nreplay: %s\n", v.Broken, v.Seed, v.Step, v.Detail,
		replay)
}

// replay returns the command that runs a seed again, with the planted bug, if any.
func replay(mutant string, cfg sim.Config) string {
	if mutant != "" {
		mutant = "-mutant " + mutant + " "
	}
	return "raftsim " + mutant + cfg.CommandLine()
}

// heap is the memory in use, including garbage, measured after each chapter.
type heap struct {
	chapters, steps int
	now, most       uint64
}

func (h *heap) measure(steps int) {
	h.steps += steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.chapters++
	h.now = m.HeapAlloc
	h.most = max(h.most, h.now)
}
