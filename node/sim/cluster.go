package sim

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// Cluster is one simulated cluster with its clients, its faults and the checkers.
type Cluster struct {
	*engine.World
	Config Config
	drawn  engine.Mix // as it was before the faults ended

	Watch     *check.Watch
	violation *Violation
	clients   clients
	nemesis   *nemesis
	forger    forger

	healed bool // the faults are over
	quiet  bool // and no effect of them is in flight
}

// NewCluster returns a cluster whose nodes are all down. Zero fields of the configuration are drawn from the seed.
func NewCluster(cfg Config) *Cluster {
	mix := cfg.draw()
	c := &Cluster{Config: cfg, drawn: mix}
	c.World = engine.NewWorld(engine.Config{
		Seed: cfg.Seed, Chapter: cfg.Chapter, Nodes: cfg.Nodes, Heartbeat: cfg.Heartbeat,
		ElectionTimeout: cfg.ElectionTimeout, Inflight: cfg.Inflight, MessageEntries: cfg.MessageEntries,
		Latency: cfg.Latency, DiskLatency: cfg.DiskLatency, Limits: cfg.Limits.engine(), Mix: mix, Trace: cfg.Trace,
	}, c)
	c.nemesis = &nemesis{Cluster: c}
	c.forger.cluster = c
	nodes := make([]check.Node, len(c.Machines))
	for i, m := range c.Machines {
		nodes[i] = watched{m}
	}
	timing := check.Timing{Heartbeat: cfg.Heartbeat, ElectionTimeout: cfg.ElectionTimeout, Reach: c.Network.Reach()}
	c.Watch = check.NewWatch(view{c.World}, nodes, timing)
	return c
}

// Violation is an invariant that did not hold.
type Violation struct {
	Seed    uint64   `json:"seed"`
	Step    int      `json:"step"` // over all chapters of the run
	Chapter int      `json:"chapter,omitempty"`
	Broken  string   `json:"invariant"`
	Detail  string   `json:"detail"`
	Last    []string `json:"last,omitempty"` // the events before
}

// Error returns the violation on one line.
func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, step %d: %s: %s", v.Seed, v.Step, v.Broken, v.Detail)
}

// Broken ends the run with a violation.
func (c *Cluster) Broken(invariant, format string, args ...any) {
	if c.violation == nil {
		c.violation = &Violation{
			Seed: c.Config.Seed, Step: c.Before + c.Steps(), Chapter: c.Config.Chapter, Broken: invariant,
			Detail: fmt.Sprintf(format, args...), Last: c.LastNotes(),
		}
		c.Stop()
	}
}

// check ends the run if an invariant does not hold.
func (c *Cluster) check(f *check.Failure) {
	if f != nil {
		c.Broken(f.Invariant, "%s", f.Detail)
	}
}

// judgeHistory compares the answers that clients got with what was committed.
func (c *Cluster) judgeHistory() { c.check(c.Watch.JudgeHistory(c.clients.history)) }

// Finish ends the run, and judges the answers that clients got.
func (c *Cluster) Finish() {
	c.healed = true
	c.judgeHistory()
}

// Saw shows a step to the checkers. It is the engine's observer, as are the methods after it.
func (c *Cluster) Saw(m *engine.Machine, l *engine.Look) {
	if m.Flipped {
		c.Broken("a damaged disk is refused", "node %d started from a disk on which a bit had flipped", m.ID) // T54
		return
	}
	if l.Elected() {
		c.nemesis.loseFounders()
		c.nemesis.springs(m)
	}
	c.checkQuota(m, l)
	c.check(c.Watch.Saw(m.ID, l))
	m.Disk.Spoiled = c.Watch.Spoiled(m.ID)
}

// Stepped may kill or freeze a node after a step.
func (c *Cluster) Stepped(m *engine.Machine) {
	if c.violation == nil && !c.healed {
		c.nemesis.strikeAfterStep(m)
	}
}

// Leaves shows a message to the checkers.
func (c *Cluster) Leaves(from *engine.Machine, m *raft.Message) { c.check(c.Watch.Leaves(from.ID, m)) }

// Forge may change a message in flight.
func (c *Cluster) Forge(m raft.Message) raft.Message { return c.forger.forge(m) }

// Refused judges a node that refuses a message from another node.
func (c *Cluster) Refused(by *engine.Machine, m *raft.Message, err error) {
	if errors.Is(err, raft.ErrBadMessage) || errors.Is(err, raft.ErrDiverged) && c.forger.target == nil {
		c.Broken("correct nodes send nothing wrong", "node %d refuses %s: %v", by.ID, engine.Describe(m), err)
	}
}

