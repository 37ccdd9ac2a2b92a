package sim

import (
	"slices"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Shrink searches for a shorter run of a failure: one chapter, fewer nodes, clients and faults, fewer steps, as long as
// the same invariant is broken. It runs the configuration itself first, and returns it unchanged if no invariant is
// broken. It ends when no single change makes the run shorter; the result need not be the shortest run.
func Shrink(cfg Config, run func(Config) Result) (Config, Result) {
	s := shrinker{run: run, cfg: cfg, found: run(cfg)}
	if s.found.Violation == nil {
		return s.cfg, s.found
	}
	s.invariant = s.found.Violation.Broken
	s.oneChapter()
	for changed := true; changed; {
		changed = false
		for _, smaller := range []func() bool{s.fewerNodes, s.fewerClients, s.fewerFaults, s.fewerAppends, s.fewerSteps} {
			changed = smaller() || changed
		}
	}
	return s.cfg, s.found
}

// shrinker holds the shortest run so far. Every change that it keeps makes some figure smaller and none larger, so it
// terminates.
type shrinker struct {
	run       func(Config) Result
	invariant string
	cfg       Config
	found     Result
}

// try keeps a configuration if it still breaks the invariant.
func (s *shrinker) try(cfg Config) bool {
	r := s.run(cfg)
	if r.Violation == nil || r.Violation.Broken != s.invariant {
		return false
	}
	s.cfg, s.found = cfg, r
	return true
}

// oneChapter leaves out the chapters before the one that fails, which do not affect it.
func (s *shrinker) oneChapter() {
	if s.found.Chapters == 1 {
		return
	}
	cfg := s.cfg
	cfg.Steps -= (s.found.Violation.Chapter - cfg.Chapter) * cfg.stepsOfAChapter()
	cfg.Steps = min(cfg.Steps, cfg.stepsOfAChapter())
	cfg.Chapter = s.found.Violation.Chapter
	s.try(cfg)
}

func (s *shrinker) fewerNodes() bool {
	for nodes := 1; nodes < s.found.Nodes; nodes++ {
		cfg := s.cfg
		cfg.Nodes = nodes
		if s.try(cfg) {
			return true
		}
	}
	return false
}

func (s *shrinker) fewerClients() bool {
	for clients := range s.found.Clients {
		cfg := s.cfg
		if cfg.Clients = clients; clients == 0 {
			cfg.Clients = -1 // 0 would be drawn
		}
		if s.try(cfg) {
			return true
		}
	}
	return false
}

func (s *shrinker) fewerFaults() bool {
	changed := false
	for _, f := range engine.AllFaults() {
		if s.found.Mix[f] == 0 {
			continue
		}
		cfg := s.cfg
		cfg.Without = append(slices.Clone(cfg.Without), f)
		changed = s.try(cfg) || changed
	}
	return changed
}

func (s *shrinker) fewerAppends() bool {
	cfg := s.cfg
	cfg.Inflight = 1
	return s.found.Inflight > 1 && s.try(cfg)
}

// fewerSteps ends the run where the invariant is broken. If that is in the calm part, the faults may end earlier.
func (s *shrinker) fewerSteps() bool {
	cfg := s.cfg
	fill(&cfg.Steps, defaultSteps)
	all := cfg.Steps
	if cfg.Steps = s.found.Violation.Step; cfg.Steps < all {
		return s.try(cfg)
	}
	for _, share := range []int{64, 16, 4, 2} {
		if cfg.Steps = all / share; cfg.Steps > 0 && s.try(cfg) {
			return true
		}
	}
	cfg.Steps = all - all/8
	return cfg.Steps < all && s.try(cfg)
}
