package raft

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// cutLog removes the entries of a log up to an index.
func cutLog(entries []Entry, upTo Index) Log {
	start := LogStart{Index: upTo, Term: entries[upTo-1].Term}
	for i := range entries[:upTo] {
		start.Digest = start.Digest.Extend(&entries[i])
		if seat, is := testEncoding.ParseSeat(entries[i].Command); is {
			start.Seats = append(start.Seats, seat)
		}
	}
	return Log{Start: start, Entries: slices.Clone(entries[upTo:]), Removed: upTo}
}

// newCut starts node 1 of three from a log with these terms, of which the first three entries were removed.
func newCut(t testing.TB, terms ...Term) *solo {
	t.Helper()
	return newSoloFrom(t, 3, HardState{Term: terms[len(terms)-1], Commit: 3}, cutLog(logOf(terms...), 3))
}

func TestWhatALogHolds(t *testing.T) {
	t.Parallel()
	l := cutLog(logOf(1, 1, 2, 3, 3), 3)
	wantEqual(t, "last", l.Last(), 5)
	for i, want := range []Term{0, 0, 0, 2, 3, 3, 0} {
		term, held := l.Term(Index(i))
		wantEqual(t, fmt.Sprintf("has the term of %d", i), held, want != 0)
		wantEqual(t, fmt.Sprintf("term of %d", i), term, want)
		e := l.Entry(Index(i))
		wantEqual(t, fmt.Sprintf("has entry %d", i), e != nil, i == 4 || i == 5)
		if e != nil {
			wantEqual(t, "index", e.Index, Index(i))
		}
	}
}

func TestALogThatStartsLater(t *testing.T) {
	t.Parallel()
	whole := newSolo(t, 3, HardState{Term: 2}, logOf(1, 1, 1, 1, 2))
	log := cutLog(logOf(1, 1, 1, 1, 2), 3)
	for _, commit := range []Index{0, 3, 4} { // the saved commit index may be behind the start
		s := newSoloFrom(t, 3, HardState{Term: 2, Commit: commit}, Log{
			Start: log.Start, Entries: slices.Clone(log.Entries), Removed: log.Removed,
		})
		s.take()
		status := s.Status()
		wantEqual(t, "first index", status.FirstIndex, 4)
		wantEqual(t, "last index", status.LastIndex, 5)
		wantEqual(t, "commit index", status.Commit, max(commit, 3))
		wantEqual(t, "entries returned as committed", len(s.applied), int(max(commit, 3)-3))
		for i := range Index(7) {
			term, digest, held := s.Digest(i)
			wantEqual(t, fmt.Sprintf("has %d", i), held, i >= 3 && i <= 5)
			if held {
				wantTerm, want, _ := whole.Digest(i)
				wantEqual(t, "digest", digest, want)
				wantEqual(t, "term", term, wantTerm)
			}
		}
		wantEqual(t, "last up to term 1", s.log.lastUpToTerm(1, 9), 4)
		wantEqual(t, "last up to term 0", s.log.lastUpToTerm(0, 9), 3)
		wantEqual(t, "last up to an index before the start", s.log.lastUpToTerm(2, 1), 3)
		wantEqual(t, "first of the term of the start", s.log.firstOfTermAt(4), 4)
	}
}

// Entries that the state machine has already are not returned again, but are in memory for followers.
func TestAppliedEntriesStayInMemory(t *testing.T) {
	t.Parallel()
	log := cutLog(logOf(1, 1, 1, 2, 2, 2), 2)
	log.Applied = 4
	s := newSoloFrom(t, 3, HardState{Term: 2, Commit: 3}, log) // the commit index on the disk is behind
	s.take()
	wantEqual(t, "commit index", s.Status().Commit, 4)
	wantEqual(t, "entries returned as committed", len(s.applied), 0)
	_, _, held := s.Digest(3)
	wantEqual(t, "has entry 3", held, true)
	log.Applied = 7
	if _, err := New(testConfig(1, []NodeID{1, 2, 3}, 1), HardState{Term: 2}, log); err == nil {
		t.Error("a log is taken that ends before what is applied")
	}
}

