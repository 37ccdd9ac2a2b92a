package raft

import (
	"fmt"
	"slices"
	"testing"
)

// newTail starts node 1 of three from a log with these terms, all of them committed, on the disk and applied, but only
// those after an index in memory.
func newTail(t testing.TB, after Index, terms ...Term) *solo {
	t.Helper()
	entries := logOf(terms...)
	log := cutLog(entries, after)
	log.Removed = 0
	s := newSoloFrom(t, 3, HardState{Term: terms[len(terms)-1], Commit: Index(len(terms))}, log)
	s.disk = disk{state: s.disk.state, log: entries, checkpoint: entries[:after]}
	s.applied = slices.Clip(entries[:after])
	s.take()
	return s
}

// readDisk does the fetches of a Ready, which must be one.
func (s *solo) readDisk(fetches []Fetch) []Message {
	s.t.Helper()
	if len(fetches) != 1 {
		s.t.Fatalf("got the fetches %+v, want one", fetches)
	}
	part, err := s.disk.read(fetches[0])
	s.Fetched(fetches[0], part, err)
	return s.take()
}

func TestTheTailIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 50 * entryMemory
	net := newNetwork(t, 3, func(cfg *Config) { cfg.MaxTailBytes = limit })
	leader := net.elect(1)
	dropped := 0
	for i := range 400 {
		before := leader.log.offset
		net.propose(leader, fmt.Sprint(i))
		net.tick(1)
		if leader.log.offset > before {
			dropped++
		}
		for _, id := range net.ids() {
			l := &net.nodes[id].log
			if l.bytes > limit || cap(l.entries) > 100 {
				t.Fatalf("node %d keeps %d bytes, and room for %d entries", id, l.bytes, cap(l.entries))
			}
		}
	}
	if dropped == 0 || dropped > 30 {
		t.Errorf("entries were dropped %d times: never, or too often to be cheap", dropped)
	}
	net.tick(testHeartbeatTicks)
	wantEqual(t, "first index on the disk", leader.Status().FirstIndex, 1)
	for _, id := range net.ids() {
		wantEqual(t, "commit index", net.nodes[id].log.commit, 401)
		wantEqual(t, "commands applied", len(net.nodes[id].commands()), 400)
	}
}

// Entries leave the memory only when they are saved and were returned as committed, and the last one never does.
func TestWhatStaysInMemory(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, func(cfg *Config) { cfg.MaxTailBytes = 1 })
	first := the(t, appends(s.lead(), 2))
	s.replicate("2", "3")
	wantEqual(t, "before anything is committed", s.TailStart(), 0)
	if err := s.Step(addressed(success(first), s.id)); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	wantEqual(t, "committed", len(rd.Committed), 1)
	wantEqual(t, "while it is applied", s.TailStart(), 0)
	s.Advance(rd)
	wantEqual(t, "when it is applied", s.TailStart(), 1)
	wantEqual(t, "the entry that was returned", string(rd.Committed[0].Command), "no-op")
	m := the(t, appends(rd.Messages, 2))
	s.step(success(m))
	wantEqual(t, "commit index", s.log.commit, 3)
	wantEqual(t, "the last entry stays", s.TailStart(), 2)
	wantEqual(t, "what was sent", string(m.Entries[0].Command), "2")
}

// A follower commits what it has not saved yet; until it has, the memory is the only place that holds it.
func TestWhatIsNotSavedStaysInMemory(t *testing.T) { // T50
	t.Parallel()
	l := raftLog{encoding: &testEncoding}
	l.append(logOf(1, 1, 1)...)
	l.commit, l.handed, l.saved = 3, 3, 1
	l.trim(1)
	wantEqual(t, "start of the tail", l.offset, 1)
	wantPanic(t, "would leave the memory", func() { l.dropUpTo(2) })
}

// Entries are moved only if that frees enough: otherwise each entry that is applied would move all that are not.
func TestALittleIsNotDropped(t *testing.T) {
	t.Parallel()
	l := raftLog{encoding: &testEncoding}
	l.append(logOf(slices.Repeat([]Term{1}, 120)...)...)
	limit := l.bytes * 5 / 6
	l.commit, l.handed, l.saved = 20, 20, 20
	l.trim(limit)
	wantEqual(t, "start of the tail", l.offset, 0)
	l.commit, l.handed, l.saved = 30, 30, 30
	l.trim(limit)
	wantEqual(t, "start of the tail", l.offset, 30)
}

