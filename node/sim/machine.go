package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// machine is what stays when a node's process ends: its place in the network, its disk, its wall clock.
type machine struct {
	world       *World
	id          raft.NodeID
	disk        *disk
	process     *process // nil: the machine is down
	lives       int
	clockOffset time.Duration // of the wall clock
	gone        string        // why it never comes back; empty: it may
	flipped     bool          // a bit flipped on its disk, so it must not start again
	wiped       bool          // its disk was lost, so it takes part only if it had nothing to lose
	astray      bool          // its node has committed another entry than the ledger has, at a place that was forged
	held        bool          // it stays down until the survivors have healed
	seen        sight         // as it was last
}

// start brings the node to life, from what is on the disk.
func (m *machine) start() {
	w := m.world
	if m.process != nil || m.gone != "" || m.held {
		return
	}
	rate := 1.0
	if w.mix.happens(w.chance, ClockDrift) {
		rate = 0.8 + 0.5*w.chance.Float64()
	}
	p := w.newProcess(m, rate)
	m.process = p
	m.lives++
	w.note(note{kind: noteStart, node: m.id, text: fmt.Sprintf("life %d", m.lives)})
	p.Go(func() {
		err := m.live(p)
		w.after(0, nil, func() { m.end(p, err) })
	})
	w.settle(p)
}

// live is the program: what `raftnode serve` does.
func (m *machine) live(p *process) error {
	w := m.world
	disk := m.disk.open(p.sleep)
	n, err := node.New(node.Options{
		ID: m.id, ClusterID: "simulated", Members: w.members,
		HeartbeatInterval: w.cfg.Heartbeat, ElectionTimeout: w.cfg.ElectionTimeout,
		InflightMessages: w.cfg.Inflight, MessageEntries: w.cfg.MessageEntries,
		Storage: disk, Transport: &transport{p},
		Scheduler: p, Now: p.wall,
		Rand:  w.cfg.stream(uint64(m.id)<<32 | uint64(m.lives)),
		Fatal: func(err error) { m.gaveUp(p, err) },
	})
	if err != nil {
		return err
	}
	p.node = n
	if err := n.Run(p.ctx); err != nil {
		return err
	}
	if err := disk.Checkpoint(); err != nil {
		return err
	}
	return disk.Close()
}

// quickSave is how long a save may take that no watchdog may take for one that hangs: half of its usual limit.
const quickSave = 10 * time.Second

// gaveUp is what the program does when its watchdog finds that a save hangs. A process that was stopped for long in the
// middle of one has a disk that works (trap T53).
func (m *machine) gaveUp(p *process, err error) {
	w := m.world
	if m.disk.takes < quickSave {
		w.broken("a disk that works is not given up", "node %d gives up in a save that takes %v: %v", m.id, m.disk.takes, err)
	}
	w.after(0, nil, func() { m.end(p, err) })
}

// end is what happens when the program has ended, by itself or because it was told to. Whoever runs it starts it
// again, unless its disk can no longer be trusted.
func (m *machine) end(p *process, err error) {
	w := m.world
	if p.ended {
		return
	}
	reason := "in order"
	if err != nil {
		reason = err.Error()
	}
	w.note(note{kind: noteEnd, node: m.id, text: reason})
	m.down(p)
	differs := m.differs()
	var diverged *node.DivergedError
	switch {
	case errors.Is(err, errDamaged) && !m.flipped:
		w.broken("nothing is written after a failed save", "node %d cannot start: %v", m.id, err) // trap T53
	case errors.Is(err, identity.ErrDiskLost) && !m.wiped:
		w.broken("a whole disk is not taken for a lost one", "node %d does not start: %v", m.id, err) // trap T28
	case errors.Is(err, identity.ErrDiskLost), errors.Is(err, errDamaged):
		m.gone = reason
	case errors.As(err, &diverged) && !differs:
		w.broken("only a node whose log differs gives it up", "node %d ended: %v", m.id, err)
	case diverged != nil:
		m.gone = reason
	case w.quiet && err != nil:
		w.broken("a node ends only for a reason", "node %d ended in a calm cluster: %v", m.id, err)
	case w.healed:
		w.after(100*time.Millisecond, nil, m.start)
	default:
		w.after(w.mix.lasts(w.chance, Crash), nil, m.start)
	}
}

// down ends the process at once. What was not synced may be lost.
func (m *machine) down(p *process) {
	p.kill()
	m.process = nil
	m.disk.crash()
	m.world.wentDown(m)
}

// crash kills the node, as a loss of power would, and lets it come back later.
func (m *machine) crash(comesBack time.Duration) {
	p, w := m.process, m.world
	if p == nil {
		return
	}
	w.count(Crash)
	w.note(note{kind: noteCrash, node: m.id})
	m.down(p)
	m.damage()
	w.after(comesBack, nil, m.start)
}

// damage is what may become of the disk while the machine is down. It never befalls so many that no majority of whole
// disks is left: no consensus survives that.
func (m *machine) damage() {
	w := m.world
	if w.mix.happens(w.chance, BitFlip) && m.mayBeLost() && m.disk.flipBit() {
		m.flipped = true
		w.count(BitFlip)
		w.note(note{kind: noteFault, node: m.id, text: "a bit flips on its disk"})
	}
	if w.mix.happens(w.chance, LostDisk) && m.mayBeLost() {
		m.lose()
	}
}

// shutDown stops the node as SIGTERM does, and lets it come back later.
func (m *machine) shutDown() {
	p := m.process
	if p == nil {
		return
	}
	p.stop()
	m.world.settle(p)
}

// freeze stops the process, and lets it go on later.
func (m *machine) freeze(d time.Duration) {
	if p := m.process; p != nil {
		p.freeze(d, false)
	}
}

// suspend sends the machine to sleep, and wakes it later.
func (m *machine) suspend(d time.Duration) {
	if p := m.process; p != nil {
		p.freeze(d, true)
	}
}
