package sim

import (
	"reflect"
	"slices"
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// imagined is a run that costs no time: a cluster of five nodes and eight clients with all faults, which breaks an
// invariant if a condition holds.
func imagined(broken func(cfg Config, s Setting) (invariant string, step int)) func(Config) Result {
	return func(cfg Config) Result {
		s := Setting{Nodes: cfg.Nodes, Clients: cfg.Clients, Inflight: cfg.Inflight}
		fill(&s.Nodes, 5)
		fill(&s.Clients, 8)
		fill(&s.Inflight, 4)
		fill(&cfg.Steps, defaultSteps)
		s.Clients = max(0, s.Clients)
		for f := range s.Mix {
			if !slices.Contains(cfg.Without, engine.Fault(f)) {
				s.Mix[f] = 0.5
			}
		}
		r := Result{Seed: cfg.Seed, Chapters: 1, Setting: s}
		if invariant, step := broken(cfg, s); invariant != "" {
			r.Violation = &Violation{Seed: cfg.Seed, Step: step, Chapter: cfg.Chapter, Broken: invariant}
		}
		return r
	}
}

func TestShrinkLeavesOnlyWhatTheFailureNeeds(t *testing.T) {
	t.Parallel()
	run := imagined(func(cfg Config, s Setting) (string, int) {
		if s.Nodes >= 3 && s.Clients >= 2 && s.Mix[engine.Crash] > 0 && s.Mix[engine.Loss] > 0 && cfg.Steps >= 700 {
			return "election safety", 700
		}
		return "", 0
	})
	cfg, r := Shrink(Config{Seed: 9}, run)
	if r.Violation == nil || cfg.Seed != 9 || cfg.Nodes != 3 || cfg.Clients != 2 || cfg.Steps != 700 || cfg.Inflight != 1 {
		t.Errorf("got %+v, %+v", cfg, r.Violation)
	}
	if len(cfg.Without) != len(engine.AllFaults())-2 || r.Mix[engine.Crash] == 0 || r.Mix[engine.Loss] == 0 {
		t.Errorf("left out: %v; want all but crash and loss", cfg.Without)
	}
	if again := run(cfg); !reflect.DeepEqual(again, r) {
		t.Errorf("what it gives leads to %+v, not to %+v", again, r)
	}
}

func TestShrinkStaysWithTheFailure(t *testing.T) {
	t.Parallel()
	run := imagined(func(_ Config, s Setting) (string, int) {
		if s.Nodes < 5 || s.Clients < 8 {
			return "another invariant", 1
		}
		return "log matching", 10
	})
	cfg, r := Shrink(Config{}, run)
	if r.Violation.Broken != "log matching" || cfg.Nodes != 0 || cfg.Clients != 0 {
		t.Errorf("got %+v, %+v; want nodes and clients as they were drawn", cfg, r.Violation)
	}
}

func TestShrinkEndsTheFaultsEarlierIfTheCalmPartFails(t *testing.T) {
	t.Parallel()
	run := imagined(func(cfg Config, s Setting) (string, int) {
		if cfg.Steps >= 1000 && s.Clients == 0 {
			return "the nodes converge", cfg.Steps + 500
		}
		return "", 0
	})
	cfg, r := Shrink(Config{Clients: -1, Steps: 8000}, run)
	if r.Violation == nil || cfg.Steps < 1000 || cfg.Steps > 1200 {
		t.Errorf("got %+v, %+v; want hardly more than 1000 steps", cfg, r.Violation)
	}
}

func TestShrinkLeavesOutTheChaptersBefore(t *testing.T) {
	t.Parallel()
	run := imagined(func(cfg Config, _ Setting) (string, int) {
		if before := (3 - cfg.Chapter) * chapterSteps; before >= 0 && cfg.Steps >= before+100 {
			return "log matching", before + 100
		}
		return "", 0
	})
	told := func(cfg Config) Result {
		r := run(cfg)
		if r.Violation != nil {
			r.Chapters += 3 - cfg.Chapter
			r.Violation.Chapter = 3
		}
		return r
	}
	cfg, r := Shrink(Config{Steps: 1_000_000}, told)
	if r.Violation == nil || cfg.Chapter != 3 || cfg.Steps != 100 {
		t.Errorf("got %+v, %+v; want 100 steps of chapter 3", cfg, r.Violation)
	}
}

func TestShrinkGivesBackWhatBreaksNothing(t *testing.T) {
	t.Parallel()
	runs := 0
	run := imagined(func(Config, Setting) (string, int) { runs++; return "", 0 })
	cfg, r := Shrink(Config{Seed: 3}, run)
	if r.Violation != nil || !reflect.DeepEqual(cfg, Config{Seed: 3}) || runs != 1 {
		t.Errorf("got %+v, %+v after %d runs", cfg, r, runs)
	}
}
