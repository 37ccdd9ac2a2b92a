package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// verb is an action that a scenario can contain.
type verb struct {
	name string
	form string // how it is written
	asks bool   // a request of a client, which must get the answer after =>
	read func(in *words) action
}

// verbs are all of them. DESIGN.md describes what each does.
var verbs = []verb{
	{"let", "let NAME be GROUP", false, readLet},
	{"start", "start GROUP", false, readStart},
	{"stop", "stop GROUP", false, readStop},
	{"kill", "kill GROUP", false, readKill},
	{"freeze", "freeze GROUP for TIME", false, readFreeze},
	{"disk", diskForms, false, readDisk},
	{"wipe", "wipe GROUP", false, readWipe},
	{"flip", "flip a bit on GROUP", false, readFlip},
	{"spoil", "spoil GROUP", false, readSpoil},
	{"damage", "damage the state of GROUP", false, readDamage},
	{"forge", forgeForms, false, readForge},
	{"cut", "cut GROUP | GROUP (both ways), or cut GROUP -> GROUP (one way)", false, readCut},
	{"heal", "heal", false, readHeal},
	{"wait", "wait TIME", false, readWait},
	{"put", "put KEY = NUMBER on GROUP", true, readPut},
	{"get", "get KEY on GROUP", true, func(in *words) action { return readGet(in, check.Operation{}) }},
	{"lease", "lease get KEY on GROUP", true, readLease},
	{"stale", "stale get KEY on GROUP", true, readStale},
	{"recent", "recent get KEY no older than TIME on GROUP", true, readRecent},
	{"write", "write COUNT on GROUP", true, readWrite},
	{"hand", "hand over to GROUP", true, readHandOver},
}

const diskForms = "disk GROUP fails to write, fails to sync, hangs for TIME, takes TIME, tears writes, or is well"

func verbNamed(name string) *verb {
	for i := range verbs {
		if verbs[i].name == name {
			return &verbs[i]
		}
	}
	return nil
}

func verbForms() string {
	forms := make([]string, len(verbs))
	for i := range verbs {
		forms[i] = "`" + verbs[i].form + "`"
	}
	return strings.Join(forms, ", ")
}

// toEach is the action that does something to each node of a group.
func toEach(g group, do func(w *sim.Cluster, m *engine.Machine) error) action {
	return func(s *player) (string, error) {
		machines, err := s.machines(g)
		if err != nil {
			return "", err
		}
		for _, m := range machines {
			if err := do(s.world, m); err != nil {
				return "", err
			}
		}
		return called(machines), nil
	}
}

func readLet(in *words) action {
	name := in.name("a name")
	in.must("be")
	g := in.group()
	in.parser.names[name] = true
	return func(s *player) (string, error) {
		machines, err := s.machines(g)
		s.names[name] = machines
		return name + " is " + called(machines), err
	}
}

func readStart(in *words) action {
	return toEach(in.group(), func(_ *sim.Cluster, m *engine.Machine) error {
		m.Held = false
		m.Start()
		return nil
	})
}

// readStop: a node that is stopped transfers leadership first, if it leads, as `raftnode serve` does on SIGTERM.
func readStop(in *words) action {
	return toEach(in.group(), func(w *sim.Cluster, m *engine.Machine) error {
		m.Held = true
		p := m.Process
		if p == nil || p.Node == nil {
			m.ShutDown()
			return nil
		}
		p.Go(func() {
			ctx, cancel := p.WithTimeout(p.Ctx, time.Second)
			defer cancel()
			_ = p.Node.TransferLeadership(ctx, 0) // it may not lead, or no node can take over: then the others elect
			p.Stop()
		})
		w.Settle(p)
		return nil
	})
}

func readKill(in *words) action {
	return toEach(in.group(), func(w *sim.Cluster, m *engine.Machine) error {
		m.Held = true // until the scenario starts it again
		w.Crash(m, 0)
		return nil
	})
}

func readFreeze(in *words) action {
	g := in.group()
	in.must("for")
	d := in.span()
	return toEach(g, func(w *sim.Cluster, m *engine.Machine) error {
		m.Freeze(d.in(w))
		return nil
	})
}