// Misused judges what a node asks of its disk, and the parts of snapshots that it sends.
func (c *Cluster) Misused(m *engine.Machine, err error) {
	c.Broken("a node keeps to what its disk offers", "node %d: %v", m.ID, err)
}

// quickSave is the duration of a save that no watchdog may take for one that hangs: half of its usual limit.
const quickSave = 10 * time.Second

// GaveUp judges a watchdog that takes a save for one that hangs. A process that was stopped for long in the middle of
// one has a disk that works (trap T53).
func (c *Cluster) GaveUp(m *engine.Machine, err error) {
	if m.Disk.Takes < quickSave {
		c.Broken("a disk that works is not given up", "node %d gives up in a save that takes %v: %v", m.ID, m.Disk.Takes, err)
	}
}

// Ended judges why a node ended. It is started again, unless its disk can no longer be used.
func (c *Cluster) Ended(m *engine.Machine, err error) {
	differs := c.Watch.Differs(m.ID)
	var diverged *divergence.Error
	switch {
	case errors.Is(err, engine.ErrFull):
		c.Broken("a full disk ends no node", "node %d ended: %v", m.ID, err)
	case errors.Is(err, engine.ErrDamaged) && !m.Flipped:
		c.Broken("nothing is written after a failed save", "node %d cannot start: %v", m.ID, err) // trap T53
	case errors.Is(err, identity.ErrDiskLost) && !m.Wiped:
		c.Broken("a whole disk is not taken for a lost one", "node %d does not start: %v", m.ID, err) // trap T28
	case errors.Is(err, identity.ErrDiskLost), errors.Is(err, engine.ErrDamaged):
		m.Gone = err.Error()
	case errors.As(err, &diverged) && !differs:
		c.Broken("only a node whose log differs gives it up", "node %d ended: %v", m.ID, err)
	case diverged != nil:
		m.Gone = err.Error()
	case c.quiet && err != nil:
		c.Broken("a node ends only for a reason", "node %d ended in a calm cluster: %v", m.ID, err)
	case c.healed:
		c.After(100*time.Millisecond, nil, m.Start)
	default:
		c.After(c.Mix.Lasts(c.Chance, engine.Crash), nil, m.Start)
	}
}

// Guarded turns a panic of the code under test into a violation: the core panics when an invariant of its own is
// broken.
func (c *Cluster) Guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			stack := c.Stack // of the task that panicked
			if stack == nil {
				stack = debug.Stack()
			}
			c.Broken("no panic", "%v\n%s", r, stack)
		}
	}()
	f()
}

// Close kills everything that still runs.
func (c *Cluster) Close() {
	c.World.Close()
	if c.clients.process != nil {
		c.clients.process.Kill()
	}
}

// view is a cluster as the checkers see it.
type view struct{ world *engine.World }

func (v view) Now() time.Duration { return v.world.Now() }

func (v view) Moment(age time.Duration) time.Duration { return v.world.Moment(age) }

// watched is a node as the checkers see it.
type watched struct{ machine *engine.Machine }

func (n watched) ID() raft.NodeID { return n.machine.ID }

func (n watched) Life() int { return n.machine.Lives }

func (n watched) Up() bool { return n.machine.Up() }

func (n watched) Seen() *engine.Observed { return &n.machine.Seen }

func (n watched) Durable() (raft.HardState, raft.Log) { return n.machine.Disk.Durable() }

func (n watched) Checkpoint() *snapshottest.File { return n.machine.Disk.Checkpoint() }

func (n watched) StateDiffers() bool { return n.machine.Disk.StateDiffers() }

func (n watched) Lost() bool { return n.machine.Wiped || n.machine.Gone != "" }

func (n watched) Store() (found *kv.Store) {
	if p := n.machine.Process; p != nil && p.Node != nil {
		p.Node.Inspect(func(_ *raft.Core, store *kv.Store) { found = store })
	}
	return found
}

func (n watched) ViewTerm() (raft.Term, bool) {
	if p := n.machine.Process; p != nil && p.Node != nil {
		return p.Node.ViewTerm(), true
	}
	return 0, false
}

func (n watched) LeaseTerm() raft.Term {
	if p := n.machine.Process; p != nil && p.Node != nil {
		return p.Node.LeaseTerm()
	}
	return 0
}

func (n watched) Age() (time.Duration, bool) {
	if p := n.machine.Process; p != nil && p.Node != nil {
		return p.Node.Staleness()()
	}
	return 0, false
}
