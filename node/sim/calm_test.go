package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/identity"
)

func TestANodeEndsOnlyForAReason(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("another node says: %w", identity.ErrDiskLost)
	for _, tale := range []struct {
		name   string
		err    error
		setUp  func(w *World, m *machine)
		broken string
	}{
		{"a disk failed", errDisk, func(*World, *machine) {}, ""},
		{
			"a disk failed in the calm part", errDisk, func(w *World, _ *machine) { w.healed, w.quiet = true, true },
			"a node ends only for a reason",
		},
		{"what happened before the calm part was noticed late", errDisk, func(w *World, _ *machine) { w.healed = true }, ""},
		{"it was stopped", nil, func(w *World, _ *machine) { w.healed, w.quiet = true, true }, ""},
		{"its disk was lost", lost, func(_ *World, m *machine) { m.wiped = true }, ""}, // T28
		{"its disk was taken for a lost one", lost, func(*World, *machine) {}, "a whole disk is not taken for a lost one"},
		{"its disk was damaged", errDamaged, func(_ *World, m *machine) { m.flipped = true }, ""}, // T54
		{"its log has a hole", errDamaged, func(*World, *machine) {}, "nothing is written after a failed save"},
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(Config{Seed: 1, Nodes: 3, Clients: -1, Mix: &Mix{}})
			defer w.close()
			m := w.machines[0]
			m.start()
			tale.setUp(w, m)
			m.end(m.process, tale.err)
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
			w := newWorld(Config{Seed: 1, Nodes: 5, Clients: -1, Mix: &Mix{}})
			defer w.close()
			w.startClients()
			late := w.machines[4]
			for _, m := range w.machines[:4] {
				m.start()
			}
			if !w.awaitLeader(w.machines[:4]) {
				t.Fatal(w.violation)
			}
			w.after(time.Second, nil, func() { // when heal has made the disks well
				if hangs {
					late.disk.faults = &diskFaults{Stall: 1, StallFor: time.Hour}
				}
				late.start()
			})
			w.calm()
			if (w.violation != nil) != hangs {
				t.Errorf("broken: %v; %s", w.violation, w.standing())
			}
			if !hangs && (late.seen.leader == 0 || late.seen.applied != w.leader().seen.last) {
				t.Errorf("it does not follow: %s", w.standing())
			}
		})
	}
}