func TestRemovedFromTheDisk(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 3}, logOf(1, 1, 1, 1))
	s.take()
	s.Removed(2)
	s.Removed(1)
	wantEqual(t, "first index", s.Status().FirstIndex, 3)
	wantEqual(t, "start of the tail", s.TailStart(), 0)
	wantPanic(t, "entry 4 was removed from the disk", func() { s.Removed(4) })
}

// Logs start at the entry before the tail, wherever an older place is asked for.
func TestPlacesBeforeTheTail(t *testing.T) {
	t.Parallel()
	s := newTail(t, 3, 1, 1, 2, 2, 3)
	for i := range Index(3) {
		if _, _, held := s.Digest(i); held {
			t.Errorf("the digest at %d is in memory", i)
		}
		wantEqual(t, "dropped", s.DropDiverged(i), false)
	}
	_, digest, held := s.Digest(3)
	wantEqual(t, "has the start of the tail", held, true)
	wantEqual(t, "digest there", digest, s.disk.positionAt(3).Digest)
	wantEqual(t, "last up to term 1", s.log.lastUpToTerm(1, 2), 3)
	wantEqual(t, "first of term 2", s.log.firstOfTermAt(4), 4)

	// A damaged copy of the entry at the start of the tail is found (T54); before it, it is not compared.
	m := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 3, PrevLogIndex: 3, PrevLogTerm: 2, PrevLogDigest: 1}
	if err := s.Step(m); err == nil {
		t.Error("another digest at the start of the tail is accepted")
	}
	r := s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, PrevLogDigest: 1})
	wantEqual(t, "acknowledged", r.MatchIndex, 3)
	wantEqual(t, "digest", r.MatchDigest, digest)
}

func TestWhatFollowersNeed(t *testing.T) {
	t.Parallel()
	s := newTail(t, 3, 1, 1, 2, 2, 3)
	wantEqual(t, "of a follower", s.NeededFrom(5), 6)
	m := appends(s.lead(), 2)
	wantEqual(t, "before they respond", s.NeededFrom(5), 1)
	s.step(success(the(t, m)))
	wantEqual(t, "while one did not respond", s.NeededFrom(5), 1)
	s.Removed(2)
	wantEqual(t, "and entries are removed", s.NeededFrom(5), 3)
	s.ticks(1)
	s.replicate("7")
	s.step(success(the(t, heartbeats(s.ticks(testHeartbeatTicks-1), 2))))
	wantEqual(t, "when it is silent", s.NeededFrom(testHeartbeatTicks), 7)
	wantEqual(t, "when it is silent, but not for long", s.NeededFrom(testHeartbeatTicks+1), 3)
	s.ticks(testHeartbeatTicks)
	wantEqual(t, "when both are silent", s.NeededFrom(testHeartbeatTicks), 8)
}

// The seats of a log that starts later are those that entries up to its start assigned (trap T28).
func TestSeatsUpToAnIndex(t *testing.T) {
	t.Parallel()
	log := append(logOf(1), seatEntry(2, 1, Seat{4, 400}), seatEntry(3, 1, Seat{5, 500}))
	s := newSolo(t, 5, HardState{Term: 1, Commit: 2}, log, foundedBy(3))
	for i, want := range []int{0, 0, 1} {
		seats := s.SeatsUpTo(Index(i))
		wantEqual(t, fmt.Sprintf("seats up to %d", i), len(seats), want)
		if want > 0 {
			wantEqual(t, "seat", seats[0], Seat{4, 400})
		}
	}
	wantPanic(t, "seats up to entry 3", func() { s.SeatsUpTo(3) })
}

// A checkpoint names the seats of entries that are still in the log on the disk.
func TestASeatIsNamedOnce(t *testing.T) { // T28
	t.Parallel()
	seat := Seat{Member: 4, Incarnation: 400}
	log := cutLog(append(logOf(1, 1), seatEntry(3, 1, seat)), 1)
	log.Start.Seats = []Seat{seat}
	s := newSoloFrom(t, 5, HardState{Term: 1, Commit: 3}, log, foundedBy(3))
	for i := Index(1); i <= 3; i++ {
		wantEqual(t, fmt.Sprintf("seats up to %d", i), len(s.SeatsUpTo(i)), 1)
	}
}
