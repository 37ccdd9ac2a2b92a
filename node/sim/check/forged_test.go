package check

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// forgedAt returns entry 1 of term 1 as the log has it and as it was forged.
func forgedAt(s *stage) (right, forged raft.Entry) {
	right = raft.Entry{Index: 1, Term: 1, Command: []byte(`{"op":"get","key":"1"}`)}
	forged = right
	forged.Command = []byte(`{"op":"put","key":"forged","value":1}`)
	s.w.Forged.Add(1, 1)
	return right, forged
}

// What is committed first decides which of two entries is the right one.
func TestALogDiffersFromWhatIsCommitted(t *testing.T) {
	t.Parallel()
	for _, committed := range []string{"nothing", "the right one", "the forged one"} {
		s := newStage(t, 3)
		right, forged := forgedAt(s)
		s.save(1, in(1, 0), []raft.Entry{right})
		s.save(2, in(1, 0), []raft.Entry{forged})
		s.save(3, in(1, 0), nil)
		want := [3]bool{true, true, false} // undecided
		switch committed {
		case "the right one":
			s.w.Committed.add([]raft.Entry{right}, 1)
			want[0] = false
		case "the forged one":
			s.w.Committed.add([]raft.Entry{forged}, 1)
			want[1] = false
		}
		for i, a := range s.actors {
			if s.w.Differs(a.id) != want[i] {
				t.Errorf("%s is committed: node %d differs: %v, want %v", committed, a.id, s.w.Differs(a.id), want[i])
			}
			if decided := committed != "nothing"; s.w.differsUpTo(a, 1) != (want[i] && decided) {
				t.Errorf("%s is committed: node %d differs up to 1: %v", committed, a.id, s.w.differsUpTo(a, 1))
			}
		}
	}
}

// Checkers allow two entries in one place only where one was forged, and count no copy of the other one.
func TestCheckersAllowForgeriesOnlyWhereTheyWere(t *testing.T) {
	t.Parallel()
	log := func(e raft.Entry) []raft.Entry { return []raft.Entry{e} }
	s := newStage(t, 3, &logMatching{}, &stateMachineSafety{})
	right, forged := forgedAt(s)
	if broken := all(s.boot(1, in(1, 1), log(right)), s.boot(2, in(1, 1), log(forged))); broken != "" {
		t.Errorf("a forged entry breaks %q", broken)
	}
	if !s.w.Astray(2) || s.w.Astray(1) {
		t.Error("node 2 has committed the forged entry, and node 1 has not")
	}
	s.w.Forged = Forged{}
	if broken := s.boot(3, in(1, 1), log(forged)); broken == "" {
		t.Error("another entry is allowed where none was forged")
	}
	s = newStage(t, 3, &stateMachineSafety{}, &durability{})
	right, forged = forgedAt(s)
	s.save(2, in(1, 0), log(forged))
	if broken := s.boot(1, in(1, 1), log(right)); broken == "" {
		t.Error("a forged entry counts as a copy of the right one")
	}
}
