package raft

import (
	"slices"
	"testing"
)

// A majority holds an entry of an older term, and still it is not committed: a later leader could replace it (paper,
// figure 8). It commits with the first entry of the leader's own term.
func TestCommitsOnlyItsOwnTerm(t *testing.T) { // T12, paper 5.4.2
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2}, logOf(1, 2))
	noop := the(t, appends(s.lead(), 2))
	wantEqual(t, "the no-op", noop.Entries[0].Type, EntryNoOp)

	s.step(rejection(noop, 1, 0))
	old := success(noop)
	old.MatchIndex = 2
	s.step(old)
	wantEqual(t, "commit index with the old entries on a majority", s.log.commit, 0)
	old.MatchIndex = 3
	s.step(old)
	wantEqual(t, "commit index with the no-op on a majority", s.log.commit, 3)
	wantEqual(t, "applied", len(s.applied), 3)
}

// The leader's own copy counts once it is on the disk; a follower may be faster.
func TestLeaderCountsItselfAfterItsOwnSave(t *testing.T) { // T13, thesis 10.2.1
	t.Parallel()
	s := newSolo(t, 1, HardState{}, nil)
	for s.role != Leader {
		s.Tick()
		if s.HasReady() {
			rd := s.Ready()
			s.Advance(rd)
		}
	}
	rd := s.Ready()
	wantEqual(t, "entries to save", len(rd.Entries), 1)
	wantEqual(t, "committed before the save", len(rd.Committed), 0)
	wantEqual(t, "commit index before the save", s.log.commit, 0)
	s.Advance(rd)
	wantEqual(t, "commit index after the save", s.log.commit, 1)
}

func TestLeaderSendsBeforeItsSaveAndCommitsOnTheOthers(t *testing.T) { // T13
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	noop := s.lead()
	for _, m := range noop {
		s.step(success(m))
	}
	if _, _, err := s.Propose(0, [][]byte{[]byte("1")}); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	wantEqual(t, "appends before the save", len(rd.Messages), 2)
	wantEqual(t, "to save", len(rd.Entries), 1)
	for i, m := range rd.Messages {
		m = success(m)
		m.To = 1
		if err := s.Step(m); err != nil {
			t.Fatal(err)
		}
		// One follower is no majority while the leader's own save is in progress; both together are.
		wantEqual(t, "commit index", s.log.commit, Index(1+i))
	}
	s.Advance(rd)
}

// A follower's acknowledgement is sent after its save, also when the request is empty or repeats earlier entries.
func TestFollowerAcknowledgesOnlyWhatIsSaved(t *testing.T) { // T14
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	request := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1, Entries: logOf(1, 1)}
	empty := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1, PrevLogIndex: 2, PrevLogTerm: 1}
	for _, m := range []Message{request, request, empty} {
		if err := s.Step(m); err != nil {
			t.Fatal(err)
		}
	}
	rd := s.Ready()
	wantEqual(t, "answers before the save", len(rd.Messages), 0)
	wantEqual(t, "answers after it", len(rd.AfterSave), 3)
	wantEqual(t, "entries to save", len(rd.Entries), 2)
}

func TestAcknowledgesTheRequestNotTheLog(t *testing.T) { // T15
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 3}, logOf(1, 1, 2, 2, 2))
	r := s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesFrom(2, 1)})
	wantEqual(t, "match index", r.MatchIndex, 2)
	r = s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1})
	wantEqual(t, "match index of a heartbeat", r.MatchIndex, 1)
	wantEqual(t, "log", s.terms(), "[1 1 2 2 2]")
}

// The rest of the follower's log may be of another leader, and not what was committed.
func TestFollowerCommitsOnlyWhatTheRequestVerified(t *testing.T) { // T16
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 3}, logOf(1, 1, 2, 2, 2))
	s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, LeaderCommit: 5})
	wantEqual(t, "commit index", s.log.commit, 1)
	s.ask(Message{
		Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesFrom(2, 1), LeaderCommit: 5,
	})
	wantEqual(t, "commit index", s.log.commit, 2)
	s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 9, PrevLogTerm: 3, LeaderCommit: 9})
	wantEqual(t, "commit index after a rejection", s.log.commit, 2)
}

func TestTruncatesOnlyAtAConflict(t *testing.T) { // T17
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 3, Commit: 1}, logOf(1, 1, 2, 2))
	request := Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesFrom(2, 1)}
	s.ask(request)
	wantEqual(t, "log after a shorter request that agrees", s.terms(), "[1 1 2 2]")
	request.Entries = entriesFrom(2, 1, 3)
	s.ask(request)
	wantEqual(t, "log after a conflict at 3", s.terms(), "[1 1 3]")
	wantEqual(t, "log on the disk", len(s.disk.log), 3)

	wantPanic(t, "committed entry 1 would be removed", func() { s.log.truncate(0) })
}

