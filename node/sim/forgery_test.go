package sim

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// A node that is sent a forged entry stops or repairs its log, and all others go on.
func TestForgedEntriesAreFoundOut(t *testing.T) { // T54
	t.Parallel()
	struck, stopped := forge(t, engine.ForgeCommitted, engine.Mix{
		engine.ForgeCommitted: 0.3, engine.Crash: 0.002, engine.Cut: 1,
	})
	if struck == 0 || stopped == 0 {
		t.Errorf("%d appends were forged, and %d nodes stopped", struck, stopped)
	}
}

// A forged entry that is not committed is replaced. One that its append commits stops the node.
func TestForgedEntriesAreReplacedOrStopTheirNode(t *testing.T) { // T54
	t.Parallel()
	struck, stopped := forge(t, engine.Forge, engine.Mix{engine.Forge: 0.05, engine.Partition: 0.3})
	if struck == 0 || stopped >= struck {
		t.Errorf("%d appends were forged, and %d nodes stopped", struck, stopped)
	}
}

// forge runs clusters under a mix of faults and returns how often one of them struck and how many nodes stopped.
func forge(t *testing.T, fault engine.Fault, mix engine.Mix) (struck, stopped int) {
	t.Helper()
	for seed := range uint64(12) {
		w := NewCluster(Config{Seed: seed, Nodes: 3, Clients: 4, Steps: 4000, Mix: &mix})
		w.Guarded(w.live)
		w.Close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		struck += w.Struck()[fault.String()]
		for _, m := range w.Machines {
			if m.Gone != "" {
				stopped++
			}
		}
	}
	return struck, stopped
}

// An append is invented only in the name of a leader.
func TestAnInventedAppendNeedsALeader(t *testing.T) {
	t.Parallel()
	w := quiet()
	if err := w.ForgeExtra(w.Machines[1]); err == nil {
		t.Error("an append was invented in the name of a leader that there is not")
	}
}