// readDisk: a node whose disk fails stays down until the scenario starts it again.
func readDisk(in *words) action {
	g := in.group()
	var set func(f *engine.DiskFaults)
	switch {
	case in.takes("fails", "to", "write"):
		set = func(f *engine.DiskFaults) { f.Error = 1 }
	case in.takes("fails", "to", "sync"):
		set = func(f *engine.DiskFaults) { f.SyncFails = 1 }
	case in.takes("hangs", "for"):
		d := in.duration()
		set = func(f *engine.DiskFaults) { f.Stall, f.StallFor = 1, d }
	case in.takes("takes"):
		d := in.duration()
		set = func(f *engine.DiskFaults) { f.Latency = d }
	case in.takes("tears", "writes"):
		set = func(f *engine.DiskFaults) { f.Torn = 1 }
	case in.takes("is", "well"), in.takes("are", "well"):
		return toEach(g, func(w *sim.Cluster, m *engine.Machine) error {
			*m.Disk.Faults = *w.DiskFaults()
			return nil
		})
	default:
		in.fail("what the disk does must come where %s", in.where())
		return nil
	}
	return toEach(g, func(_ *sim.Cluster, m *engine.Machine) error {
		m.Held = true
		set(m.Disk.Faults)
		return nil
	})
}

func readWipe(in *words) action {
	return toEach(in.group(), func(_ *sim.Cluster, m *engine.Machine) error {
		if m.Process != nil {
			return fmt.Errorf("node %d runs: kill it before its disk is lost", m.ID)
		}
		m.LoseDisk()
		return nil
	})
}

func readFlip(in *words) action {
	in.must("a", "bit", "on")
	return toEach(in.group(), func(_ *sim.Cluster, m *engine.Machine) error {
		switch {
		case m.Process != nil:
			return fmt.Errorf("node %d runs: kill it before its disk is damaged", m.ID)
		case !m.Disk.FlipBit():
			return fmt.Errorf("too little is on the disk of node %d yet", m.ID)
		}
		m.Flipped = true
		return nil
	})
}

// readSpoil: a value in the checkpoint changes, and its checksums with it.
func readSpoil(in *words) action {
	return toEach(in.group(), func(c *sim.Cluster, m *engine.Machine) error {
		switch {
		case m.Process != nil:
			return fmt.Errorf("node %d runs: kill it before its state is changed", m.ID)
		case !c.Spoil(m):
			return fmt.Errorf("node %d has no checkpoint with a key yet", m.ID)
		}
		return nil
	})
}

// readDamage: the checkpoint is damaged, and the next start finds it.
func readDamage(in *words) action {
	in.must("the", "state", "of")
	return toEach(in.group(), func(c *sim.Cluster, m *engine.Machine) error {
		switch {
		case m.Process != nil:
			return fmt.Errorf("node %d runs: kill it before its checkpoint is damaged", m.ID)
		case !c.DamageState(m):
			return fmt.Errorf("node %d has no checkpoint yet", m.ID)
		}
		return nil
	})
}

const forgeForms = "forge the next append to GROUP, or forge an extra append to GROUP"

// readForge: the next append to a node is changed in flight, or one is sent in the name of its leader.
func readForge(in *words) action {
	extra := in.takes("an", "extra")
	if !extra {
		in.must("the", "next")
	}
	in.must("append", "to")
	return toEach(in.group(), func(w *sim.Cluster, m *engine.Machine) error {
		if extra {
			return w.ForgeExtra(m)
		}
		return w.ForgeNext(m)
	})
}

func readCut(in *words) action {
	a := in.group()
	oneWay := in.takes("->")
	if !oneWay {
		in.must("|")
	}
	b := in.group()
	return func(s *player) (string, error) {
		from, err := s.machines(a)
		if err != nil {
			return "", err
		}
		to, err := s.machines(b)
		if err != nil {
			return "", err
		}
		s.cut(from, to)
		if oneWay {
			return fmt.Sprintf("%s to %s", called(from), called(to)), nil
		}
		s.cut(to, from)
		return fmt.Sprintf("%s from %s", called(from), called(to)), nil
	}
}

// cut cuts links, one way, until the network heals.
func (s *player) cut(from, to []*engine.Machine) {
	var links []engine.Link
	for _, a := range from {
		for _, b := range to {
			if a != b {
				links = append(links, a.To(b))
			}
		}
	}
	s.world.Network.Close(links)
}

func readHeal(*words) action {
	return func(s *player) (string, error) {
		s.world.Network.OpenAll()
		return "", nil
	}
}

func readWait(in *words) action {
	d := in.span()
	return func(s *player) (string, error) {
		s.pass(d.in(s.world), func() bool { return false })
		return "", nil
	}
}
