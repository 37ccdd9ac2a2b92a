package engine

import (
	"testing"
)

func TestEverySeedDrawsItsOwnMix(t *testing.T) { // swarm testing
	t.Parallel()
	var on, off [faultCount]int
	for seed := range uint64(400) {
		m := DrawMix(Stream(seed, 0, StreamSetting))
		for f, figure := range m {
			switch {
			case (catalogue[f].high == 0 || Fault(f).isDrawnApart()) && figure == 0:
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
