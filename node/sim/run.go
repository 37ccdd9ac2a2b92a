package sim

import (
	"cmp"
	"runtime/debug"
	"time"
)

// chapterSteps is how many events the faulty part of a chapter has, at most. A node's log is never compacted yet, so
// the memory of a cluster grows for as long as it lives. A long run is told in chapters, each with a cluster of its
// own: so memory stays flat, and the demands of the calm part are made again and again.
const chapterSteps = 25_000

// Result is what became of a run.
type Result struct {
	Seed      uint64         `json:"seed"`
	Digest    string         `json:"digest"` // the same for the same seed and configuration, to the letter
	Steps     int            `json:"steps"`  // events of the simulation
	Chapters  int            `json:"chapters"`
	Simulated time.Duration  `json:"simulated_ns"`
	Setting                  // of the last chapter
	Struck    map[string]int `json:"struck"` // how often each fault took place
	Operations
	Violation *Violation `json:"violation,omitempty"`
	// Script is the story of a scenario, with what happened beside each line.
	Script []string `json:"script,omitempty"`
}

// Setting is what a chapter was drawn to be, or told to be.
type Setting struct {
	Nodes           int           `json:"nodes"`
	Clients         int           `json:"clients"`
	Heartbeat       time.Duration `json:"heartbeat_ns"`
	ElectionTimeout time.Duration `json:"election_timeout_ns"`
	Inflight        int           `json:"inflight"`
	MessageEntries  int           `json:"message_entries"`
	Latency         time.Duration `json:"latency_ns"`
	DiskLatency     time.Duration `json:"disk_latency_ns"`
	Mix             Mix           `json:"-"`
}

// Run lives through one seed, in chapters of at most 25,000 steps. Each has a faulty part of so many steps, in which
// nothing may be broken; and a calm one, in which a majority heals and the cluster must serve again.
func Run(cfg Config) Result {
	fill(&cfg.Steps, defaultSteps)
	told := Result{Seed: cfg.Seed, Struck: map[string]int{}}
	sum := digest(0)
	for left := cfg.Steps; left > 0 && told.Violation == nil; cfg.Chapter++ {
		cfg.Steps = min(left, cfg.stepsOfAChapter())
		left -= cfg.Steps
		chapter, itsSum := runChapter(cfg, told.Steps)
		if told.add(chapter); told.Chapters == 1 {
			sum = itsSum
		} else {
			sum.mix(uint64(itsSum))
		}
		if cfg.Told != nil {
			cfg.Told(chapter)
		}
	}
	told.Digest = sum.String()
	return told
}

func (cfg *Config) stepsOfAChapter() int { return cmp.Or(cfg.chapterSteps, chapterSteps) }

// runChapter lives through one chapter, with so many steps before it.
func runChapter(cfg Config, before int) (Result, digest) {
	w := newWorld(cfg)
	w.before = before
	defer w.close()
	w.guarded(w.live)
	return w.result(), w.digest
}

// add tells what became of one more chapter.
func (r *Result) add(chapter Result) {
	r.Chapters++
	r.Steps += chapter.Steps
	r.Simulated += chapter.Simulated
	r.Setting = chapter.Setting
	r.Operations.Add(chapter.Operations)
	r.Violation = chapter.Violation
	for fault, times := range chapter.Struck {
		r.Struck[fault] += times
	}
}

// live is the whole story.
func (w *World) live() {
	for _, m := range w.machines {
		m.begin()
	}
	w.startClients()
	w.nemesis()
	for w.steps < w.cfg.Steps && w.violation == nil && w.advance() {
	}
	if w.violation == nil {
		w.calm()
	}
	if w.violation == nil {
		w.judgeHistory()
	}
}

// guarded turns a panic of the code under test into a violation: the core panics when an invariant of its own is
// broken.
func (w *World) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			w.broken("no panic", "%v\n%s", r, w.panicStack(debug.Stack()))
		}
	}()
	f()
}

// panicStack prefers the stack of the task that panicked.
func (w *World) panicStack(here []byte) []byte {
	if w.stack != nil {
		return w.stack
	}
	return here
}

// close lets go of everything that still runs.
func (w *World) close() {
	for _, m := range w.machines {
		if m.process != nil {
			m.process.kill()
		}
	}
	if w.clients.process != nil {
		w.clients.process.kill()
	}
}

func (w *World) result() Result {
	r := Result{
		Seed: w.cfg.Seed, Digest: w.digest.String(), Steps: w.steps, Chapters: 1, Simulated: w.now,
		Setting: w.setting(), Struck: map[string]int{}, Operations: w.clients.operations(), Violation: w.violation,
	}
	for f, n := range w.counts {
		if n > 0 {
			r.Struck[Fault(f).String()] = n
		}
	}
	return r
}

func (w *World) setting() Setting {
	return Setting{
		Nodes: w.cfg.Nodes, Clients: max(0, w.cfg.Clients), Heartbeat: w.cfg.Heartbeat,
		ElectionTimeout: w.cfg.ElectionTimeout, Inflight: w.cfg.Inflight,
		MessageEntries: w.cfg.MessageEntries, Latency: w.cfg.Latency, DiskLatency: w.cfg.DiskLatency, Mix: w.drawn,
	}
}
