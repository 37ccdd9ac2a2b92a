package engine

import (
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
)

// Machine is what stays when a node's process ends: its place in the network, its disk, its wall clock.
type Machine struct {
	world       *World
	ID          raft.NodeID
	Disk        *disk
	Process     *Process // nil: the machine is down
	Lives       int
	ClockOffset time.Duration // of the wall clock
	Gone        string        // why it never comes back; empty: it may
	Flipped     bool          // a bit flipped on its disk, so it must not start again
	Wiped       bool          // its disk was lost, so it takes part only if it had nothing to lose
	Held        bool          // it stays down until the survivors have healed
	Seen        Observed      // as it was last
}

// The rates of clocks that drift. The slowest is slower than the fastest by less than clockDrift, the bound of nodes.
const (
	slowestClock = 0.8
	fastestClock = 1.3
	clockDrift   = 0.4
)

// Start brings the node to life, from what is on the disk.
func (m *Machine) Start() {
	w := m.world
	if m.Process != nil || m.Gone != "" || m.Held {
		return
	}
	rate := 1.0
	if w.Mix.Happens(w.Chance, ClockDrift) {
		rate = slowestClock + (fastestClock-slowestClock)*w.Chance.Float64()
	}
	m.Lives++
	p := w.NewProcess(m, rate)
	m.Process = p
	w.note(note{kind: noteStart, node: m.ID, text: fmt.Sprintf("life %d", m.Lives)})
	p.Go(func() {
		err := m.live(p)
		w.After(0, nil, func() { m.end(p, err) })
	})
	w.Settle(p)
}

// live is the program: what `raftnode serve` does.
func (m *Machine) live(p *Process) error {
	w := m.world
	disk, limits := m.Disk.open(p.Sleep), w.cfg.Limits
	n, err := node.New(node.Options{
		ID: m.ID, ClusterID: "simulated", Members: w.members,
		HeartbeatInterval: w.cfg.Heartbeat, ElectionTimeout: w.cfg.ElectionTimeout, ClockDrift: clockDrift,
		InflightMessages: w.cfg.Inflight, MessageEntries: w.cfg.MessageEntries,
		TailBytes: limits.TailBytes, Retention: limits.Retention, Checkpoints: limits.Checkpoints, Window: limits.Window,
		SnapshotChunk: limits.SnapshotChunk, SnapshotBandwidth: limits.SnapshotBandwidth,
		Room: room.Limits{Quota: w.cfg.Limits.Quota, Reserve: w.reserve}, DiskSizes: m.Disk.sizes,
		CheckInterval: limits.CheckInterval,
		Storage:       disk, Transport: &transport{p},
		Scheduler: p, Now: p.wall,
		Rand: w.Stream(uint64(m.ID)<<32 | uint64(m.Lives)),
		Fatal: func(err error) {
			w.observer.GaveUp(m, err)
			w.After(0, nil, func() { m.end(p, err) })
		},
	})
	if err != nil {
		return err
	}
	p.Node = n
	if err := n.Run(p.Ctx); err != nil {
		return err
	}
	if err := disk.Checkpoint(); err != nil {
		return err
	}
	return disk.Close()
}

// end handles the end of the program, by itself or because it was stopped.
func (m *Machine) end(p *Process, err error) {
	w := m.world
	if p.ended {
		return
	}
	reason := "in order"
	if err != nil {
		reason = err.Error()
	}
	w.note(note{kind: noteEnd, node: m.ID, text: reason})
	m.Down()
	w.observer.Ended(m, err)
}

// Down ends the process at once, if it runs. What was not synced may be lost.
func (m *Machine) Down() {
	if m.Process != nil {
		m.Process.Kill()
		m.Process = nil
		m.Disk.crash()
	}
}

// Kill ends the process as a loss of power or kill -9 does, if it runs.
func (m *Machine) Kill() {
	if m.Process != nil {
		m.world.note(note{kind: noteCrash, node: m.ID})
		m.Down()
	}
}

// ShutDown stops the node as SIGTERM does.
func (m *Machine) ShutDown() {
	p := m.Process
	if p == nil {
		return
	}
	p.Stop()
	m.world.Settle(p)
}

// Freeze stops the process, and lets it go on later.
func (m *Machine) Freeze(d time.Duration) {
	if p := m.Process; p != nil {
		p.freeze(d, false)
	}
}

// Suspend sends the machine to sleep, and wakes it later.
func (m *Machine) Suspend(d time.Duration) {
	if p := m.Process; p != nil {
		p.freeze(d, true)
	}
}

// Up reports whether the node runs, and was seen in this life.
func (m *Machine) Up() bool { return m.Process != nil && m.Seen.Life == m.Lives }

// Leads reports whether the node is up and leads, as it was seen last.
func (m *Machine) Leads() bool { return m.Up() && m.Seen.Role == raft.Leader }

// IsMember reports whether the disk makes its node one that counts for votes and acknowledgements. One that does not
// count yet may wait without limit if others are lost.
func (m *Machine) IsMember() bool {
	return m.Gone == "" && !m.Flipped && identity.HoldsSeat(m.Disk.image.facts)
}

// IsLost reports whether the disk was lost or damaged, so that what was on it counts as gone.
func (m *Machine) IsLost() bool { return m.Wiped || m.Flipped || m.Gone != "" }

// LoseDisk makes the disk an empty one.
func (m *Machine) LoseDisk() {
	m.Disk.wipe()
	m.Wiped = true
	m.world.Count(LostDisk)
	m.world.NoteFault(m.ID, "its disk comes back empty")
}

// State is the checksum of the store of a node that runs.
func (m *Machine) State() (sum uint64) {
	m.Process.Node.Inspect(func(_ *raft.Core, store *kv.Store) { sum = store.Digest() })
	return sum
}

// To is the link from the machine to another one.
func (m *Machine) To(other *Machine) Link { return Link{m.ID, other.ID} }
