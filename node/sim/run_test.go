package sim

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

func TestEveryInvariantHolds(t *testing.T) {
	t.Parallel()
	seeds := Seeds{1, 40}
	if underRace {
		seeds.Last = 4
	}
	c := Campaign{Config: Config{Steps: 5000}, Seeds: seeds, Workers: runtime.GOMAXPROCS(0)}
	c.Over = func(r Result) {
		if r.Violation != nil {
			t.Errorf("%v\nreplay: raftsim -seed %d -steps 5000", r.Violation, r.Seed)
		}
	}
	s := c.Run()
	if s.Done == 0 || s.Unknown == 0 || len(s.Struck) < 5 {
		t.Errorf("hardly anything happened: %+v", s)
	}
	t.Logf("%d seeds, %d steps, %.2f simulated hours, %+v", s.Seeds, s.Steps, s.Simulated.Hours(), s.Operations)
}

func TestTheSameSeedIsTheSameRun(t *testing.T) {
	t.Parallel()
	digests := map[string]uint64{}
	for seed := range uint64(8) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			cfg := Config{Seed: seed, Steps: 2000}
			first := Run(cfg)
			var trace, again bytes.Buffer
			cfg.Trace = &trace
			second := Run(cfg)
			cfg.Trace = &again
			third := Run(cfg)
			if !reflect.DeepEqual(first, second) || !reflect.DeepEqual(second, third) {
				t.Errorf("seed %d: %+v, then %+v, then %+v", seed, first, second, third)
			}
			if trace.Len() == 0 || trace.String() != again.String() {
				t.Errorf("seed %d: its traces have %d and %d bytes", seed, trace.Len(), again.Len())
			}
		})
		if r := Run(Config{Seed: seed, Steps: 200}); digests[r.Digest] != 0 {
			t.Errorf("seeds %d and %d have the same digest", seed, digests[r.Digest]-1)
		} else {
			digests[r.Digest] = seed + 1
		}
	}
}

func TestALongRunIsToldInChapters(t *testing.T) {
	t.Parallel()
	var told []Result
	cfg := Config{Seed: 5, Steps: 1700, chapterSteps: 500, Ended: func(r Result) { told = append(told, r) }}
	all := Run(cfg)
	if all.Violation != nil || all.Chapters != 4 || len(told) != 4 {
		t.Fatalf("got %+v, told in %d chapters; want 4", all, len(told))
	}
	sum := Result{Seed: 5, Digest: all.Digest, Struck: map[string]int{}}
	for i, chapter := range told {
		sum.add(chapter)
		steps := []int{500, 500, 500, 200}[i]
		if alone := Run(Config{Seed: 5, Chapter: i, Steps: steps}); !reflect.DeepEqual(alone, chapter) {
			t.Errorf("chapter %d by itself is %+v, and in the run it was %+v", i, alone, chapter)
		}
		for _, other := range told[:i] {
			if other.Digest == chapter.Digest || other.Mix == chapter.Mix {
				t.Errorf("chapter %d repeats another: %+v", i, chapter)
			}
		}
	}
	if !reflect.DeepEqual(sum, all) {
		t.Errorf("the chapters sum up to %+v, the run is %+v", sum, all)
	}
	if plain := Run(Config{Seed: 5, Steps: 500}); plain.Digest != told[0].Digest || all.Digest == plain.Digest {
		t.Errorf("a short run has the digest %s, the first chapter %s, and all %s", plain.Digest, told[0].Digest, all.Digest)
	}
}

func TestAViolationCountsTheStepsOfAllChapters(t *testing.T) {
	t.Parallel()
	w := NewCluster(Config{Seed: 5, Chapter: 2})
	w.Before = 1000
	for range 23 {
		w.After(0, nil, func() {})
	}
	for w.Advance() {
	}
	w.Note("something")
	w.Broken("an invariant", "of %s", "ours")
	v := w.violation
	if v.Step != 1023 || v.Chapter != 2 || v.Seed != 5 || len(v.Last) != 1 || v.Last[0][:8] != "    1023" {
		t.Errorf("got %+v", v)
	}
}

// Not parallel: other tests would use memory meanwhile.
func TestMemoryIsFlatOverChapters(t *testing.T) {
	const chapters = 8
	var heap []uint64
	goroutines := runtime.NumGoroutine()
	r := Run(Config{
		Seed: 2, Nodes: 3, Clients: 8, Steps: chapters * 1500, chapterSteps: 1500, Mix: &engine.Mix{engine.Crash: 0.001},
		Ended: func(Result) {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = append(heap, m.HeapAlloc)
		},
	})
	if r.Violation != nil || len(heap) != chapters {
		t.Fatalf("%v after %d chapters", r.Violation, len(heap))
	}
	if first, last := heap[1], heap[chapters-1]; last > first+first/2 {
		t.Errorf("the heap grew from %d to %d bytes: %v", first, last, heap)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines were left behind", now-goroutines)
	}
}

// A watchdog may give up a disk that hangs, and no other.
func TestADiskThatWorksIsNotGivenUp(t *testing.T) {
	t.Parallel()
	for takes, broken := range map[time.Duration]bool{0: true, 3 * time.Second: true, 30 * time.Second: false} {
		w := quiet()
		m := w.Machine(1)
		m.Process = w.NewProcess(m, 1)
		m.Disk.Takes = takes
		w.GaveUp(m, errFull)
		if (w.violation != nil) != broken {
			t.Errorf("in a save that takes %v: %v", takes, w.violation)
		}
		w.Close()
	}
}

func BenchmarkRun(b *testing.B) {
	seed, steps := uint64(0), 0
	for b.Loop() {
		seed++
		steps += Run(Config{Seed: seed}).Steps
	}
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}

func TestAPanicOfTheCodeUnderTestIsAViolation(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	w.Guarded(func() {
		p.Go(func() { panic("raft: invariant broken: for the test") })
		w.Settle(p)
	})
	w.Close()
	if w.violation == nil || w.violation.Broken != "no panic" {
		t.Errorf("it became %v", w.violation)
	}
}
