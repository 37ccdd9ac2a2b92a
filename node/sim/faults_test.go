package sim

import (
	"errors"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
)

func TestEverySeedDrawsItsOwnMix(t *testing.T) { // swarm testing
	t.Parallel()
	var on, off [faultCount]int
	for seed := range uint64(400) {
		m := DrawMix((&Config{Seed: seed}).stream(streamSetting))
		for f, figure := range m {
			switch {
			case (Fault(f) == Forge || Fault(f) == ForgeCommitted) && figure == 0:
				on[f], off[f] = on[f]+1, off[f]+1
			case figure == 0:
				off[f]++
			case figure < catalogue[f].low*0.999 || figure > catalogue[f].high*1.001:
				t.Fatalf("seed %d draws %v for %s", seed, figure, Fault(f))
			default:
				on[f]++
			}
		}
	}
	for f := range on {
		if on[f] < 100 || off[f] < 100 {
			t.Errorf("%s takes part in %d of 400 seeds", Fault(f), on[f])
		}
	}
}

func TestFaultsHaveNames(t *testing.T) {
	t.Parallel()
	for _, f := range AllFaults() {
		if found, err := FaultNamed(f.String()); err != nil || found != f || catalogue[f].words == "" {
			t.Errorf("fault %d is called %q, and found as %d, %v", f, f, found, err)
		}
	}
	if _, err := FaultNamed("rain"); err == nil {
		t.Error("there is a fault called rain")
	}
}

// Each fault that takes part strikes, alone and often enough, and the code under test withstands it.
func TestFaultsStrikeAlone(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{Halt, Suspend, Cancel, ReadError} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			struck := 0
			for seed := range uint64(4) {
				mix := Mix{Restart: 0.5} // reads happen at starts
				mix[f] = catalogue[f].high
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

// A caller that gives up is told what is known: never that a write was not done which may be done.
func TestCallersThatGiveUpAreToldThatTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	gaveUp := 0
	for seed := range uint64(4) {
		w := newWorld(Config{Seed: seed, Nodes: 3, Clients: 8, Steps: 2000, Mix: &Mix{Cancel: 1}})
		w.guarded(w.live)
		w.close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		for _, o := range w.clients.history {
			if errors.Is(o.reason, node.ErrOutcomeUnknown) {
				gaveUp++
			}
		}
	}
	if gaveUp < 5 {
		t.Errorf("%d writes were given up", gaveUp)
	}
}
