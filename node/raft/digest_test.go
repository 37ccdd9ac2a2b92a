package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"testing"
)

// T54: the digest of a log depends on every part of every entry, and on their order.
func TestDigestCoversTheWholeLog(t *testing.T) {
	t.Parallel()
	log := func() []Entry {
		return []Entry{
			{Index: 1, Term: 1, Timestamp: 7, Command: []byte(`{"op":"noop"}`)},
			{Index: 2, Term: 1, Timestamp: 8, Command: []byte(`{"op":"set","key":"x","value":1}`)},
			{Index: 3, Term: 2, Timestamp: 9, Command: []byte(`{"op":"delete","key":"x"}`)},
		}
	}
	digest := func(entries []Entry) (d Digest) {
		for i := range entries {
			d = d.Extend(&entries[i])
		}
		return d
	}
	want := digest(log())
	changes := map[string]func(l []Entry){
		"index":     func(l []Entry) { l[1].Index = 5 },
		"term":      func(l []Entry) { l[0].Term = 2 },
		"timestamp": func(l []Entry) { l[2].Timestamp++ },
		"command":   func(l []Entry) { l[1].Command[30] = '2' },
		"order":     func(l []Entry) { l[0], l[1] = l[1], l[0] },
	}
	for name, change := range changes {
		changed := log()
		change(changed)
		if got := digest(changed); got == want {
			t.Errorf("another %s leaves the digest %08x as it is", name, got)
		}
	}
	if want == 0 || digest(log()[:2]) == want || digest(nil) != 0 {
		t.Errorf("digest %08x of three entries, %08x of two, %08x of none", want, digest(log()[:2]), digest(nil))
	}
}

// held is a follower in term 2 that holds three entries, the first of which is committed.
func held(t *testing.T) (*solo, []Entry) {
	t.Helper()
	entries := []Entry{
		{Index: 1, Term: 1, Timestamp: 1, Command: []byte(`"a"`)},
		{Index: 2, Term: 1, Timestamp: 2, Command: []byte(`"b"`)},
		{Index: 3, Term: 2, Timestamp: 3, Command: []byte(`"c"`)},
	}
	s := newSolo(t, 3, HardState{Term: 2, Commit: 1}, slices.Clone(entries))
	s.take()
	return s, entries
}

// digestOf returns the digest of a log.
func digestOf(entries ...Entry) Digest {
	d := Digest(0)
	for i := range entries {
		d = d.Extend(&entries[i])
	}
	return d
}

// wantDiverged checks that a message is refused because it shows another log at an index, and that nothing changes.
func wantDiverged(t *testing.T, s *solo, m Message, index Index) {
	t.Helper()
	before, log := s.Status(), s.terms()
	last := s.log.digest(s.log.last())
	var diverged *DivergedError
	if err := s.Step(m); !errors.As(err, &diverged) || !errors.Is(err, ErrDiverged) {
		t.Fatalf("%+v: got %v, want a DivergedError", m, err)
	}
	wantEqual(t, "index of the divergence", diverged.Index, index)
	wantEqual(t, "digest here", diverged.Ours, s.log.digest(index))
	wantEqual(t, "sender", diverged.Peer, m.From)
	wantEqual(t, "log", s.terms(), log)
	wantEqual(t, "digest of the log", s.log.digest(s.log.last()), last)
	if after := s.Status(); after.Term != before.Term || after.Leader != before.Leader || s.HasReady() {
		t.Fatalf("%+v was refused but changed %+v to %+v", m, before, after)
	}
}

// The digest at the end of the log, on a heartbeat or an append, detects a difference anywhere before it.
func TestADifferenceShowsAtTheNextHeartbeat(t *testing.T) { // T54, Log Matching
	t.Parallel()
	for i := range 3 {
		for name, change := range map[string]func(e *Entry){
			"command": func(e *Entry) { e.Command = []byte(`"x"`) }, "time": func(e *Entry) { e.Timestamp++ },
		} {
			s, entries := held(t)
			change(&entries[i])
			m := Message{
				Type: MsgAppendEntries, From: 2, To: 1, Term: 2, PrevLogIndex: 3, PrevLogTerm: 2,
				PrevLogDigest: digestOf(entries...),
			}
			t.Run(fmt.Sprintf("%s of entry %d", name, i+1), func(t *testing.T) {
				t.Parallel()
				wantDiverged(t, s, m, 3)
				m.Term = 3 // a later term is not entered either
				wantDiverged(t, s, m, 3)
				m.Entries = []Entry{{Index: 4, Term: 2, Command: []byte(`"d"`)}}
				wantDiverged(t, s, m, 3)
				m.PrevLogDigest = 0 // an older version sends none
				wantEqual(t, "success without a digest", s.ask(m).Success, true)
			})
		}
	}
}