// The state has a configuration, the entry of which is in memory too where nothing was cut off the log.
func TestAWholeLogStartsWithTheConfigurationOfTheState(t *testing.T) { // T30
	t.Parallel()
	cfg, err := NewConfiguration([]Member{{ID: 1}, {ID: 2}})
	if err != nil {
		t.Fatal(err)
	}
	log := Log{Entries: append(logOf(1), configEntry(2, 1, cfg)), Applied: 2}
	cfg.Index = 2
	log.Start.Configuration = cfg
	s := newSoloFrom(t, 3, HardState{Term: 1, Commit: 2}, log)
	wantEqual(t, "index of the configuration", s.Membership().Configuration.Index, 2)
	wantEqual(t, "index of the committed one", s.Membership().Committed, 2)
	log.Applied = 1
	if _, err := New(testConfig(1, []NodeID{1, 2, 3}, 1), HardState{Term: 1}, log); err == nil {
		t.Error("a log is taken that starts with the configuration of an entry which is not applied")
	}
}

func TestNewRefusesABrokenStart(t *testing.T) {
	t.Parallel()
	good := cutLog(logOf(1, 2, 2, 3), 3)
	for name, spoil := range map[string]func(*Log){
		"no term":                 func(l *Log) { l.Start.Term = 0 },
		"no digest":               func(l *Log) { l.Start.Digest = 0 },
		"no index":                func(l *Log) { l.Start.Index = 0 },
		"seats of an empty log":   func(l *Log) { *l = Log{Start: LogStart{Seats: []Seat{{1, 1}}}} },
		"gap after the start":     func(l *Log) { l.Start.Index = 2 },
		"entry before the start":  func(l *Log) { l.Start.Index = 4 },
		"terms fall":              func(l *Log) { l.Start.Term = 4 },
		"term beyond the current": func(l *Log) { l.Start.Term, l.Entries = 10, nil },
	} {
		log := Log{Start: good.Start, Entries: slices.Clone(good.Entries)}
		spoil(&log)
		if _, err := New(testConfig(1, []NodeID{1, 2, 3}, 1), HardState{Term: 9}, log); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestElectionWithAnEmptyLogBehindAStart(t *testing.T) {
	t.Parallel()
	s := newCut(t, 1, 1, 2)
	for _, m := range []Message{ // paper 5.4.1
		{From: 2, Term: 3, LastLogIndex: 9, LastLogTerm: 1}, {From: 2, Term: 3, LastLogIndex: 2, LastLogTerm: 2},
	} {
		m.Type = MsgRequestVote
		wantEqual(t, "vote for an older log", s.ask(m).VoteGranted, false)
	}
	s.campaign()
	request := s.voteRequest(s.term)
	wantEqual(t, "last index in the vote request", request.LastLogIndex, 3)
	wantEqual(t, "last term in the vote request", request.LastLogTerm, 2)

	s = newCut(t, 1, 1, 2)
	m := the(t, appends(s.lead(), 2))
	wantEqual(t, "index before the no-op", m.PrevLogIndex, 3)
	wantEqual(t, "term before the no-op", m.PrevLogTerm, 2)
	wantEqual(t, "digest before the no-op", m.PrevLogDigest, cutLog(logOf(1, 1, 2), 3).Start.Digest)
	if _, ok := s.ReadIndexFor(2, s.term); ok {
		t.Error("a read is confirmed before the no-op is committed (trap T38)")
	}
	s.SetClock(1)
	s.Freshness(3)
	s.step(success(m))
	wantEqual(t, "commit index", s.log.commit, 4)
}

func TestASingleNodeContinuesALogThatWasCut(t *testing.T) {
	t.Parallel()
	s := newSoloFrom(t, 1, HardState{Term: 2, Commit: 3}, cutLog(logOf(1, 1, 2), 3))
	s.ticks(3 * testElectionTicks)
	if _, _, err := s.Propose(1, [][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	s.take()
	wantEqual(t, "entries applied", len(s.applied), 2)
	wantEqual(t, "index of the first", s.applied[0].Index, 4)
}

// A follower whose log ends before the start of the leader's cannot be caught up with entries.
func TestAFollowerBehindTheStartAwaitsASnapshot(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		index Index
		term  Term
	}{"a short log": {2, 0}, "another term at the start": {2, 1}, "an empty log": {1, 0}} {
		s := newCut(t, 1, 2, 2, 2, 3)
		m := the(t, appends(s.lead(), 2))
		sent := s.step(rejection(m, answer.index, answer.term))
		wantEqual(t, name+": appends", len(appends(sent, 2)), 0)
		wantState := func(what string) {
			t.Helper()
			p := s.Status().Progress[0]
			wantEqual(t, name+": state "+what, p.State, "snapshot")
			wantEqual(t, name+": match "+what, p.Match, 0)
			wantEqual(t, name+": active "+what, p.Active, true)
		}
		wantState("after the rejection")
		for range 3 {
			sent = s.ticks(testHeartbeatTicks)
			wantEqual(t, name+": appends", len(appends(sent, 2)), 0)
			beat := the(t, heartbeats(sent, 2))
			wantEqual(t, name+": index that the heartbeat carries", beat.PrevLogIndex, 3)
			wantEqual(t, name+": term that the heartbeat carries", beat.PrevLogTerm, 2)
			wantEqual(t, name+": commit index that the heartbeat carries", beat.LeaderCommit, 3)
			s.step(success(the(t, heartbeats(sent, 3))))
			wantEqual(t, name+": messages", len(s.step(rejection(beat, answer.index, answer.term))), 0)
			wantState("after a heartbeat")
		}
		s.ReportUnreachable(2)
		wantEqual(t, name+": appends", len(appends(s.take(), 2)), 0)
		wantState("after a lost message")

		sent = s.ticks(testHeartbeatTicks)
		sent = s.step(success(the(t, heartbeats(sent, 2)))) // it has the snapshot
		if len(sent) == 0 {
			sent = s.ticks(1) // the pause after the lost message
		}
		m = the(t, appends(sent, 2))
		wantEqual(t, name+": index before the entries", m.PrevLogIndex, 3)
		s.step(success(m))
		wantEqual(t, name+": state at the end", s.Status().Progress[0].State, "replicate")
	}
}

// While it is unknown where the logs agree, nothing proves that a follower needs a snapshot, and a lost probe is
// sent again where it was: not from the first entry on.
func TestAProbeBeginsAtTheStartOfTheLog(t *testing.T) {
	t.Parallel()
	s := newCut(t, 1, 2, 2, 2, 3)
	s.lead()
	s.ReportUnreachable(2) // nothing is known of its log
	sent := s.ticks(testHeartbeatTicks)
	sent = append(sent, s.step(rejection(the(t, heartbeats(sent, 2)), 5, 0))...) // its log ends at 4
	wantEqual(t, "state", s.Status().Progress[0].State, "probe")
	sent = append(sent, s.ticks(1)...)
	m := the(t, appends(sent, 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 5)
	m = the(t, appends(s.step(rejection(m, 5, 0)), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 4)
	s.step(success(m))
	wantEqual(t, "state", s.Status().Progress[0].State, "replicate")

	s = newCut(t, 1, 2, 2, 2, 3)
	m = the(t, appends(s.lead(), 2))
	m = the(t, appends(s.step(rejection(m, 4, 1)), 2)) // its entries 4 and 5 are of term 1, its first of term 2 is none
	wantEqual(t, "index before the entries", m.PrevLogIndex, 3)
	s.step(rejection(m, 3, 1))
	wantEqual(t, "state", s.Status().Progress[0].State, "snapshot")
}

// Appends that were not answered are sent again from what was acknowledged, and not from what was removed since.
func TestALostAppendIsSentAgainFromTheStart(t *testing.T) {
	t.Parallel()
	for removed, prev := range map[Index]Index{0: 3, 6: 7} {
		s := newCut(t, 1, 2, 2, 2, 3)
		sent := s.lead()
		m := the(t, appends(s.step(rejection(the(t, appends(sent, 2)), 4, 0)), 2))
		wantEqual(t, "index before the entries", m.PrevLogIndex, 3)
		s.step(success(the(t, appends(sent, 3))))
		if removed > 0 {
			s.Core.cfg.MaxTailBytes = 1
		}
		for range 2 {
			s.step(success(the(t, appends(s.replicate("more"), 3))))
		}
		s.Removed(removed)
		var again []Message
		for range s.patience() {
			for _, m := range s.ticks(1) {
				if m.To == 3 {
					s.step(success(m))
				} else if len(m.Entries) > 0 {
					again = append(again, m)
				}
			}
		}
		wantEqual(t, "index before the entries", the(t, again).PrevLogIndex, prev)
	}
}

// The heartbeat of a leader whose log was cut is not what the follower acknowledged, so its late rejection is no sign
// of lost data (trap T28).
func TestARejectedStartIsNoLostData(t *testing.T) {
	t.Parallel()
	s := newCut(t, 1, 2, 2, 2, 3)
	m := the(t, appends(s.lead(), 2))
	beat := the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	s.step(success(m))
	s.step(rejection(beat, 1, 0))
	wantEqual(t, "state", s.Status().Progress[0].State, "replicate")
}

func TestASecondDiskIsSentTheLogFromItsStart(t *testing.T) { // T28
	t.Parallel()
	s := newSoloFrom(t, 3, HardState{Term: 3, Commit: 3}, cutLog(logOf(1, 2, 2, 2, 3), 3), foundedBy(2))
	first := the(t, appends(s.lead(), 3))
	r := success(first)
	r.Incarnation = 300
	s.step(r)
	r = rejection(the(t, heartbeats(s.ticks(testHeartbeatTicks), 3)), 1, 0)
	r.Incarnation = 301
	m := the(t, appends(s.step(r), 3))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 3)
}

func TestAnAcknowledgementFromBeforeTheStartCountsForNothing(t *testing.T) {
	t.Parallel()
	s := newCut(t, 1, 2, 2, 2, 3)
	r := success(the(t, appends(s.lead(), 2)))
	r.MatchIndex, r.MatchDigest = 1, 4711
	s.step(r)
	wantEqual(t, "commit index", s.log.commit, 3)
}

// A leader with a longer log may send what this node removed.
func TestAppendsThatBeginBeforeTheStart(t *testing.T) {
	t.Parallel()
	leaders := logOf(1, 2, 2, 2, 3, 3)
	whole := newSolo(t, 3, HardState{Term: 3}, slices.Clone(leaders))
	for name, c := range map[string]struct {
		prev  Index
		count int
		match Index
	}{
		"all of it removed":         {0, 2, 3},
		"up to the start":           {1, 2, 3},
		"a heartbeat":               {2, 0, 3},
		"beyond the start":          {1, 4, 5},
		"beyond the end":            {0, 6, 6},
		"from the start":            {3, 3, 6},
		"a heartbeat at the start":  {3, 0, 3},
		"a heartbeat of an old log": {0, 0, 3},
	} {
		s := newCut(t, 1, 2, 2, 2, 3)
		m := Message{
			Type: MsgAppendEntries, Term: 3, PrevLogIndex: c.prev, LeaderCommit: 6,
			Entries: leaders[c.prev : c.prev+Index(c.count)],
		}
		m.PrevLogTerm, m.PrevLogDigest, _ = whole.Digest(c.prev)
		r := s.ask(m)
		wantEqual(t, name+": success", r.Success, true)
		wantEqual(t, name+": match index", r.MatchIndex, c.match)
		_, digest, _ := whole.Digest(c.match)
		wantEqual(t, name+": digest", r.MatchDigest, digest)
		wantEqual(t, name+": commit index", s.log.commit, c.match)
		wantEqual(t, name+": entries on the disk", len(s.disk.log), int(max(c.match, 5)-3))
	}
}

func TestAppendsThatContradictWhatWasRemoved(t *testing.T) {
	t.Parallel()
	s := newCut(t, 1, 2, 2, 2, 3)
	wantRefused(t, s, Message{ // T17
		Type: MsgAppendEntries, From: 2, To: 1, Term: 3, PrevLogIndex: 3, PrevLogTerm: 1,
	})
	wantRefused(t, s, Message{
		Type: MsgAppendEntries, From: 2, To: 1, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesFrom(2, 1, 1),
	})
	forged := entriesFrom(2, 2, 2, 2)
	forged[2].Command = []byte(`"forged"`)
	for _, m := range []Message{ // T54
		{PrevLogIndex: 1, PrevLogTerm: 1, Entries: forged}, {PrevLogIndex: 3, PrevLogTerm: 2, PrevLogDigest: 4711},
	} {
		m.Type, m.From, m.To, m.Term = MsgAppendEntries, 2, 1, 3
		if err := s.Step(m); !errors.Is(err, ErrDiverged) {
			t.Errorf("%+v: got %v, want ErrDiverged", m, err)
		}
	}
	// A leader of an older term may have other entries there. It receives this node's term.
	r := s.ask(Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesFrom(2, 1, 1)})
	wantEqual(t, "success", r.Success, false)
	wantEqual(t, "term", r.Term, 3)
}

func TestConflictsBehindTheStart(t *testing.T) { // paper 5.3
	t.Parallel()
	s := newCut(t, 2, 2, 2, 2, 2)
	for prev, want := range map[Index]Index{4: 4, 5: 4, 6: 6, 9: 6} {
		r := s.ask(Message{Type: MsgAppendEntries, Term: 4, PrevLogIndex: prev, PrevLogTerm: 3})
		wantEqual(t, "success", r.Success, false)
		wantEqual(t, fmt.Sprintf("conflict index at %d", prev), r.ConflictIndex, want)
	}
	r := s.ask(Message{Type: MsgAppendEntries, Term: 4, PrevLogIndex: 3, PrevLogTerm: 2, Entries: entriesFrom(4, 4)})
	wantEqual(t, "match index", r.MatchIndex, 4)
	wantEqual(t, "last index", s.log.last(), 4)
	wantEqual(t, "entries on the disk", len(s.disk.log), 1)
}

func TestDivergedEntriesBehindTheStartAreDropped(t *testing.T) { // T54
	t.Parallel()
	s := newCut(t, 1, 2, 2, 2, 3)
	for _, i := range []Index{0, 1, 3, 6} {
		wantEqual(t, fmt.Sprintf("dropped %d", i), s.DropDiverged(i), false)
	}
	wantEqual(t, "dropped 4", s.DropDiverged(4), true)
	wantEqual(t, "last index", s.LastIndex(), 3)
	wantEqual(t, "last term", s.log.lastTerm(), 2)
	wantEqual(t, "first index", s.Status().FirstIndex, 4)
}

// A seat is permanent, so it outlives its entry.
func TestSeatsFromBeforeTheStart(t *testing.T) { // T28
	t.Parallel()
	log := append(logOf(1), seatEntry(2, 1, Seat{Member: 5, Incarnation: 500}))
	log = append(log, entriesFrom(3, 1)...)
	for incarnation, seated := range map[Incarnation]bool{500: true, 501: false} {
		s := newSoloFrom(t, 5, HardState{Term: 1}, cutLog(log, 2), foundedBy(4), func(cfg *Config) {
			cfg.ID, cfg.Incarnation = 5, incarnation
		})
		wantEqual(t, "seats", len(s.Seats()), 5)
		wantEqual(t, "seated", s.Seated(), seated)
		wantEqual(t, "lost", s.SeatLost(), !seated)
		s.ask(Message{Type: MsgAppendEntries, From: 2, Term: 2, PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesFrom(3, 2)})
		wantEqual(t, "seats after an entry was replaced", len(s.Seats()), 5)
	}
}

// A cluster whose nodes removed different parts of their logs, and one of which is behind all of them, goes on, also
// after a restart. That one gets a snapshot and the entries after it.
func TestAClusterOfLogsThatWereCut(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.settle()
	net.isolate(3)
	for i := range 6 {
		net.propose(leader, fmt.Sprint(i))
		net.settle()
	}
	for id, upTo := range map[NodeID]Index{1: 6, 2: 4} {
		net.compact(id, upTo)
		net.crash(id)
		net.restart(id)
	}
	leader = net.elect(1)
	net.propose(leader, "b")
	net.tick(testHeartbeatTicks)
	wantEqual(t, "node 2", net.nodes[2].log.commit, leader.log.commit)
	net.heal()
	net.tick(2 * testElectionTicks)
	wantEqual(t, "commit index of node 3", net.nodes[3].log.commit, leader.log.commit)
	wantEqual(t, "state of node 3", leader.progressOf(3).label(), "replicate")
	wantSlice(t, "what node 3 applied", net.nodes[3].commands(), leader.commands())
}
