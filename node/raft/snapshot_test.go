package raft

import (
	"errors"
	"fmt"
	"testing"
)

// leadCut leads three nodes from a log that starts after entry 3 of 5. Node 2 rejects that, so it needs a snapshot.
func leadCut(t *testing.T) *solo {
	t.Helper()
	s := newCut(t, 1, 2, 2, 2, 3)
	m := the(t, appends(s.lead(), 2))
	s.step(rejection(m, 1, 0))
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{2})
	wantEqual(t, "state", s.progressOf(2).label(), "snapshot")
	return s
}

// beat lets time pass until heartbeats are due. Node 2 rejects its own, node 3 accepts. It returns who is to get a
// snapshot meanwhile.
func (s *solo) beat(index Index) []NodeID {
	s.t.Helper()
	sent := s.ticks(testHeartbeatTicks)
	asked := s.snapshotFor
	s.step(success(the(s.t, heartbeats(sent, 3))))
	s.step(rejection(the(s.t, heartbeats(sent, 2)), index, 0))
	return append(asked, s.snapshotFor...)
}

// One snapshot is sent until its outcome is known, and the next attempt waits for an election timeout.
func TestOneSnapshotAtATime(t *testing.T) { // T36
	t.Parallel()
	s := leadCut(t)
	for range 5 {
		wantEqual(t, "snapshots while one is on its way", len(s.beat(1)), 0)
	}
	s.ReportUnreachable(2)
	wantEqual(t, "snapshots after a lost message", len(s.beat(1)), 0)
	s.SnapshotFailed(2)
	waited := 0
	for len(s.beat(1)) == 0 {
		waited += testHeartbeatTicks
		wantEqual(t, "the snapshot is sent again", waited <= 2*testElectionTicks, true)
	}
	wantEqual(t, "after an election timeout", waited+testHeartbeatTicks >= testElectionTicks, true)
}

func TestNoSnapshotForASilentFollower(t *testing.T) {
	t.Parallel()
	s := leadCut(t)
	for i := range 4 * testElectionTicks {
		if i == s.patience() {
			s.SnapshotFailed(2)
		}
		for _, beat := range heartbeats(s.ticks(1), 3) {
			s.step(success(beat))
		}
		wantEqual(t, "snapshots", len(s.snapshotFor), 0)
	}
	s.step(rejection(the(t, heartbeats(s.ticks(testHeartbeatTicks), 2)), 1, 0))
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{2})
}