// Committed entries are compared as well, so that damage to them is detected.
func TestADifferenceInCommittedEntriesShows(t *testing.T) { // T54
	t.Parallel()
	s, _ := held(t)
	m := Message{
		Type: MsgAppendEntries, From: 2, To: 1, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, PrevLogDigest: 4711,
	}
	wantDiverged(t, s, m, 1)
}

// A leader of an earlier term receives the current term, whatever its log holds.
func TestADifferenceDoesNotKeepTheTermFromAnOldLeader(t *testing.T) { // T54
	t.Parallel()
	s, _ := held(t)
	r := s.ask(Message{Type: MsgAppendEntries, Term: 1, PrevLogIndex: 1, PrevLogTerm: 1, PrevLogDigest: 4711})
	wantEqual(t, "success", r.Success, false)
	wantEqual(t, "term", r.Term, 2)
}

// A timestamp that the disk cannot keep makes no difference when its entry arrives a second time.
func TestATimestampIsComparedAsItIsKept(t *testing.T) { // T54
	t.Parallel()
	s, _ := held(t)
	m := Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 3, PrevLogTerm: 2}
	for range 2 {
		m.Entries = []Entry{{Index: 4, Term: 2, Timestamp: math.MaxInt64, Command: []byte(`"d"`)}}
		wantEqual(t, "success", s.ask(m).Success, true)
	}
}

// Another entry at an index and term that this node holds is not acknowledged: the first one stays.
func TestAForgedEntryDoesNotReplaceTheFirst(t *testing.T) { // T17, T54
	t.Parallel()
	for from := range Index(3) {
		for forged := from; forged < 3; forged++ {
			s, entries := held(t)
			m := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 2, PrevLogIndex: from, LeaderCommit: 3}
			m.PrevLogTerm, m.PrevLogDigest, _ = s.Digest(from)
			m.Entries = slices.Clone(entries[from:])
			genuine := m
			genuine.Entries = slices.Clone(m.Entries)
			m.Entries[forged-from].Command = []byte(`"forged"`)
			t.Run(fmt.Sprintf("entry %d after %d", forged+1, from), func(t *testing.T) {
				t.Parallel()
				wantDiverged(t, s, m, forged+1)
				r := s.ask(genuine)
				wantEqual(t, "success of the genuine one", r.Success, true)
				wantEqual(t, "match", r.MatchIndex, 3)
			})
		}
	}
}

// An entry of another term is an ordinary conflict, and the digest of its replacement is right.
func TestDigestsFollowAReplacedTail(t *testing.T) { // Log Matching
	t.Parallel()
	s, entries := held(t)
	entries = append(entries[:2], Entry{Index: 3, Term: 3, Command: []byte(`"new"`)})
	m := Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: 1, PrevLogTerm: 1, PrevLogDigest: digestOf(entries[0])}
	m.Entries = slices.Clone(entries[1:])
	wantEqual(t, "success", s.ask(m).Success, true)
	wantEqual(t, "digest", s.log.digest(3), digestOf(entries...))
	again := newSolo(t, 3, s.disk.state, s.disk.log)
	wantEqual(t, "digest after a restart", again.log.digest(3), digestOf(entries...))
}

// A timestamp that the disk cannot keep exactly is changed when it enters a log, so that all logs agree.
func TestTimestampsAreWhatTheDiskReturns(t *testing.T) { // T54
	t.Parallel()
	for _, timestamp := range []int64{
		math.MinInt64, -maxTimestamp - 1, -maxTimestamp, -1, maxTimestamp, maxTimestamp + 1, math.MaxInt64,
	} {
		net := newNetwork(t, 3)
		leader := net.elect(1)
		if _, _, err := leader.Propose(timestamp, [][]byte{[]byte(`"x"`)}); err != nil {
			t.Fatal(err)
		}
		net.settle()
		kept := net.nodes[2].disk.log[1].Timestamp
		if seconds := float64(kept) / 1e6; int64(math.Round(seconds*1e6)) != kept {
			t.Errorf("the log keeps %d, which a disk does not", kept)
		}
		if -maxTimestamp <= timestamp && timestamp <= maxTimestamp {
			wantEqual(t, "time stamp", kept, timestamp)
		}
		net.crash(2)
		net.restart(2)
		net.tick(testElectionTicks) // a heartbeat with the digest arrives: a refusal would fail the test
		for _, id := range net.ids() {
			wantEqual(t, "digest", net.nodes[id].log.digest(2), leader.log.digest(2))
		}
	}
}

// 0 stands for the empty log and for an absent digest, so no other log has it.
func TestNoEntryLeadsToTheDigestOfTheEmptyLog(t *testing.T) { // T54
	t.Parallel()
	e := Entry{Index: 1, Term: 1, Command: []byte{0x35, 0xb8, 0x58, 0x57}} // its CRC-32C is 0
	wantEqual(t, "digest", digestOf(e), 1)
}

