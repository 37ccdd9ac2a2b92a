package engine

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Config configures a world.
type Config struct {
	Seed            uint64
	Chapter         int // of the seed, from 0 on; each draws its own chance
	Nodes           int
	Heartbeat       time.Duration
	ElectionTimeout time.Duration
	Inflight        int
	MessageEntries  int           // most entries of one append
	Latency         time.Duration // of the network, one way, usual
	DiskLatency     time.Duration // of a save, usual
	Limits          Limits
	Mix             Mix
	Trace           io.Writer // takes every note as it is made; nil: nothing does
}

// Limits bound what a node keeps. Fields that are zero are as in production.
type Limits struct {
	TailBytes         int
	Retention         kv.Retention
	Checkpoints       compaction.Checkpoints
	Window            compaction.Window
	SnapshotChunk     int
	SnapshotBandwidth int64
	Quota             int64 // 0: none
	CheckInterval     time.Duration
}

// Observer is called with what happens in a world as it happens.
type Observer interface {
	// Saw is called when a step changed what can be seen of a node.
	Saw(m *Machine, l *Look)
	// Stepped is called after every step of a node.
	Stepped(m *Machine)
	// Leaves is called for every message when it leaves a node.
	Leaves(from *Machine, m *raft.Message)
	// Forge returns the message that goes on its way in place of m.
	Forge(m raft.Message) raft.Message
	// Refused is called when a node refuses a message from another node.
	Refused(by *Machine, m *raft.Message, err error)
	// Misused is called when a node does with its disk what no node may do, or sends a part of a snapshot that another
	// node refuses as wrong.
	Misused(m *Machine, err error)
	// GaveUp is called when the watchdog of a node gives up a save; the node then ends.
	GaveUp(m *Machine, err error)
	// Ended is called when a node has ended, by itself or because it was stopped; err is the reason.
	Ended(m *Machine, err error)
}

// World is a cluster of nodes on one clock, in one thread of control. All chance in it comes from the seed, through
// streams of their own, so that a change in one place does not shuffle all others.
type World struct {
	cfg      Config
	Mix      Mix
	observer Observer

	now     time.Duration
	steps   int
	Before  int // steps of the chapters before this one
	stopped bool
	planned uint64
	agenda  agenda
	spent   []*event
	running *task
	ready   []*task

	Chance *rand.Rand // of faults
	order  *rand.Rand // in which tasks run

	members  []identity.Member
	Machines []*Machine // by id
	Network  *network

	counts [faultCount]int
	notes  [keptNotes]note
	noted  int
	Digest Digest
	Stack  []byte // of the task that panicked

	reserve int64   // of each disk; 0: none is full in this run
	slowest float64 // rate of the slowest clock so far
}

// Streams of chance. Raft's own are numbered by node and life.
const (
	StreamSetting = iota + 1
	streamFaults
	streamOrder
	streamNetwork
	StreamClients
	streamDisk // and those after it, one per node

	StreamLeases = 1 << 20 // after all disks
)

// Stream returns a chapter's stream of chance with a number, which must be below 2^40.
func Stream(seed uint64, chapter int, number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(chapter)<<40|number))
}

// Stream returns the chapter's stream of chance with a number.
func (w *World) Stream(number uint64) *rand.Rand { return Stream(w.cfg.Seed, w.cfg.Chapter, number) }

// NewWorld makes a cluster of machines that are all down.
func NewWorld(cfg Config, o Observer) *World {
	w := &World{cfg: cfg, Mix: cfg.Mix, observer: o, slowest: 1}
	if cfg.Mix[FullDisk] > 0 {
		w.reserve = reserve
	}
	w.Chance, w.order = w.Stream(streamFaults), w.Stream(streamOrder)
	w.Network = newNetwork(w, w.Stream(streamNetwork), cfg.Latency)
	sent := &sentCopies{}
	for i := range cfg.Nodes {
		id := raft.NodeID(i + 1)
		w.members = append(w.members, identity.Member{ID: id, Address: fmt.Sprintf("http://node-%d:7080", id)})
		m := &Machine{world: w, ID: id}
		m.Disk = newDisk(w.Stream(streamDisk+uint64(i)), w.DiskFaults(), w.countNamed)
		m.Disk.report = reports{
			note:    func(format string, args ...any) { w.NoteFault(id, format, args...) },
			misused: func(err error) { w.observer.Misused(m, err) },
			sent:    sent,
		}
		w.Machines = append(w.Machines, m)
	}
	return w
}

// Machine returns the machine of a member.
func (w *World) Machine(id raft.NodeID) *Machine { return w.Machines[id-1] }

// Quorum is how many nodes are a majority.
func (w *World) Quorum() int { return len(w.Machines)/2 + 1 }

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Steps is how many events have taken place.
func (w *World) Steps() int { return w.steps }

// Stop ends the run: no task goes on.
func (w *World) Stop() { w.stopped = true }

// IsStopped reports whether the run was ended.
func (w *World) IsStopped() bool { return w.stopped }

// Struck returns how often each fault took place.
func (w *World) Struck() map[string]int {
	struck := map[string]int{}
	for f, n := range w.counts {
		if n > 0 {
			struck[Fault(f).String()] = n
		}
	}
	return struck
}

// Kept returns what was done on all disks to bound what they hold.
func (w *World) Kept() Housekeeping {
	var h Housekeeping
	for _, m := range w.Machines {
		h.Add(m.Disk.Kept)
	}
	return h
}

// Close kills every process that still runs.
func (w *World) Close() {
	for _, m := range w.Machines {
		if m.Process != nil {
			m.Process.Kill()
		}
	}
}

// Count notes that a fault took place.
func (w *World) Count(f Fault) { w.counts[f]++ }

func (w *World) countIf(really bool, f Fault) {
	if really {
		w.Count(f)
	}
}

// stepped looks at a process after each of its steps.
func (w *World) stepped(p *Process) {
	if p.home == nil || p.ended || p.Node == nil {
		return
	}
	p.Node.Inspect(func(core *raft.Core, store *kv.Store) {
		if core != nil {
			w.look(p, core, store)
		}
	})
	w.observer.Stepped(p.home)
}

// EndFaults lets nothing go wrong any more: disks are well, links are open, what was stopped goes on, and the clocks
// run right, because who must not be disturbed depends on them.
func (w *World) EndFaults() {
	w.Mix = Mix{}
	for _, m := range w.Machines {
		*m.Disk.Faults = DiskFaults{Latency: m.Disk.Faults.Latency}
		m.Disk.clear()
		if p := m.Process; p != nil {
			if p.isFrozen() {
				p.thaw()
			}
			p.began, p.rate = w.now-p.elapsed(), 1
		}
	}
	w.Network.OpenAll()
}

// DiskFaults are what a disk does in this mix.
func (w *World) DiskFaults() *DiskFaults {
	return &DiskFaults{
		Error: w.Mix[WriteError], SyncFails: w.Mix[SyncError], Stall: w.Mix[Stall],
		StallFor: catalogue[Stall].longest, Slow: w.Mix[SlowDisk], Latency: w.cfg.DiskLatency, Torn: w.Mix[TornWrite],
		Unreadable: w.Mix[ReadError], StateError: w.Mix[StateError], StateSlow: w.Mix[SlowState],
		StateSlowFor: catalogue[SlowState].longest,
	}
}

// countNamed notes a fault that a disk names.
func (w *World) countNamed(name string) {
	if f, err := FaultNamed(name); err == nil {
		w.Count(f)
	}
}