// A leader has everything that is committed, so a sender that contradicts it is none: it is refused, and nothing is
// truncated.
func TestRefusesWhatContradictsCommittedEntries(t *testing.T) { // T17, paper 5.4.3
	t.Parallel()
	for name, m := range map[string]Message{
		"other entry":              {Entries: logOf(3)},
		"other entry after ours":   {Entries: logOf(1, 3)},
		"other entry before":       {PrevLogIndex: 2, PrevLogTerm: 3},
		"heartbeat, other entry":   {PrevLogIndex: 1, PrevLogTerm: 2},
		"newer term, other entry":  {Term: 5, Entries: logOf(1, 4)},
		"newer term, other before": {Term: 5, PrevLogIndex: 2, PrevLogTerm: 4},
	} {
		s := newSolo(t, 3, HardState{Term: 3, Commit: 2}, logOf(1, 1, 2))
		s.take()
		m.Type, m.From, m.To, m.Term = MsgAppendEntries, 2, 1, max(m.Term, 3)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, s, m)
			wantEqual(t, "log", s.terms(), "[1 1 2]")
		})
	}

	s := newSolo(t, 3, HardState{Term: 3, Commit: 2}, logOf(1, 1, 2))
	deposed := s.ask(Message{Type: MsgAppendEntries, Term: 2, Entries: logOf(1, 2)}) // it had them before the commit
	wantEqual(t, "term in the response to the leader of an older one", deposed.Term, 3)
	s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 2, PrevLogTerm: 1, Entries: entriesFrom(3, 3)})
	wantEqual(t, "log after a conflict behind the commit index", s.terms(), "[1 1 3]")
}

func TestProgressIgnoresOldAndLateAnswers(t *testing.T) { // T18
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	noop := the(t, appends(s.lead(), 2))
	wantEqual(t, "sent while one is on its way", len(appends(s.replicate("1"), 2)), 0)
	wantEqual(t, "sent when it is answered", len(appends(s.step(success(noop)), 2)), 1)
	p := s.progressOf(2)
	wantEqual(t, "match", p.match, 1)

	s.step(rejection(noop, 1, 0)) // repeated, with other content
	wantEqual(t, "match after a late rejection", p.match, 1)
	wantEqual(t, "state after a late rejection", p.state, replicating)
	old := success(noop)
	old.MatchIndex = 0
	s.step(old)
	wantEqual(t, "match after an older success", p.match, 1)
	if p.next <= p.match {
		t.Fatalf("next index %d is not after match index %d", p.next, p.match)
	}
	wantEqual(t, "commit index", s.log.commit, 1)
}

// The response to a request of an older term carries the responder's term. If this node leads that term by then, the
// response's numbers must not be taken for its own: they would confirm a read round that was never asked for.
func TestAnswersToOlderTermsCarryNoNumbers(t *testing.T) { // T18, T39
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 7}, nil)
	r := s.ask(Message{Type: MsgAppendEntries, Term: 5, RequestID: 64, ReadSeq: 6})
	wantEqual(t, "term", r.Term, 7)
	wantEqual(t, "success", r.Success, false)
	wantEqual(t, "request id", r.RequestID, 0)
	wantEqual(t, "read round", r.ReadSeq, 0)

	leader := newSolo(t, 3, HardState{}, nil)
	leader.lead()
	leader.step(Message{Type: MsgAppendEntriesResponse, From: 2, Term: 1})
	wantEqual(t, "match", leader.progressOf(2).match, 0)
	wantEqual(t, "state", leader.Status().Progress[0].State, "probe") // the response carries nothing about its log
}

func TestRejectionAlwaysMovesTheProbe(t *testing.T) { // T19
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 5}, logOf(1, 1, 1, 4, 4, 5))
	m := the(t, appends(s.lead(), 2))
	wantEqual(t, "first attempt", m.PrevLogIndex, 6)
	// A follower whose hints are wrong: each names the place that it just rejected, or one far beyond.
	for attempt := Index(5); ; attempt-- {
		m = the(t, appends(s.step(rejection(m, m.PrevLogIndex+9, 0)), 2))
		wantEqual(t, "next attempt", m.PrevLogIndex, attempt)
		if attempt == 0 {
			break
		}
	}
	wantEqual(t, "entries of the last attempt", len(m.Entries), 7)
	s.step(success(m))
	wantEqual(t, "commit index", s.log.commit, 7)
}