// After a snapshot the leader probes where it ends: in memory, on the disk, or beyond what is left.
func TestEntriesAfterASnapshot(t *testing.T) {
	t.Parallel()
	s := leadCut(t)
	s.SnapshotSent(2, 4)
	m := the(t, appends(s.take(), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 4)
	s.step(success(m))
	wantEqual(t, "state", s.progressOf(2).label(), "replicate")

	s = leadCut(t)
	s.SnapshotSent(2, 9) // it has committed more than this leader has; it responds to the last entry
	m = the(t, appends(s.take(), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 5)

	s = newTail(t, 5, 1, 1, 1, 1, 1, 1)
	s.disk.cut(2)
	s.Removed(2)
	s.step(rejection(the(t, appends(s.lead(), 2)), 1, 0))
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{2})
	s.SnapshotSent(2, 3)
	s.take()
	wantEqual(t, "fetched from", s.fetched[0].From, 4)
	m = the(t, appends(s.readDisk(s.fetched), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 3)

	// The log is cut while the snapshot is sent: the next probe shows that another one is needed.
	s = leadCut(t)
	s.log.handed = 5
	s.log.commit = 5
	s.log.dropUpTo(5)
	s.Removed(5)
	s.SnapshotSent(2, 4)
	m = the(t, appends(s.take(), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 5)
	s.step(rejection(m, 5, 0))
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{2})
}

// Entries that a follower acknowledges late do not help it, if those that follow them were removed.
func TestALateAcknowledgementDuringASnapshot(t *testing.T) {
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	s.readDisk([]Fetch{f})
	s.ReportUnreachable(2)
	s.log.dropUpTo(6)
	s.Removed(6)
	beat := the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	s.step(rejection(beat, 2, 0))
	m := the(t, appends(s.ticks(1), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 6)
	s.step(rejection(m, 2, 0))
	wantEqual(t, "state", s.progressOf(2).label(), "snapshot")
	late := Message{Type: MsgAppendEntriesResponse, From: 2, Term: s.term, Success: true, MatchIndex: 3, RequestID: 1}
	s.step(late)
	wantEqual(t, "state", s.progressOf(2).label(), "snapshot")
	wantEqual(t, "match", s.progressOf(2).match, 3)
	late.MatchIndex = 6
	s.step(late)
	wantEqual(t, "state with all that was removed", s.progressOf(2).label(), "probe")
}

// Reports of an earlier term, or about no follower, change nothing that a response does not confirm.
func TestLateReportsOfSnapshots(t *testing.T) {
	t.Parallel()
	s := newCut(t, 1, 2, 2, 2, 3)
	s.SnapshotSent(2, 5)
	s.SnapshotFailed(2)
	wantEqual(t, "ready", s.HasReady(), false)
	m := the(t, appends(s.lead(), 2))
	s.SnapshotSent(2, 3)
	s.SnapshotFailed(9)
	wantEqual(t, "messages", len(s.take()), 0)
	s.step(success(m))
	wantEqual(t, "match", s.progressOf(2).match, 6)

	s = leadCut(t)
	s.SnapshotSent(2, 4) // of an earlier term; the disk was lost since
	m = the(t, appends(s.take(), 2))
	s.step(rejection(m, 1, 0))
	wantEqual(t, "match", s.progressOf(2).match, 0)
	wantEqual(t, "state", s.progressOf(2).label(), "snapshot")
}

// A follower loses its disk while a snapshot is sent to it. What the lost disk acknowledged counts no more, and the new
// one gets a snapshot too, when the outcome of the first is known.
func TestAFollowerLosesItsDiskDuringASnapshot(t *testing.T) { // T28
	t.Parallel()
	s := newSoloFrom(t, 3, HardState{Term: 3, Commit: 3}, cutLog(logOf(1, 2, 2, 2, 3), 3), foundedBy(2))
	as := func(m Message, incarnation Incarnation) Message {
		m.Incarnation = incarnation
		return m
	}
	first := the(t, appends(s.lead(), 3))
	s.step(as(rejection(first, 1, 0), 300))
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{3})
	beat := the(t, heartbeats(s.ticks(testHeartbeatTicks), 3))
	s.step(as(rejection(beat, 1, 0), 301))
	wantEqual(t, "snapshots", len(s.snapshotFor), 0)
	s.SnapshotSent(3, 4) // on the disk that is lost
	m := the(t, appends(s.take(), 3))
	s.step(as(rejection(m, 1, 0), 301))
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{3})

	s.SnapshotSent(3, 4)
	m = the(t, appends(s.take(), 3))
	s.step(as(success(m), 301))
	s.step(as(rejection(the(t, heartbeats(s.ticks(testHeartbeatTicks), 3)), 1, 0), 302))
	wantEqual(t, "match of the third disk", s.progressOf(3).match, 0)
}

func TestNoTransferToAFollowerThatNeedsASnapshot(t *testing.T) { // T11
	t.Parallel()
	s := leadCut(t)
	wantError(t, s.TransferLeadership(2), ErrBadTarget)
	wantEqual(t, "successor", BestSuccessor(s.Status(), 2), 3)
}

// restorer starts a follower that has these terms in its log, the first two of them committed.
func restorer(t *testing.T, adjust func(*Config), terms ...Term) *solo {
	t.Helper()
	s := newSoloFrom(t, 3, HardState{Term: 9, Commit: 2}, Log{Entries: logOf(terms...)}, adjust)
	s.take()
	return s
}

func plain(*Config) {}

// startOf returns where a log with these terms ends.
func startOf(terms ...Term) LogStart { return cutLog(logOf(terms...), Index(len(terms))).Start }

func TestWhatARestoreKeeps(t *testing.T) { // T31
	t.Parallel()
	for name, c := range map[string]struct {
		start LogStart
		kept  int // entries after the snapshot
	}{
		"the same entry: the suffix stays":       {startOf(1, 1, 2), 2},
		"the same last entry":                    {startOf(1, 1, 2, 2, 2), 0},
		"another term there: all is discarded":   {startOf(1, 1, 3), 0},
		"another term at the end":                {startOf(1, 1, 2, 2, 3), 0},
		"beyond the end: all is discarded":       {startOf(1, 1, 2, 2, 2, 2, 2), 0},
		"an older term beyond what is committed": {startOf(1, 1, 1), 0},
	} {
		s := restorer(t, plain, 1, 1, 2, 2, 2)
		installed, err := s.Restore(2, c.start)
		if !installed || err != nil {
			t.Fatalf("%s: %v, %v", name, installed, err)
		}
		last := c.start.Index + Index(c.kept)
		wantEqual(t, name+": last index", s.LastIndex(), last)
		wantEqual(t, name+": commit index", s.log.commit, c.start.Index)
		wantEqual(t, name+": first index", s.Status().FirstIndex, c.start.Index+1)
		wantEqual(t, name+": start of the tail", s.TailStart(), c.start.Index)
		wantEqual(t, name+": saved", s.log.saved, last)
		wantEqual(t, name+": digest", s.log.digest(last), startOf(1, 1, 2, 2, 2).digestIf(c.kept > 0, c.start))
		wantEqual(t, name+": ready", s.HasReady(), false)
		term, held := s.TermAt(c.start.Index)
		wantEqual(t, name+": has the snapshot's last entry", held, true)
		wantEqual(t, name+": its term", term, c.start.Term)

		// The next entry follows the snapshot, and nothing before it is returned again.
		s.applied, s.disk.start, s.disk.log = nil, c.start, s.Entries(c.start.Index+1, last)
		r := s.ask(Message{
			Type: MsgAppendEntries, Term: 9, PrevLogIndex: c.start.Index, PrevLogTerm: c.start.Term,
			PrevLogDigest: c.start.Digest, Entries: entriesFrom(c.start.Index+1, 9), LeaderCommit: c.start.Index + 1,
		})
		wantEqual(t, name+": accepts the next entry", r.Success, true)
		wantEqual(t, name+": entries returned as committed", len(s.applied), 1)
		wantEqual(t, name+": index of the first", s.applied[0].Index, c.start.Index+1)
	}
}

// digestIf returns the digest here if the suffix was kept, else that of the snapshot.
func (s LogStart) digestIf(kept bool, snapshot LogStart) Digest {
	if kept {
		return s.Digest
	}
	return snapshot.Digest
}

// A snapshot of what is committed already is not installed, however late it comes.
func TestNoRestoreOfWhatIsCommitted(t *testing.T) { // T32
	t.Parallel()
	s := restorer(t, plain, 1, 1, 2, 2, 2)
	for _, start := range []LogStart{startOf(1), startOf(1, 1)} {
		installed, err := s.Restore(2, start)
		if installed || err != nil {
			t.Errorf("a snapshot up to %d: %v, %v", start.Index, installed, err)
		}
	}
	if installed, err := s.Restore(2, startOf(1, 1, 2, 2)); !installed || err != nil {
		t.Fatal(installed, err)
	}
	for _, start := range []LogStart{startOf(1, 1, 2), startOf(1, 1, 2, 2)} {
		installed, err := s.Restore(3, start)
		if installed || err != nil {
			t.Errorf("a snapshot up to %d after one up to 4: %v, %v", start.Index, installed, err)
		}
	}
	wantEqual(t, "commit index", s.log.commit, 4)
	wantEqual(t, "last index", s.LastIndex(), 5)

	leader := newCut(t, 1, 2, 2, 2, 3)
	leader.lead()
	if installed, err := leader.Restore(2, startOf(1, 2, 2, 2)); installed || err != nil {
		t.Errorf("a leader: %v, %v", installed, err)
	}
	wantEqual(t, "role", leader.role, Leader)
}

// The snapshot decides who is seated, even if a later entry of this log, which is discarded, seats another disk.
func TestARestoreReplacesTheSeats(t *testing.T) { // T33, T28
	t.Parallel()
	five := func(cfg *Config) {
		cfg.Initial, cfg.Founders = initial(1, 2, 3, 4, 5), []Seat{{2, 200}, {3, 300}, {4, 400}}
		cfg.Incarnation = 100
	}
	log := append(logOf(1, 1), seatEntry(3, 2, Seat{1, 999}), seatEntry(4, 2, Seat{5, 500}))
	for name, c := range map[string]struct {
		terms        []Term
		seats        []Seat
		seated, lost bool
		all          int // committed seats
	}{
		"this disk is seated":        {[]Term{1, 1, 3, 3}, []Seat{{1, 100}}, true, false, 4},
		"another disk is seated":     {[]Term{1, 1, 3, 3}, []Seat{{1, 101}, {5, 501}}, false, true, 5},
		"no disk of this one is":     {[]Term{1, 1, 3, 3}, nil, false, false, 3},
		"beyond the end of this log": {[]Term{1, 1, 3, 3, 3, 3}, []Seat{{1, 100}, {5, 501}}, true, false, 5},
	} {
		s := newSoloFrom(t, 3, HardState{Term: 9, Commit: 2}, Log{Entries: append([]Entry{}, log...)}, five)
		s.take()
		start := startOf(c.terms...)
		start.Seats = c.seats
		if installed, err := s.Restore(2, start); !installed || err != nil {
			t.Fatalf("%s: %v, %v", name, installed, err)
		}
		wantEqual(t, name+": seated", s.Seated(), c.seated)
		wantEqual(t, name+": lost", s.SeatLost(), c.lost)
		wantEqual(t, name+": seats", len(s.Seats()), c.all)
		wantSeats(t, name, s.SeatsUpTo(start.Index), c.seats)
	}

	// The seats of a suffix that stays count when they are committed.
	s := newSoloFrom(t, 3, HardState{Term: 9, Commit: 2}, Log{Entries: append([]Entry{}, log...)}, five)
	s.take()
	start := cutLog(log, 3).Start
	if installed, err := s.Restore(2, start); !installed || err != nil {
		t.Fatal(installed, err)
	}
	wantSeats(t, "committed", s.SeatsUpTo(3), []Seat{{1, 999}})
	s.ask(Message{Type: MsgAppendEntries, Term: 9, PrevLogIndex: 4, PrevLogTerm: 2, LeaderCommit: 4})
	wantSeats(t, "after the next commit", s.SeatsUpTo(4), []Seat{{1, 999}, {5, 500}})
}

func wantSeats(t *testing.T, what string, got, want []Seat) {
	t.Helper()
	wantEqual(t, what+": seats", fmt.Sprint(got), fmt.Sprint(want))
}

func TestRestoreRefusesNonsense(t *testing.T) {
	t.Parallel()
	good := startOf(1, 1, 2)
	for name, c := range map[string]struct {
		from  NodeID
		spoil func(*LogStart)
	}{
		"from itself":               {1, func(*LogStart) {}},
		"from no node":              {0, func(*LogStart) {}},
		"no position":               {2, func(s *LogStart) { *s = LogStart{} }},
		"no term":                   {2, func(s *LogStart) { s.Term = 0 }},
		"no digest":                 {2, func(s *LogStart) { s.Digest = 0 }},
		"an endless log":            {2, func(s *LogStart) { s.Index = maxNumber + 1 }},
		"a later term":              {2, func(s *LogStart) { s.Term = 10 }},
		"an older term":             {2, func(s *LogStart) { s.Index, s.Term = 4, 1 }},
		"another term, committed":   {2, func(s *LogStart) { s.Index = 2; s.Term = 1 }},
		"a seat of no member":       {2, func(s *LogStart) { s.Seats = []Seat{{0, 1}} }},
		"an implausible incarnated": {2, func(s *LogStart) { s.Seats = []Seat{{3, maxNumber + 1}} }},
	} {
		s := restorer(t, plain, 1, 2, 2, 2, 2)
		start := good
		c.spoil(&start)
		installed, err := s.Restore(c.from, start)
		if installed || !errors.Is(err, ErrBadMessage) {
			t.Errorf("%s: %v, %v", name, installed, err)
		}
		wantEqual(t, name+": last index", s.LastIndex(), 5)
		wantEqual(t, name+": commit index", s.log.commit, 2)
	}
	for _, i := range []Index{2, 3} { // committed, and not
		s := restorer(t, plain, 1, 1, 2, 2, 2)
		start := startOf([]Term{1, 1, 2}[:i]...)
		start.Digest++
		installed, err := s.Restore(2, start)
		if installed || !errors.Is(err, ErrDiverged) {
			t.Errorf("another digest at %d: %v, %v", i, installed, err)
		}
		wantEqual(t, "last index", s.LastIndex(), 5)
	}
}

// The memory, the disk and the state machine move together, so nothing may be in progress when they do.
func TestRestoreWaitsForThePass(t *testing.T) { // T35
	t.Parallel()
	m := Message{
		Type: MsgAppendEntries, From: 2, To: 1, Term: 9, PrevLogIndex: 5, PrevLogTerm: 2, Entries: entriesFrom(6, 9),
	}
	s := restorer(t, plain, 1, 1, 2, 2, 2)
	if err := s.Step(m); err != nil {
		t.Fatal(err)
	}
	const early = "Restore was called before everything was done"
	wantPanic(t, early, func() { _, _ = s.Restore(2, startOf(1, 1, 2)) })
	rd := s.Ready()
	wantPanic(t, early, func() { _, _ = s.Restore(2, startOf(1, 1, 2)) })
	s.Advance(rd)
	m = Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 9, PrevLogIndex: 6, PrevLogTerm: 9}
	if err := s.Step(m); err != nil {
		t.Fatal(err)
	}
	rd = s.Ready() // a response alone
	wantPanic(t, early, func() { _, _ = s.Restore(2, startOf(1, 1, 2)) })
	s.Advance(rd)
	if installed, err := s.Restore(2, startOf(1, 1, 2)); !installed || err != nil {
		t.Fatal(installed, err)
	}
}