// The digest is the CRC-32C of all entries in a row, and allocates no memory.
func TestDigestIsACRC(t *testing.T) {
	_, entries := held(t)
	var text []byte
	for _, e := range entries {
		text = binary.LittleEndian.AppendUint64(text, uint64(e.Index))
		text = binary.LittleEndian.AppendUint64(text, uint64(e.Term))
		text = binary.LittleEndian.AppendUint64(text, uint64(e.Timestamp))
		text = append(text, e.Command...)
	}
	wantEqual(t, "digest", digestOf(entries...), Digest(crc32.Checksum(text, castagnoli)))
	wantEqual(t, "allocations", testing.AllocsPerRun(100, func() { digestOf(entries...) }), 0)
}

// A leader counts what a follower acknowledged only if the follower has the leader's log. An append that was damaged
// in transit has the right index and term.
func TestAnAcknowledgementOfAnotherLogDoesNotCount(t *testing.T) { // T54
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	answer := success(appends(s.lead(), 2)[0])
	answer.To = 1
	answer.MatchDigest = s.log.digest(answer.MatchIndex) + 1
	wantDiverged(t, s, answer, answer.MatchIndex)
	wantEqual(t, "commit index", s.log.commit, 0)
	answer.MatchDigest--
	s.step(answer)
	wantEqual(t, "commit index after the right digest", s.log.commit, answer.MatchIndex)
}

func TestAcknowledgementCarriesTheDigest(t *testing.T) { // T54
	t.Parallel()
	s, entries := held(t)
	m := Message{
		Type: MsgAppendEntries, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, PrevLogDigest: digestOf(entries[0]),
		Entries: slices.Clone(entries[1:2]),
	}
	wantEqual(t, "digest of an append", s.ask(m).MatchDigest, digestOf(entries[:2]...)) // although the log is longer
	m.PrevLogIndex, m.PrevLogTerm, m.PrevLogDigest, m.Entries = 3, 2, digestOf(entries...), nil
	wantEqual(t, "digest of a heartbeat", s.ask(m).MatchDigest, digestOf(entries...))
	m.PrevLogIndex = 4
	wantEqual(t, "digest of a refusal", s.ask(m).MatchDigest, 0)
}

// A forged entry that is not committed is replaced: the other members prove it wrong, it is removed, and the leader
// sends the right one.
func TestWhatIsProvenWrongGoesUnlessItIsCommitted(t *testing.T) { // T54
	t.Parallel()
	s, entries := held(t)
	for _, i := range []Index{0, 1, 4} {
		wantEqual(t, fmt.Sprintf("whether entry %d goes", i), s.DropDiverged(i), false)
	}
	wantEqual(t, "log", s.terms(), "[1 1 2]")
	wantEqual(t, "whether entry 3 goes", s.DropDiverged(3), true)
	wantEqual(t, "log afterwards", s.terms(), "[1 1]") // a leader may have counted entry 2
	wantEqual(t, "whether entry 2 goes", s.DropDiverged(2), true)
	right := slices.Clone(entries[1:])
	right[1].Command = []byte(`"right"`)
	m := Message{
		Type: MsgAppendEntries, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, PrevLogDigest: digestOf(entries[0]),
		Entries: right, LeaderCommit: 3,
	}
	wantEqual(t, "whether the right ones are taken", s.ask(m).Success, true)
	wantEqual(t, "what the disk has", string(s.disk.log[2].Command), `"right"`)
	wantEqual(t, "whether a committed one goes", s.DropDiverged(3), false)
}

// Votes were granted to the log that the candidate had, and to that of the leader that it became.
func TestACandidateThatDropsItsLogStandsNoMore(t *testing.T) { // T54, paper 5.4.1
	t.Parallel()
	for name, prepare := range map[string]func(s *solo){"pre-candidate": (*solo).campaign, "candidate": (*solo).stand} {
		s, _ := held(t)
		prepare(s)
		wantEqual(t, name+": whether entry 3 goes", s.DropDiverged(3), true)
		wantEqual(t, name+": role", s.role, Follower)
		for id := NodeID(2); id <= 3; id++ {
			s.step(Message{Type: MsgRequestVoteResponse, From: id, Term: s.term, VoteGranted: true})
		}
		wantEqual(t, name+": role after late votes", s.role, Follower)
	}
	s, _ := held(t)
	s.lead()
	wantEqual(t, "whether a leader's entry goes", s.DropDiverged(3), true)
	wantEqual(t, "role of what was the leader", s.role, Follower)
	wantEqual(t, "leader", s.leader, 0)
	wantEqual(t, "log of what was the leader", s.terms(), "[1 1]")
}
