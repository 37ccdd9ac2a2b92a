package raft

import (
	"errors"
	"fmt"
	"testing"
)

// addressed returns a message to a node.
func addressed(m Message, to NodeID) Message {
	m.To = to
	return m
}

// leadTail leads three nodes from a tail that starts after entry 3 of 6. Node 2 rejects the no-op with what its log
// has, and the leader needs the entries from an index on for it.
func leadTail(t *testing.T, index Index, term Term, adjust ...func(*Config)) (*solo, Fetch) {
	t.Helper()
	s := newTail(t, 3, 1, 1, 2, 2, 3, 3)
	for _, f := range adjust {
		f(&s.Core.cfg)
	}
	m := the(t, appends(s.lead(), 2))
	wantEqual(t, "index before the no-op", m.PrevLogIndex, 6)
	sent := s.step(rejection(m, index, term))
	wantEqual(t, "appends", len(appends(sent, 2)), 0)
	wantEqual(t, "fetches", len(s.fetched), 1)
	return s, s.fetched[0]
}

// part returns what the disk has for a fetch.
func (s *solo) part(f Fetch) Log {
	s.t.Helper()
	part, err := s.disk.read(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return part
}

// A follower that lags behind the tail gets entries from the disk as ordinary appends, until it has reached the tail.
func TestALaggingFollowerIsSentEntriesFromTheDisk(t *testing.T) {
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	wantEqual(t, "fetch", f, Fetch{Peer: 2, From: 2, MaxEntries: 64, MaxBytes: 1 << 20})
	part := s.part(f)
	wantEqual(t, "entries on the disk", len(part.Entries), 6) // with some that are in memory, and the no-op
	s.Fetched(f, part, nil)
	m := the(t, appends(s.take(), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 1)
	wantEqual(t, "term there", m.PrevLogTerm, 1)
	wantEqual(t, "digest there", m.PrevLogDigest, s.disk.positionAt(1).Digest)
	wantEqual(t, "entries", len(m.Entries), 2)
	wantEqual(t, "commit index", m.LeaderCommit, 6)
	m = the(t, appends(s.step(success(m)), 2))
	wantEqual(t, "index before the entries from memory", m.PrevLogIndex, 3)
	wantEqual(t, "entries", len(m.Entries), 4)
	s.step(success(m))
	wantEqual(t, "commit index", s.log.commit, 7)
	wantEqual(t, "fetches", len(s.fetched), 0)
}

// A follower takes the fetched entries as it takes all others.
func TestAClusterCatchesUpFromTheDisk(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 3} {
		net := newNetwork(t, 3, func(cfg *Config) {
			cfg.MaxTailBytes, cfg.MaxMessageEntries, cfg.MaxInflightMessages = 4*entryMemory, 3, window
		})
		leader := net.elect(1)
		net.isolate(3)
		for i := range 50 {
			net.propose(leader, fmt.Sprint(i))
			net.tick(1)
		}
		net.heal()
		net.tick(2 * testElectionTicks)
		wantEqual(t, "state", leader.progressOf(3).label(), "replicate")
		wantSlice(t, "applied", net.nodes[3].commands(), leader.commands())
	}
}

// While a follower takes appends, the next entries are read ahead, one fetch at a time. What does not fit the window
// waits.
func TestEntriesAreReadAhead(t *testing.T) {
	t.Parallel()
	s := newTail(t, 6, 1, 1, 1, 1, 1, 1, 1)
	s.Core.cfg.MaxMessageEntries = 2
	m := the(t, appends(s.lead(), 2))
	s.step(rejection(m, 1, 0))
	m = the(t, appends(s.readDisk(s.fetched), 2))
	wantEqual(t, "fetches while it probes", len(s.fetched), 0)
	m = the(t, appends(append(s.step(success(m)), s.readDisk(s.fetched)...), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 2)
	wantEqual(t, "appends with the window closed", len(appends(s.readDisk(s.fetched), 2)), 0)
	wantEqual(t, "fetches with entries at hand", len(s.fetched), 0)

	s.Core.cfg.MaxMessageEntries = 1 // the rest of what was fetched is sent later
	m = the(t, appends(s.step(success(m)), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 4)
	m = the(t, appends(s.step(success(m)), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 5)
	wantEqual(t, "digest there", m.PrevLogDigest, s.disk.positionAt(5).Digest)
	wantEqual(t, "entries", len(m.Entries), 1)
	m = the(t, appends(s.step(success(m)), 2))
	wantEqual(t, "index before the entries from memory", m.PrevLogIndex, 6)
}

// What a fetch returns is dropped if it is not wanted any more: the follower has moved, or this node no longer leads.
func TestAFetchThatIsNoLongerWanted(t *testing.T) {
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	part := s.part(f)
	s.Fetched(Fetch{Peer: 2, From: 1}, s.part(Fetch{Peer: 2, From: 1, MaxEntries: 1, MaxBytes: 1}), nil)
	wantEqual(t, "appends after the report of an earlier term", len(s.take()), 0)
	wantEqual(t, "fetches after it", len(s.fetched), 0)
	// It has the start of the tail after all.
	m := the(t, appends(s.step(success(the(t, heartbeats(s.ticks(testHeartbeatTicks), 2)))), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 3)
	s.Fetched(f, part, nil)
	wantEqual(t, "messages", len(s.take()), 0)

	s, f = leadTail(t, 2, 0)
	s.ask(Message{Type: MsgAppendEntries, From: 3, Term: s.term + 1, PrevLogIndex: 6, PrevLogTerm: 3})
	s.Fetched(f, s.part(f), nil)
	s.Fetched(f, Log{}, ErrRemoved)
	wantEqual(t, "messages", len(s.take()), 0)
	wantEqual(t, "first index", s.Status().FirstIndex, 1)
}

func TestAFetchThatFails(t *testing.T) {
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	s.Fetched(f, Log{}, errors.New("cannot read"))
	wantEqual(t, "ready", s.HasReady(), false) // no spinning
	sent := s.ticks(testHeartbeatTicks)
	s.step(rejection(the(t, heartbeats(sent, 2)), 2, 0))
	s.ticks(1)
	s.readDisk(s.fetched)

	s, f = leadTail(t, 2, 0)
	s.disk.cut(3)
	s.readDisk([]Fetch{f})
	wantEqual(t, "state", s.Status().Progress[0].State, "snapshot")
	wantSlice(t, "snapshot for", s.snapshotFor, []NodeID{2})

	s, f = leadTail(t, 2, 0)
	part := s.part(f)
	wantPanic(t, "entries from 2 on were fetched", func() { s.Fetched(f, Log{Start: part.Start}, nil) })
}

// Below the tail the leader does not have the terms, so it goes where the response points, and always backwards (trap
// T19).
func TestConflictsBeforeTheTail(t *testing.T) { // T19
	t.Parallel()
	s, f := leadTail(t, 3, 1)
	wantEqual(t, "fetched from", f.From, 3)
	m := the(t, appends(s.readDisk([]Fetch{f}), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 2)
	s.step(rejection(m, 9, 1)) // a response that is of no use
	m = the(t, appends(s.readDisk(s.fetched), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 1)
	s.step(success(m))
	wantEqual(t, "state", s.Status().Progress[0].State, "replicate")
}

// Even if the leader's tail follows an entry of the term that the follower has there, where they differ is before it.
func TestAConflictOfTheTermAtTheTail(t *testing.T) { // T19
	t.Parallel()
	s := newTail(t, 4, 1, 1, 2, 2, 2, 3)
	s.step(rejection(the(t, appends(s.lead(), 2)), 4, 0))
	m := the(t, appends(s.readDisk(s.fetched), 2))
	wantEqual(t, "index before the entries", m.PrevLogIndex, 3)
	s.step(rejection(m, 2, 2))
	wantEqual(t, "fetched from", s.fetched[0].From, 2)
}

// An append is in flight when the tail is cut and the disk behind it. Its rejection still finds the place.
func TestTheTailIsCutWhileAppendsAreInFlight(t *testing.T) {
	t.Parallel()
	cut := func() (*solo, Message) {
		s := newTail(t, 1, 1, 1, 1, 1)
		sent := s.lead()
		m := the(t, appends(sent, 2))
		s.step(success(the(t, appends(sent, 3))))
		s.Core.cfg.MaxTailBytes = 1
		s.replicate("6")
		wantEqual(t, "start of the tail", s.TailStart() >= 4, true)
		return s, m
	}
	s, m := cut()
	s.step(rejection(m, 3, 0))
	wantEqual(t, "fetched from", s.fetched[0].From, 3)

	s, m = cut()
	s.Removed(3)
	s.step(rejection(m, 3, 0))
	wantEqual(t, "state", s.Status().Progress[0].State, "snapshot")

	s, m = cut()
	s.Removed(3)
	s.step(success(m))
	wantEqual(t, "state", s.Status().Progress[0].State, "replicate")
}

// An append that was damaged in transit counts for nothing, from the disk or from memory that was dropped since.
func TestAnAcknowledgementFromBeforeTheTailIsCompared(t *testing.T) { // T54
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	m := the(t, appends(s.readDisk([]Fetch{f}), 2))
	r := addressed(success(m), 1)
	r.MatchDigest = 4711
	s.log.dropUpTo(5)
	var diverged *DivergedError
	if err := s.Step(r); !errors.As(err, &diverged) {
		t.Fatalf("got %v, want a DivergedError", err)
	}
	wantEqual(t, "index", diverged.Index, 3)
	wantEqual(t, "term", diverged.Term, 2)
	wantEqual(t, "match", s.progressOf(2).match, 0)
	r.MatchDigest = s.disk.positionAt(3).Digest
	s.step(r)
	wantEqual(t, "match", s.progressOf(2).match, 3)
}

// The heartbeats of a follower that is behind the tail carry the start of the tail. It rejects them, which is no sign
// of lost data.
func TestHeartbeatsToAFollowerBehindTheTail(t *testing.T) {
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	s.step(success(the(t, appends(s.readDisk([]Fetch{f}), 2)))) // to 3, the start of the tail
	s.log.dropUpTo(5)
	beat := the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "index that the heartbeat carries", beat.PrevLogIndex, 5)
	wantEqual(t, "commit index that it carries", beat.LeaderCommit, 5)
	s.step(rejection(beat, 4, 0))
	wantEqual(t, "state", s.Status().Progress[0].State, "replicate")
}

// The leadership goes to a follower that has to catch up from the disk, if that is quick enough.
func TestTransferToAFollowerBehindTheTail(t *testing.T) { // T11
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	if err := s.TransferLeadership(2); err != nil {
		t.Fatal(err)
	}
	m := the(t, appends(s.readDisk([]Fetch{f}), 2))
	m = the(t, appends(s.step(success(m)), 2))
	wantEqual(t, "asked", len(ofType(s.step(success(m)), MsgTimeoutNow)), 1)

	s, _ = leadTail(t, 2, 0)
	if err := s.TransferLeadership(2); err != nil {
		t.Fatal(err)
	}
	s.ticks(testElectionTicks)
	wantEqual(t, "target", s.Status().TransferTarget, 0)
}

// A proposal would not be sent at once to a follower that needs entries from the disk first.
func TestAFollowerBehindTheTailTakesNoProposals(t *testing.T) {
	t.Parallel()
	s, f := leadTail(t, 2, 0)
	wantEqual(t, "takes proposals", s.TakesProposals(), false) // node 3 has an append in flight
	m := the(t, appends(s.readDisk([]Fetch{f}), 2))
	m = the(t, appends(s.step(success(m)), 2))
	s.step(success(m))
	wantEqual(t, "takes proposals", s.TakesProposals(), true)
}
