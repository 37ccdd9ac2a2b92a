package sim

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// Clients of random runs make reads with bounds, and nodes answer some of them and refuse others.
func TestClientsReadWithABound(t *testing.T) {
	t.Parallel()
	answered, declined := 0, 0
	for seed := range uint64(4) {
		mix := engine.Mix{engine.LeaderCut: 1, engine.Pause: 1}
		w := NewCluster(Config{Seed: seed, Nodes: 3, Clients: 8, Steps: 5000, Mix: &mix})
		w.Guarded(w.live)
		w.Close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		for _, o := range w.clients.history {
			switch {
			case o.Fresh != check.Recent:
			case o.Outcome == check.Done:
				answered++
			case o.Outcome == check.Refused:
				declined++
			}
		}
	}
	if answered < 20 || declined < 10 {
		t.Errorf("%d recent reads were answered, and %d refused", answered, declined)
	}
}

// Reads are served under leases while clocks drift and machines sleep, and where they are not, a round confirms them.
func TestClientsReadUnderLeases(t *testing.T) { // T42
	t.Parallel()
	leased, confirmed := 0, 0
	for seed := range uint64(6) {
		mix := engine.Mix{
			engine.LeaderCut: 1, engine.Pause: 1, engine.Suspend: 0.5, engine.ClockDrift: 1, engine.Transfer: 0.5,
		}
		w := NewCluster(Config{Seed: seed, Nodes: 3 + 2*int(seed%2), Clients: 8, Steps: 5000, Mix: &mix})
		w.Guarded(w.live)
		w.Close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		for _, o := range w.clients.history {
			switch {
			case o.Leased:
				leased++
			case o.Lease && o.Outcome == check.Done:
				confirmed++
			}
		}
	}
	if leased < 100 || confirmed < 20 {
		t.Errorf("%d reads were served under a lease, and %d after a round", leased, confirmed)
	}
}
