package raft

import (
	"fmt"
	"testing"
)

// A follower returns where its log may begin to differ: the end of a short log, or the first entry of the conflicting
// term.
func TestConflictHints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		log    []Term
		commit Index
		prev   Index
		term   Term
		index  Index
		hint   Term
	}{
		{"empty log", nil, 0, 5, 2, 1, 0},
		{"short log", []Term{1, 1}, 0, 5, 2, 3, 0},
		{"other term at prev", []Term{1, 2, 2, 2}, 0, 4, 3, 2, 2},
		{"whole log of one term", []Term{2, 2, 2}, 0, 3, 3, 1, 2},
		{"newer term at prev", []Term{1, 4, 4}, 0, 3, 3, 2, 4},
		{"part of the term is committed", []Term{2, 2, 2, 2}, 2, 4, 3, 3, 2},
	} {
		s := newSolo(t, 3, HardState{Term: 5, Commit: c.commit}, logOf(c.log...))
		r := s.ask(Message{Type: MsgAppendEntries, Term: 5, PrevLogIndex: c.prev, PrevLogTerm: c.term})
		if r.Success || r.ConflictIndex != c.index || r.ConflictTerm != c.hint {
			t.Errorf("%s: got success %v, index %d, term %d; want index %d, term %d",
				c.name, r.Success, r.ConflictIndex, r.ConflictTerm, c.index, c.hint)
		}
	}
}

// The leader skips a whole term per response: after its last entry of that term, or before all of it if it has none.
func TestConflictMovesTheLeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		index Index
		term  Term
		want  Index // PrevLogIndex of the next attempt
	}{
		{"log too short", 3, 0, 2},
		{"empty log", 1, 0, 0},
		{"leader has the term", 4, 4, 5},
		{"leader does not have the term", 4, 3, 3},
		{"leader's terms are all newer", 2, 0, 1},
		{"hint beyond what was rejected", 99, 0, 7},
		{"hint in a newer term than ours", 7, 6, 6},
	} {
		s := newSolo(t, 3, HardState{Term: 6}, logOf(1, 1, 1, 4, 4, 5, 5, 5))
		m := the(t, appends(s.lead(), 2))
		wantEqual(t, "first attempt", m.PrevLogIndex, 8)
		next := the(t, appends(s.step(rejection(m, c.index, c.term)), 2))
		if next.PrevLogIndex != c.want {
			t.Errorf("%s: next attempt after %d, want %d", c.name, next.PrevLogIndex, c.want)
		}
		wantEqual(t, "log of the leader", s.terms(), "[1 1 1 4 4 5 5 5 7]")
	}
}

// Logs of any shape converge, with one attempt per term and not per entry.
func TestConflictsTakeOneAttemptPerTerm(t *testing.T) {
	t.Parallel()
	long := func(terms ...Term) []Term {
		var all []Term
		for _, term := range terms {
			for range 50 {
				all = append(all, term)
			}
		}
		return all
	}
	for _, c := range []struct {
		leader, follower []Term
		attempts         int
	}{
		{long(1, 2, 3), long(1, 2, 3), 1},
		{long(1, 2, 3), nil, 2},
		{long(1, 2, 3), long(1, 2), 2},
		{long(1, 4), long(1, 2), 2},
		{long(1, 4), long(1, 2, 3), 3},
		{long(1, 3, 5), long(1, 2, 4), 3},
		{long(6), long(1, 2, 3, 4, 5), 3},
	} {
		net := newNetwork(t, 2, func(cfg *Config) { cfg.MaxMessageEntries = 1000 })
		net.add(net.nodes[1].cfg, HardState{Term: 6}, logOf(c.leader...))
		net.add(net.nodes[2].cfg, HardState{Term: 6}, logOf(c.follower...))
		attempts := 0
		net.drop = func(m Message) bool {
			if len(m.Entries) > 0 {
				attempts++
			}
			return false
		}
		net.nodes[1].becomeCandidate(false, "test")
		net.drain(net.nodes[1])
		net.nodes[1].countBallot(2, true) // whatever node 2 answers
		net.queue = nil
		net.settle()
		wantEqual(t, "logs agree", net.nodes[2].terms(), net.nodes[1].terms())
		if attempts > c.attempts {
			t.Errorf("leader %d, follower %d entries: %d attempts, want %d",
				len(c.leader), len(c.follower), attempts, c.attempts)
		}
	}
}