// Votes for a candidate were granted to a log that it no longer has.
func TestACandidateThatRestoresStepsDown(t *testing.T) {
	t.Parallel()
	s := restorer(t, plain, 1, 1, 2, 2, 2)
	s.stand()
	if installed, err := s.Restore(2, startOf(1, 1, 3)); !installed || err != nil {
		t.Fatal(installed, err)
	}
	wantState(t, s, Follower, 10, 0, "it restores a snapshot up to entry 3")
	s.step(Message{Type: MsgRequestVoteResponse, From: 2, Term: 10, VoteGranted: true})
	wantEqual(t, "role after a late vote", s.role, Follower)
}

// A follower that is out of reach of the log comes back by a snapshot while the cluster goes on.
func TestAClusterCatchesUpBySnapshot(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3, func(cfg *Config) { cfg.MaxTailBytes, cfg.MaxMessageEntries = 4*entryMemory, 3 })
	leader := net.elect(1)
	net.isolate(3)
	for i := range 50 {
		net.propose(leader, fmt.Sprint(i))
		net.tick(1)
	}
	net.compact(1, 30)
	net.heal()
	for i := range 50 {
		net.propose(leader, fmt.Sprint(i))
		net.tick(1)
	}
	net.tick(2 * testElectionTicks)
	wantEqual(t, "state", leader.progressOf(3).label(), "replicate")
	wantSlice(t, "applied", net.nodes[3].commands(), leader.commands())
	wantEqual(t, "first index on its disk", net.nodes[3].Status().FirstIndex > 31, true)

	net.crash(1) // node 3 leads from what it restored, and the others from more
	three := net.elect(3)
	net.propose(three, "after")
	net.tick(testHeartbeatTicks)
	wantSlice(t, "applied", net.nodes[2].commands(), three.commands())
}
