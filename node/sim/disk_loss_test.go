package sim

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// However often the power fails, no more than a minority of the members loses a disk, and several may at one instant.
func TestNoMoreThanAMinorityOfDisksIsLost(t *testing.T) {
	t.Parallel()
	atOnce := 0
	for seed := range uint64(20) {
		for _, nodes := range []int{1, 2, 3, 4, 5, 7} {
			w := newWorld(Config{Seed: seed, Nodes: nodes, Mix: &Mix{}})
			for _, m := range w.machines {
				m.start()
			}
			for range 10 {
				w.loseDisks()
				w.pass(w.now + time.Second)
				lost := 0
				for _, m := range w.machines {
					if m.isLost() {
						lost++
					}
				}
				if lost > (nodes-1)/2 {
					t.Fatalf("seed %d: %d of %d disks are lost", seed, lost, nodes)
				}
				if w.now <= time.Second {
					atOnce = max(atOnce, lost)
				}
			}
			w.close()
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
		w := newWorld(Config{Seed: seed, Nodes: 5, Mix: &Mix{}})
		for _, m := range w.machines {
			m.start()
		}
		w.failPower(map[raft.NodeID]bool{1: true, 2: true}, false)
		if w.machine(1).isLost() || w.machine(2).isLost() {
			t.Errorf("seed %d: a spared disk is lost", seed)
		}
		if w.machine(1).process != nil || w.lossesLeft() == 2 {
			t.Errorf("seed %d: the power did not fail, or took no disk", seed)
		}
		w.close()
	}
}

// A late node starts for the first time when the others have worked, or after a first run that was short.
func TestALateNodeStartsLate(t *testing.T) {
	t.Parallel()
	short, long := 0, 0
	for seed := range uint64(20) {
		w := newWorld(Config{Seed: seed, Nodes: 5, Mix: &Mix{LateStart: 1}})
		m := w.machine(1)
		m.begin()
		if m.lives == 0 {
			long++
		}
		w.pass(301 * time.Millisecond)
		if m.lives > 0 && m.process == nil {
			short++
		}
		w.pass(w.now + catalogue[LateStart].longest)
		if m.process == nil {
			t.Errorf("seed %d: it never starts", seed)
		}
		w.close()
	}
	if short == 0 || long == 0 {
		t.Errorf("%d of 20 ran shortly before, %d did not", short, long)
	}
}

// The reads at the end are a part of the history, so that a write which was acknowledged and is gone is found.
func TestTheLastReadsAreJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Seed: 3, Nodes: 3, Clients: 4, Steps: 1500, Mix: &Mix{}})
	defer w.close()
	w.guarded(w.live)
	if w.violation != nil {
		t.Fatal(w.violation)
	}
	keys := map[string]bool{}
	for _, o := range w.clients.history {
		keys[o.key] = true
	}
	last := w.clients.history[len(w.clients.history)-len(keys):]
	for _, o := range last {
		if !keys[o.key] || !o.isRead() || o.outcome != done || o.fresh != linearizable {
			t.Errorf("the last operations should read each key once, and one is %v", o)
		}
		delete(keys, o.key)
	}
	for _, o := range last {
		if o.found {
			o.value += "0"
			w.judgeHistory()
			break
		}
	}
	if w.violation == nil || w.violation.Broken != "linearizability" {
		t.Errorf("a last read that found another value broke %v", w.violation)
	}
}

// If disks were lost before a majority began, nothing can be demanded but that nothing is broken.
func TestALossBeforeTheBeginningLeavesNoSurvivors(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		w := quiet()
		if lost {
			w.machine(1).lose()
		}
		if survivors := w.heal(); (len(survivors) == 0) != lost {
			t.Errorf("lost %v: %d survive", lost, len(survivors))
		}
		for _, m := range w.machines {
			if m.process == nil {
				t.Errorf("lost %v: node %d does not start", lost, m.id)
			}
		}
		w.close()
	}
}