// A follower that is far behind catches up in batches within the limits.
func TestConflictCatchUpInBatches(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3, func(cfg *Config) { cfg.MaxMessageEntries = 10 })
	leader := net.elect(1)
	net.crash(3)
	for i := range 95 {
		net.propose(leader, fmt.Sprint(i))
		net.settle()
	}
	largest := 0
	net.drop = func(m Message) bool { largest = max(largest, len(m.Entries)); return false }
	net.restart(3)
	net.tick(2 * testElectionTicks)
	wantEqual(t, "entries in the largest message", largest, 10)
	wantEqual(t, "applied", len(net.nodes[3].commands()), 95)
}

func TestConflictUncommittedEntriesOfAnOldLeaderAreReplaced(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	old := net.elect(1)
	net.isolate(1)
	net.propose(old, "lost 1", "lost 2", "lost 3")
	net.settle()
	net.crash(1)
	net.heal()
	leader := net.elect(2)
	net.propose(leader, "kept")
	net.settle()
	net.restart(1)
	net.tick(2 * testElectionTicks)
	for _, id := range net.ids() {
		wantSlice(t, "applied", net.nodes[id].commands(), []string{"kept"})
		wantEqual(t, "log on the disk", len(net.nodes[id].disk.log), 3)
	}
}

func TestLogMergeKeepsWhatAgrees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have []Term
		from Index
		new  []Term
		want string
	}{
		{nil, 1, []Term{1, 2}, "[1 2]"},
		{[]Term{1}, 2, []Term{1, 2}, "[1 1 2]"},
		{[]Term{1, 1, 2}, 2, []Term{1}, "[1 1 2]"},
		{[]Term{1, 1, 2}, 2, []Term{1, 2}, "[1 1 2]"},
		{[]Term{1, 1, 2}, 2, []Term{1, 2, 3}, "[1 1 2 3]"},
		{[]Term{1, 1, 2}, 2, []Term{3}, "[1 3]"},
		{[]Term{1, 1, 2}, 1, []Term{3, 3}, "[3 3]"},
		{[]Term{1, 1, 2}, 3, nil, "[1 1 2]"},
	} {
		log, err := newLog(&Config{Encoding: testEncoding}, HardState{Term: 9}, Log{Entries: logOf(c.have...)})
		if err != nil {
			t.Fatal(err)
		}
		log.merge(entriesFrom(c.from, c.new...))
		node := testNode{Core: &Core{log: log}}
		if got := node.terms(); got != c.want {
			t.Errorf("%v merged with %v from %d: got %s, want %s", c.have, c.new, c.from, got, c.want)
		}
	}
}

func TestLogSearchesByTerm(t *testing.T) {
	t.Parallel()
	log, err := newLog(&Config{Encoding: testEncoding}, HardState{Term: 9}, Log{Entries: logOf(1, 1, 3, 3, 3, 6)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Index{1, 1, 3, 3, 3, 6} {
		wantEqual(t, "first of the term", log.firstOfTermAt(Index(1+i)), want)
	}
	for term, want := range []Index{0, 2, 2, 5, 5, 5, 6, 6} {
		wantEqual(t, fmt.Sprintf("last up to term %d", term), log.lastUpToTerm(Term(term), 99), want)
	}
	wantEqual(t, "last up to term 6 before 4", log.lastUpToTerm(6, 4), 4)
}

func TestLogInvariantsPanic(t *testing.T) {
	t.Parallel()
	log, err := newLog(&Config{Encoding: testEncoding}, HardState{Term: 9, Commit: 2}, Log{Entries: logOf(1, 1, 3)})
	if err != nil {
		t.Fatal(err)
	}
	wantPanic(t, "index 9 appended to a log that ends at 3", func() { log.append(entriesFrom(9, 3)...) })
	wantPanic(t, "commit index 4 is beyond the end of the log, 3", func() { log.commitTo(4) })
	wantPanic(t, "committed entry 2 would be removed", func() { log.truncate(1) })
	wantPanic(t, "index 4 is not in the log", func() { log.mustTerm(4) })
	wantPanic(t, "entries 3 to 4 were asked of a log that holds (0, 3]", func() { log.slice(3, 4) })
	log.commitTo(1)
	wantEqual(t, "commit index never goes back", log.commit, 2)
}

// Step refuses a message that contradicts what is committed, so no conflict is searched there.
func TestConflictBelowTheCommitIndexPanics(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 3, Commit: 2}, logOf(1, 1))
	wantPanic(t, "the leader of term 3 has another entry at 2, which is committed here", func() { s.conflict(2) })
}
