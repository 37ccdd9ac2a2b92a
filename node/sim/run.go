package sim

import (
	"cmp"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// chapterSteps is the maximum number of events of the faulty part of a chapter. A long run is divided into chapters,
// each with a cluster of its own: what the checkers remember grows with a chapter, and so memory stays flat; and the
// calm phase takes place repeatedly.
const chapterSteps = 25_000

// Result is the result of a run.
type Result struct {
	Seed      uint64              `json:"seed"`
	Digest    string              `json:"digest"` // the same for the same seed and configuration
	Steps     int                 `json:"steps"`  // events of the simulation
	Chapters  int                 `json:"chapters"`
	Simulated time.Duration       `json:"simulated_ns"`
	Setting                       // of the last chapter
	Struck    map[string]int      `json:"struck"` // how often each fault took place
	Kept      engine.Housekeeping `json:"kept"`
	Operations
	Violation *Violation `json:"violation,omitempty"`
	// Script is the scenario, with what happened beside each line.
	Script []string `json:"script,omitempty"`
}

// Setting is what was drawn or configured for a chapter.
type Setting struct {
	Nodes           int           `json:"nodes"`
	Clients         int           `json:"clients"`
	Heartbeat       time.Duration `json:"heartbeat_ns"`
	ElectionTimeout time.Duration `json:"election_timeout_ns"`
	Inflight        int           `json:"inflight"`
	MessageEntries  int           `json:"message_entries"`
	Latency         time.Duration `json:"latency_ns"`
	DiskLatency     time.Duration `json:"disk_latency_ns"`
	Limits          Limits        `json:"limits"`
	Mix             engine.Mix    `json:"-"`
}

// Run simulates one seed, in chapters of at most 25,000 steps. Each has a faulty part of so many steps, in which no
// invariant may be broken; and a calm one, in which a majority heals and the cluster must serve again.
func Run(cfg Config) Result {
	fill(&cfg.Steps, defaultSteps)
	told := Result{Seed: cfg.Seed, Struck: map[string]int{}}
	sum := engine.Digest(0)
	for left := cfg.Steps; left > 0 && told.Violation == nil; cfg.Chapter++ {
		cfg.Steps = min(left, cfg.stepsOfAChapter())
		left -= cfg.Steps
		chapter, itsSum := runChapter(cfg, told.Steps)
		if told.add(chapter); told.Chapters == 1 {
			sum = itsSum
		} else {
			sum.Add(uint64(itsSum))
		}
		if cfg.Ended != nil {
			cfg.Ended(chapter)
		}
	}
	told.Digest = sum.String()
	return told
}

func (cfg *Config) stepsOfAChapter() int { return cmp.Or(cfg.chapterSteps, chapterSteps) }

// runChapter simulates one chapter, with so many steps before it.
func runChapter(cfg Config, before int) (Result, engine.Digest) {
	c := NewCluster(cfg)
	c.Before = before
	defer c.Close()
	c.Guarded(c.live)
	return c.Result(), c.Digest
}

// add adds the result of one more chapter.
func (r *Result) add(chapter Result) {
	r.Chapters++
	r.Steps += chapter.Steps
	r.Simulated += chapter.Simulated
	r.Setting = chapter.Setting
	r.Operations.Add(chapter.Operations)
	r.Kept.Add(chapter.Kept)
	r.Violation = chapter.Violation
	for fault, times := range chapter.Struck {
		r.Struck[fault] += times
	}
}

// live runs all of it.
func (c *Cluster) live() {
	for _, m := range c.Machines {
		c.nemesis.begin(m)
	}
	c.StartClients()
	c.nemesis.start()
	for c.Steps() < c.Config.Steps && c.violation == nil && c.Advance() {
	}
	if c.violation == nil {
		(&calm{c}).run()
	}
	if c.violation == nil {
		c.judgeHistory()
	}
}

// Result returns the result of the run.
func (c *Cluster) Result() Result {
	return Result{
		Seed: c.Config.Seed, Digest: c.Digest.String(), Steps: c.Steps(), Chapters: 1, Simulated: c.Now(),
		Setting: c.setting(), Struck: c.Struck(), Kept: c.Kept(), Operations: c.clients.operations(), Violation: c.violation,
	}
}

func (c *Cluster) setting() Setting {
	return Setting{
		Nodes: c.Config.Nodes, Clients: max(0, c.Config.Clients), Heartbeat: c.Config.Heartbeat,
		ElectionTimeout: c.Config.ElectionTimeout, Inflight: c.Config.Inflight,
		MessageEntries: c.Config.MessageEntries, Latency: c.Config.Latency, DiskLatency: c.Config.DiskLatency,
		Limits: c.Config.Limits, Mix: c.drawn,
	}
}
