package sim

import (
	"io"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Config is what to simulate. Fields that are zero are drawn from the seed, except Seed itself.
type Config struct {
	Seed  uint64
	Steps int // of the faulty parts; default 10,000
	// Chapter is the first that is simulated; they are counted from 0. Each draws its own chance from the seed.
	Chapter int
	Nodes   int
	// Clients work on the store; negative: none.
	Clients int
	// Without are faults that do not take part, whatever the seed draws.
	Without []engine.Fault
	// Mix replaces the mix of the seed.
	Mix *engine.Mix

	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	Inflight        int
	MessageEntries  int           // most entries of one append
	Latency         time.Duration // of the network, one way, usual
	DiskLatency     time.Duration // of a save, usual
	Limits          Limits        // of what a node keeps

	// Trace gets every note as it is made.
	Trace io.Writer
	// Ended is called with the result of each chapter when it is over.
	Ended func(chapter Result)

	chapterSteps int // for tests; default chapterSteps
}

const defaultSteps = 10_000

// draw fills what the configuration left open, and returns the mix of faults.
func (cfg *Config) draw() engine.Mix {
	rng := engine.Stream(cfg.Seed, cfg.Chapter, engine.StreamSetting)
	nodes := []int{3, 3, 3, 3, 5, 5, 5, 5, 5, 1, 2, 4, 7}[rng.IntN(13)]
	clients := 1 + rng.IntN(8)
	election := []time.Duration{150, 150, 150, 200, 300, 1000}[rng.IntN(6)] * time.Millisecond
	inflight := []int{1, 1, 1, 2, 4, 16}[rng.IntN(6)]
	latency := time.Duration(100+rng.IntN(10_000)) * time.Microsecond
	disk := time.Duration(50+rng.IntN(5000)) * time.Microsecond
	mix := engine.DrawMix(rng)
	entries := []int{1, 2, 8, 4096, 4096}[rng.IntN(5)] // the logs here are short, and should travel in parts too
	fill(&cfg.Steps, defaultSteps)
	fill(&cfg.Nodes, nodes)
	fill(&cfg.Clients, clients)
	fill(&cfg.Heartbeat, 100*time.Millisecond)
	fill(&cfg.ElectionTimeout, election)
	fill(&cfg.Inflight, inflight)
	fill(&cfg.MessageEntries, entries)
	fill(&cfg.Latency, latency)
	fill(&cfg.DiskLatency, disk)
	cfg.Limits.draw(rng)
	mix[engine.FullDisk] = engine.DrawApart(engine.FullDisk, rng)
	mix[engine.DamagedState] = engine.DrawApart(engine.DamagedState, rng)
	if cfg.Mix != nil {
		mix = *cfg.Mix
	}
	for _, f := range cfg.Without {
		mix[f] = 0
	}
	if mix[engine.Forge] > 0 || mix[engine.ForgeCommitted] > 0 {
		cfg.Limits = Limits{Production: true} // a node that applied a forged entry would send its state as a snapshot
		mix[engine.DamagedState] = 0          // and one that needs a snapshot may need it of that one
	}
	if mix[engine.SpoiledState] > 0 {
		fill(&cfg.Limits.Compare, 500*time.Millisecond)
	}
	return mix
}

func fill[T comparable](field *T, drawn T) {
	var zero T
	if *field == zero {
		*field = drawn
	}
}