// A follower that rejects what it acknowledged has lost data. The leader must not spin on it.
func TestRejectionOfAcknowledgedEntriesDoesNotSpin(t *testing.T) { // T19, T28
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.step(success(the(t, appends(s.lead(), 2))))
	m := the(t, appends(s.replicate("1"), 2))
	sent := s.step(rejection(m, 1, 0))
	wantEqual(t, "sent at once", len(appends(sent, 2)), 0)
	count := 0
	for range 5 * testElectionTicks {
		for _, m := range s.ticks(1) {
			if m.To == 2 && !m.IsHeartbeat() {
				count++
				s.step(rejection(m, 1, 0))
			}
		}
		s.progressOf(3).answeredNow(0)
		s.progressOf(2).answeredNow(0)
	}
	wantEqual(t, "match index", s.progressOf(2).match, 1)
	if count > 5*testElectionTicks {
		t.Fatalf("%d appends in %d ticks", count, 5*testElectionTicks)
	}
}

// Entries were replaced while they were being written. That they are on the disk is no evidence for their
// replacement.
func TestLateSaveOfReplacedEntries(t *testing.T) { // T20
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	steps := func(m Message) {
		t.Helper()
		m.To = 1
		if err := s.Step(m); err != nil {
			t.Fatal(err)
		}
	}
	steps(Message{Type: MsgAppendEntries, From: 2, Term: 1, Entries: logOf(1, 1, 1)})
	rd := s.Ready()
	steps(Message{Type: MsgAppendEntries, From: 3, Term: 2, Entries: logOf(2, 2, 2)})
	s.Advance(rd)
	wantEqual(t, "saved up to", s.log.saved, 0)
	rd = s.Ready()
	wantEqual(t, "entries to save", len(rd.Entries), 3)
	wantEqual(t, "their term", rd.Entries[0].Term, 2)

	// A, then B, then A again, while B was written: the same entries, so they are saved.
	s.Advance(rd)
	wantEqual(t, "saved up to", s.log.saved, 3)
}

// Slices that were returned stay unchanged when the log is truncated and grows again.
func TestHandedOutEntriesAreNeverOverwritten(t *testing.T) { // T20
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	m := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1, Entries: logOf(1, 1, 1)}
	if err := s.Step(m); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	m = Message{Type: MsgAppendEntries, From: 3, To: 1, Term: 2, Entries: logOf(1, 2, 2)}
	if err := s.Step(m); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "log", s.terms(), "[1 2 2]")
	for i, e := range logOf(1, 1, 1) {
		wantEqual(t, "term", rd.Entries[i].Term, e.Term)
		wantEqual(t, "command", string(rd.Entries[i].Command), string(e.Command))
	}
	_ = append(rd.Entries, Entry{Index: 99})
	wantEqual(t, "log after an append to what was handed out", s.terms(), "[1 2 2]")
}

// T21, one owner of term and role, is structural here: the core has no goroutine and no lock, and is not safe for
// concurrent use. T22, a deadlock when pipelines stop, cannot happen: the core returns messages and waits for
// nothing. Package node and the transport test their own parts. The core requires only that a Ready is advanced
// before the next.
func TestOneReadyAtATime(t *testing.T) { // T21, T22
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.Tick()
	rd := s.Ready()
	wantPanic(t, "Ready was called again before Advance", func() { s.Ready() })
	s.Advance(rd)
	wantPanic(t, "Advance was called without a Ready", func() { s.Advance(rd) })
}

// A peer whose messages are all lost costs heartbeats and an occasional append, however often the loss is reported.
func TestUnreachablePeerDoesNotMakeTheLeaderSpin(t *testing.T) { // T22
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.step(success(the(t, appends(s.lead(), 3))))
	count := 0
	for range 10 * testElectionTicks {
		sent := s.replicate("1")
		sent = append(sent, s.ticks(1)...)
		for _, m := range sent {
			if m.To == 2 {
				s.ReportUnreachable(2)
			}
			if m.To == 3 {
				sent := s.step(success(m))
				count += len(appends(sent, 2))
			}
		}
		count += len(appends(sent, 2))
	}
	wantEqual(t, "entries that the others committed without it", s.log.commit, s.log.last())
	if count > 12 {
		t.Fatalf("%d appends to an unreachable peer in ten election timeouts", count)
	}

	// The peer returns: the response to a heartbeat resumes appends at the next tick.
	for range testHeartbeatTicks {
		for _, m := range heartbeats(s.ticks(1), 2) {
			s.step(success(m))
		}
	}
	if len(appends(s.ticks(1), 2)) == 0 && len(s.progressOf(2).inflight) == 0 {
		t.Fatal("nothing is sent to a peer that came back")
	}
}

// replicate proposes commands and returns what was sent.
func (s *solo) replicate(commands ...string) []Message {
	s.t.Helper()
	for _, command := range commands {
		if _, _, err := s.Propose(0, [][]byte{[]byte(command)}); err != nil {
			s.t.Fatal(err)
		}
	}
	return slices.Clip(s.take())
}
