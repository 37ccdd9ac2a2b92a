package sim

import (
	"errors"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Each fault that takes part strikes, alone and often enough, and the code under test withstands it.
func TestFaultsStrikeAlone(t *testing.T) {
	t.Parallel()
	for f, figure := range map[engine.Fault]float64{ // the highest that a seed draws
		engine.Halt: 0.001, engine.Suspend: 0.5, engine.Cancel: 0.2, engine.ReadError: 0.3,
	} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			struck := 0
			for seed := range uint64(4) {
				mix := engine.Mix{engine.Restart: 0.5} // reads happen at starts
				mix[f] = figure
				r := Run(Config{Seed: seed, Nodes: 3, Clients: 4, Steps: 2000, Mix: &mix})
				if r.Violation != nil {
					t.Error(r.Violation)
				}
				struck += r.Struck[f.String()]
			}
			if struck == 0 {
				t.Error("it never strikes")
			}
		})
	}
}

// A caller that gives up gets an outcome that is true: never that a write was not done which may be done.
func TestCallersThatGiveUpAreToldThatTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	gaveUp := 0
	for seed := range uint64(4) {
		w := NewCluster(Config{Seed: seed, Nodes: 3, Clients: 8, Steps: 2000, Mix: &engine.Mix{engine.Cancel: 1}})
		w.Guarded(w.live)
		w.Close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		for _, o := range w.clients.history {
			if errors.Is(o.Reason, node.ErrOutcomeUnknown) {
				gaveUp++
			}
		}
	}
	if gaveUp < 5 {
		t.Errorf("%d writes were given up", gaveUp)
	}
}
