package sim

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// However often the power fails, no more than a minority of the members loses a disk, and several may at one instant.
func TestNoMoreThanAMinorityOfDisksIsLost(t *testing.T) {
	t.Parallel()
	atOnce := 0
	for seed := range uint64(20) {
		for _, nodes := range []int{1, 2, 3, 4, 5, 7} {
			w := NewCluster(Config{Seed: seed, Nodes: nodes, Mix: &engine.Mix{}})
			for _, m := range w.Machines {
				m.Start()
			}
			for range 10 {
				w.nemesis.loseDisks()
				pass(w, w.Now()+time.Second)
				lost := 0
				for _, m := range w.Machines {
					if m.IsLost() {
						lost++
					}
				}
				if lost > (nodes-1)/2 {
					t.Fatalf("seed %d: %d of %d disks are lost", seed, lost, nodes)
				}
				if w.Now() <= time.Second {
					atOnce = max(atOnce, lost)
				}
			}
			w.Close()
		}
	}
	if atOnce < 3 {
		t.Errorf("at most %d disks of seven were lost at one instant", atOnce)
	}
}

// Those that are cut off before the power fails keep their disks: what they miss must be lost elsewhere.
func TestASparedDiskIsNotLost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := NewCluster(Config{Seed: seed, Nodes: 5, Mix: &engine.Mix{}})
		for _, m := range w.Machines {
			m.Start()
		}
		w.nemesis.failPower(map[raft.NodeID]bool{1: true, 2: true}, false)
		if w.Machine(1).IsLost() || w.Machine(2).IsLost() {
			t.Errorf("seed %d: a spared disk is lost", seed)
		}
		if w.Machine(1).Process != nil || w.nemesis.lossesLeft() == 2 {
			t.Errorf("seed %d: the power did not fail, or took no disk", seed)
		}
		w.Close()
	}
}

// A late node starts for the first time when the others have worked, or after a first run that was short.
func TestALateNodeStartsLate(t *testing.T) {
	t.Parallel()
	short, long := 0, 0
	for seed := range uint64(20) {
		w := NewCluster(Config{Seed: seed, Nodes: 5, Mix: &engine.Mix{engine.LateStart: 1}})
		m := w.Machine(1)
		w.nemesis.begin(m)
		if m.Lives == 0 {
			long++
		}
		pass(w, 301*time.Millisecond)
		if m.Lives > 0 && m.Process == nil {
			short++
		}
		pass(w, w.Now()+engine.LateStart.Longest())
		if m.Process == nil {
			t.Errorf("seed %d: it never starts", seed)
		}
		w.Close()
	}
	if short == 0 || long == 0 {
		t.Errorf("%d of 20 ran shortly before, %d did not", short, long)
	}
}

// The reads at the end are a part of the history, so that a write which was acknowledged and is gone is found.
func TestTheLastReadsAreJudged(t *testing.T) {
	t.Parallel()
	w := NewCluster(Config{Seed: 3, Nodes: 3, Clients: 4, Steps: 1500, Mix: &engine.Mix{}})
	defer w.Close()
	w.Guarded(w.live)
	if w.violation != nil {
		t.Fatal(w.violation)
	}
	keys := map[string]bool{}
	for _, o := range w.clients.history {
		keys[o.Key] = true
	}
	last := w.clients.history[len(w.clients.history)-len(keys):]
	for _, o := range last {
		if !keys[o.Key] || !o.IsRead() || o.Outcome != check.Done || o.Fresh != check.Linearizable {
			t.Errorf("the last operations should read each key once, and one is %v", o)
		}
		delete(keys, o.Key)
	}
	for _, o := range last {
		if o.Found {
			o.Value += "0"
			w.judgeHistory()
			break
		}
	}
	if w.violation == nil || w.violation.Broken != "linearizability" {
		t.Errorf("a last read that found another value broke %v", w.violation)
	}
}

// If disks were lost before a majority began, nothing can be expected but that nothing is broken.
func TestALossBeforeTheBeginningLeavesNoSurvivors(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		w := quiet()
		if lost {
			w.Machine(1).LoseDisk()
		}
		if survivors := (&calm{w}).heal(); (len(survivors) == 0) != lost {
			t.Errorf("lost %v: %d survive", lost, len(survivors))
		}
		for _, m := range w.Machines {
			if m.Process == nil {
				t.Errorf("lost %v: node %d does not start", lost, m.ID)
			}
		}
		w.Close()
	}
}
