package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

func TestANodeEndsOnlyForAReason(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("another node says: %w", identity.ErrDiskLost)
	nothing := func(*Cluster, *engine.Machine) {}
	isHealed := func(c *Cluster, _ *engine.Machine) { c.healed = true }
	isCalm := func(c *Cluster, _ *engine.Machine) { c.healed, c.quiet = true, true }
	for _, tale := range []struct {
		name   string
		err    error
		setUp  func(w *Cluster, m *engine.Machine)
		broken string
	}{
		{"a disk failed", errFull, nothing, ""},
		{
			"a disk failed in the calm part", errFull, isCalm,
			"a node ends only for a reason",
		},
		{"what happened before the calm part was noticed late", errFull, isHealed, ""},
		{"it was stopped", nil, isCalm, ""},
		{"its disk was lost", lost, func(_ *Cluster, m *engine.Machine) { m.Wiped = true }, ""}, // T28
		{"its disk was taken for a lost one", lost, nothing, "a whole disk is not taken for a lost one"},
		{"its disk was damaged", engine.ErrDamaged, func(_ *Cluster, m *engine.Machine) { m.Flipped = true }, ""}, // T54
		{"its log has a hole", engine.ErrDamaged, nothing, "nothing is written after a failed save"},
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			w := NewCluster(Config{Seed: 1, Nodes: 3, Clients: -1, Mix: &engine.Mix{}})
			defer w.Close()
			m := w.Machines[0]
			m.Start()
			tale.setUp(w, m)
			m.Down()
			w.Ended(m, tale.err)
			broken := ""
			if w.violation != nil {
				broken = w.violation.Broken
			}
			if broken != tale.broken {
				t.Errorf("it broke %q, want %q: %v", broken, tale.broken, w.violation)
			}
		})
	}
}

// A node that has no identity yet is no survivor, and was not held down either. It must take part all the same.
func TestWhoComesLateTakesPartInTheEnd(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("its disk hangs: %v", hangs), func(t *testing.T) {
			t.Parallel()
			w := NewCluster(Config{Seed: 1, Nodes: 5, Clients: -1, Mix: &engine.Mix{}})
			defer w.Close()
			w.StartClients()
			late := w.Machines[4]
			for _, m := range w.Machines[:4] {
				m.Start()
			}
			if !(&calm{w}).awaitLeader(w.Machines[:4]) {
				t.Fatal(w.violation)
			}
			w.After(time.Second, nil, func() { // when heal has made the disks well
				if hangs {
					late.Disk.Faults = &engine.DiskFaults{Stall: 1, StallFor: time.Hour}
				}
				late.Start()
			})
			(&calm{w}).run()
			if (w.violation != nil) != hangs {
				t.Errorf("broken: %v; %s", w.violation, w.Standing())
			}
			if !hangs && (late.Seen.Leader == 0 || late.Seen.Applied != w.Leader().Seen.Last) {
				t.Errorf("it does not follow: %s", w.Standing())
			}
		})
	}
}
