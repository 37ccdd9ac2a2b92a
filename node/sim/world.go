package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Config says what to simulate. What is zero is drawn from the seed, but for Seed itself.
type Config struct {
	Seed  uint64
	Steps int // of the faulty parts; default 10,000
	// Chapter is the first that is told; they are counted from 0. Each draws its own chance from the seed.
	Chapter int
	Nodes   int
	// Clients work on the store; negative: none.
	Clients int
	// Without are faults that do not take part, whatever the seed says.
	Without []Fault
	// Mix replaces the mix of the seed.
	Mix *Mix

	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	Inflight        int
	MessageEntries  int           // most entries of one append
	Latency         time.Duration // of the network, one way, usual
	DiskLatency     time.Duration // of a save, usual

	// Trace takes every note as it is made.
	Trace io.Writer
	// Told hears of every chapter when it is over, of each by itself.
	Told func(chapter Result)

	chapterSteps int // for tests; default chapterSteps
}

const defaultSteps = 10_000

// World is one simulated cluster with its clients, on one clock, in one thread of control. All chance in it comes
// from the seed, through streams of their own, so that a change in one place does not shuffle all others.
type World struct {
	cfg   Config
	mix   Mix
	drawn Mix // as it was before the faults ended

	now     time.Duration
	steps   int
	before  int // steps of the chapters before this one
	planned uint64
	agenda  agenda
	spent   []*event
	running *task
	ready   []*task

	chance *rand.Rand // of faults
	order  *rand.Rand // in which tasks run

	members  []identity.Member
	machines []*machine // by id
	network  *network
	healed   bool // the faults are over
	quiet    bool // and nothing of them is on its way
	founded  bool // a leader was elected
	ambush   bool // the next leader is cut off when it is elected

	checkers  []checker
	violation *Violation
	counts    [faultCount]int
	notes     [keptNotes]note
	noted     int
	digest    digest
	stack     []byte // of the task that panicked

	clients clients
	ledger  ledger
	forgery forgery
	slowest float64 // rate of the slowest clock so far
	sleeps  []sleep // that are over, in the order of their ends
}

// streams of chance. Raft's own are numbered by node and life.
const (
	streamSetting = iota + 1
	streamFaults
	streamOrder
	streamNetwork
	streamClients
	streamDisk // and those after it, one per node
)

// stream gives a chapter's stream of chance with a number, which must be below 2^40.
func (cfg *Config) stream(number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Chapter)<<40|number))
}

// newWorld makes a cluster of machines that are all down.
func newWorld(cfg Config) *World {
	w := &World{cfg: cfg, slowest: 1, chance: cfg.stream(streamFaults), order: cfg.stream(streamOrder)}
	w.draw(cfg.stream(streamSetting))
	w.network = newNetwork(w, cfg.stream(streamNetwork), w.cfg.Latency)
	w.checkers = newCheckers()
	for i := range w.cfg.Nodes {
		id := raft.NodeID(i + 1)
		w.members = append(w.members, identity.Member{ID: id, Address: fmt.Sprintf("http://node-%d:7080", id)})
		m := &machine{world: w, id: id}
		m.disk = newDisk(cfg.stream(streamDisk+uint64(i)), w.diskFaults(), w.countNamed)
		w.machines = append(w.machines, m)
	}
	return w
}

// draw fills what the configuration left open.
func (w *World) draw(rng *rand.Rand) {
	cfg := &w.cfg
	nodes := []int{3, 3, 3, 3, 5, 5, 5, 5, 5, 1, 2, 4, 7}[rng.IntN(13)]
	clients := 1 + rng.IntN(8)
	election := []time.Duration{150, 150, 150, 200, 300, 1000}[rng.IntN(6)] * time.Millisecond
	inflight := []int{1, 1, 1, 2, 4, 16}[rng.IntN(6)]
	latency := time.Duration(100+rng.IntN(10_000)) * time.Microsecond
	disk := time.Duration(50+rng.IntN(5000)) * time.Microsecond
	w.mix = DrawMix(rng)
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
	if cfg.Mix != nil {
		w.mix = *cfg.Mix
	}
	for _, f := range cfg.Without {
		w.mix[f] = 0
	}
	w.drawn = w.mix
}

func fill[T comparable](field *T, drawn T) {
	var zero T
	if *field == zero {
		*field = drawn
	}
}

func (w *World) machine(id raft.NodeID) *machine { return w.machines[id-1] }

// count notes that a fault took place.
func (w *World) count(f Fault) { w.counts[f]++ }

func (w *World) countIf(really bool, f Fault) {
	if really {
		w.count(f)
	}
}

// stepped looks at a process after each of its steps: whether every promise is kept, and whether it dies now.
func (w *World) stepped(p *process) {
	if p.home == nil || p.ended || p.node == nil {
		return
	}
	p.node.Inspect(func(core *raft.Core, store *kv.Store) {
		switch {
		case core == nil:
		case p.home.flipped:
			w.broken("a damaged disk is refused", "node %d started from a disk on which a bit had flipped", p.home.id) // T54
		default:
			w.observe(p, core, store)
		}
	})
	switch {
	case w.violation != nil || w.healed:
	case w.mix.happens(w.chance, Crash):
		p.home.crash(w.mix.lasts(w.chance, Crash))
	case w.mix.happens(w.chance, Halt):
		w.count(Halt)
		d := w.mix.lasts(w.chance, Halt)
		w.note(note{kind: noteFault, node: p.home.id, text: fmt.Sprintf("is halted for %v", d.Round(time.Millisecond))})
		p.home.freeze(d)
	}
}

// diskFaults are what a disk does in this mix.
func (w *World) diskFaults() *diskFaults {
	return &diskFaults{
		Error: w.mix[WriteError], SyncFails: w.mix[SyncError], Stall: w.mix[Stall],
		StallFor: catalogue[Stall].longest, Slow: w.mix[SlowDisk], Latency: w.cfg.DiskLatency, Torn: w.mix[TornWrite],
		Unreadable: w.mix[ReadError],
	}
}

// countNamed notes a fault that a disk names.
func (w *World) countNamed(name string) {
	if f, err := FaultNamed(name); err == nil {
		w.count(f)
	}
}

// wentDown is told that a machine went down.
func (w *World) wentDown(*machine) {}
