package check

import (
	"slices"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// cut removes the entries of a log up to an index.
func cut(entries []raft.Entry, upTo raft.Index) raft.Log {
	start := raft.LogStart{Index: upTo, Term: entries[upTo-1].Term}
	for i := range entries[:upTo] {
		start.Digest = start.Digest.Extend(&entries[i])
	}
	return raft.Log{Start: start, Entries: slices.Clone(entries[upTo:])}
}

// restartCut begins a life of a node from a log that was cut on its disk, and a checkpoint of what was removed.
func (s *stage) restartCut(id raft.NodeID, state raft.HardState, entries []raft.Entry, upTo raft.Index) string {
	s.t.Helper()
	s.savesState(id, positionOf(entries[:upTo]), entries[:upTo])
	s.applies(id, entries[:upTo])
	return s.restart(id, state, cut(entries, upTo))
}

// restart begins a life of a node from a log that was cut on its disk.
func (s *stage) restart(id raft.NodeID, state raft.HardState, log raft.Log) string {
	s.t.Helper()
	a := s.actor(id)
	a.state, a.log = state, log
	a.runs = true
	a.lives++
	s.becomesFrom(id, state, log)
	return s.sees(id)
}

func (s *stage) wantNone(broken string) {
	s.t.Helper()
	if broken != "" {
		s.t.Fatalf("%s is violated", broken)
	}
}

// bootAll saves a log on every disk, and begins a life of each node from it.
func (s *stage) bootAll(state raft.HardState, log []raft.Entry) {
	s.t.Helper()
	for _, a := range s.actors {
		s.save(a.id, state, slices.Clone(log))
	}
	for _, a := range s.actors {
		s.wantNone(s.wake(a.id, state, slices.Clone(log)))
	}
}

// A log that was cut at a committed entry violates nothing, neither when it was cut nor when it goes on.
func TestALogThatWasCutIsFine(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3, newCheckers()...)
	log := logOf(1, 1, 1, 2, 2)
	s.bootAll(in(2, 4), log)
	for upTo := raft.Index(1); upTo <= 4; upTo++ {
		s.wantNone(s.restartCut(2, in(2, 4), log, upTo))
	}
	s.wantNone(s.restartCut(3, in(2, 4), log, 2))
	longer := append(slices.Clone(log), logOf(1, 1, 1, 2, 2, 2)[5])
	s.wantNone(s.restartCut(2, in(2, 4), longer, 4))
	s.wantNone(s.hears(raft.Message{
		Type: raft.MsgAppendEntriesResponse, From: 2, To: 1, Term: 2, Success: true, MatchIndex: 4,
	}))
	if s.w.Differs(2) || !holds(s.actor(2), s.w.Committed.at(1)) || !holds(s.actor(2), s.w.Committed.at(4)) {
		t.Error("what was removed is not counted as held")
	}
}

func TestALogThatWasCutWrongIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log    []raft.Entry
		upTo   raft.Index
		broken string
	}{
		"at an entry that is not committed": {logOf(1, 1, 1, 2, 2), 5, "state machine safety"},
		"at another entry":                  {logOf(1, 1, 1, 3), 4, "state machine safety"},
		"after it another entry":            {logOf(1, 1, 1, 2, 2), 3, "log matching"},
	} {
		s := newStage(t, 3, &logMatching{}, &stateMachineSafety{}, &durability{})
		s.bootAll(in(2, 4), logOf(1, 1, 1, 2, 2))
		log := cut(c.log, c.upTo)
		if c.broken == "log matching" {
			log.Entries[0].Command = []byte(`{}`)
		}
		if got := s.restart(2, in(3, 4), log); got != c.broken {
			t.Errorf("cut %s: %q, want %q", name, got, c.broken)
		}
	}
}
