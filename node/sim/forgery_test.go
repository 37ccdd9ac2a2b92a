package sim

import (
	"os"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// A node that is sent a forged entry stops or repairs its log, and all others go on.
func TestForgedEntriesAreFoundOut(t *testing.T) { // T54
	t.Parallel()
	struck, stopped := forge(t, ForgeCommitted, Mix{ForgeCommitted: 0.3, Crash: 0.002, Cut: 1})
	if struck == 0 || stopped == 0 {
		t.Errorf("%d appends were forged, and %d nodes stopped", struck, stopped)
	}
}

// A forged entry that is not committed is replaced. One that its append commits stops the node.
func TestForgedEntriesAreReplacedOrStopTheirNode(t *testing.T) { // T54
	t.Parallel()
	struck, stopped := forge(t, Forge, Mix{Forge: 0.05, Partition: 0.3})
	if struck == 0 || stopped >= struck {
		t.Errorf("%d appends were forged, and %d nodes stopped", struck, stopped)
	}
}

// forge runs clusters under a mix of faults and returns how often one of them struck and how many nodes stopped.
func forge(t *testing.T, fault Fault, mix Mix) (struck, stopped int) {
	t.Helper()
	for seed := range uint64(12) {
		w := newWorld(Config{Seed: seed, Nodes: 3, Clients: 4, Steps: 4000, Mix: &mix})
		w.guarded(w.live)
		w.close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		struck += w.counts[fault]
		for _, m := range w.machines {
			if m.gone != "" {
				stopped++
			}
		}
	}
	return struck, stopped
}

// forgedAt returns entry 1 of term 1 as the log has it and as it was forged.
func forgedAt(w *World) (right, forged raft.Entry) {
	right = raft.Entry{Index: 1, Term: 1, Command: []byte(`{"op":"get","key":"1"}`)}
	forged = right
	forged.Command = w.forgery.command(1, 1)
	return right, forged
}

// What is committed first decides which of two entries is the right one.
func TestALogDiffersFromWhatIsCommitted(t *testing.T) {
	t.Parallel()
	for _, committed := range []string{"nothing", "the right one", "the forged one"} {
		s := newStage(t, 3)
		right, forged := forgedAt(s.w)
		s.save(1, in(1, 0), []raft.Entry{right})
		s.save(2, in(1, 0), []raft.Entry{forged})
		s.save(3, in(1, 0), nil)
		want := [3]bool{true, true, false} // undecided
		switch committed {
		case "the right one":
			s.w.ledger.add([]raft.Entry{right}, 1)
			want[0] = false
		case "the forged one":
			s.w.ledger.add([]raft.Entry{forged}, 1)
			want[1] = false
		}
		for i, m := range s.w.machines {
			if m.differs() != want[i] {
				t.Errorf("%s is committed: node %d differs: %v, want %v", committed, m.id, m.differs(), want[i])
			}
			if decided := committed != "nothing"; m.differsUpTo(1) != (want[i] && decided) {
				t.Errorf("%s is committed: node %d differs up to 1: %v", committed, m.id, m.differsUpTo(1))
			}
		}
	}
}

// Checkers allow two entries in one place only where one was forged, and count no copy of the other one.
func TestCheckersAllowForgeriesOnlyWhereTheyWere(t *testing.T) {
	t.Parallel()
	log := func(e raft.Entry) []raft.Entry { return []raft.Entry{e} }
	s := newStage(t, 3, &logMatching{}, &stateMachineSafety{})
	right, forged := forgedAt(s.w)
	if broken := all(s.boot(1, in(1, 1), log(right)), s.boot(2, in(1, 1), log(forged))); broken != "" {
		t.Errorf("a forged entry breaks %q", broken)
	}
	if !s.w.machine(2).astray || s.w.machine(1).astray {
		t.Error("node 2 has committed the forged entry, and node 1 has not")
	}
	s.w.forgery.positions = nil
	if broken := s.boot(3, in(1, 1), log(forged)); broken == "" {
		t.Error("another entry is allowed where none was forged")
	}
	s = newStage(t, 3, &stateMachineSafety{}, &durability{})
	right, forged = forgedAt(s.w)
	s.save(2, in(1, 0), log(forged))
	if broken := s.boot(1, in(1, 1), log(right)); broken == "" {
		t.Error("a forged entry counts as a copy of the right one")
	}
}

// An append is invented only in the name of a leader whose log ends as that of the follower does.
func TestAnInventedAppendNeedsLogsThatEndAlike(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("scenarios/extra-append.txt")
	if err != nil {
		t.Fatal(err)
	}
	story, err := ParseScenario(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if r := RunScenario(story, Config{Seed: 1}); r.Violation != nil || r.Struck[Forge.String()] != 1 {
		t.Errorf("%d appends were forged: %v", r.Struck[Forge.String()], r.Violation)
	}
	w := quiet()
	if w.invent(w.machines[1]) {
		t.Error("an append was invented in the name of a leader that there is not")
	}
}
