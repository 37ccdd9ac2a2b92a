package raft

import (
	"errors"
	"math"
	"testing"
)

// fuzzInput turns bytes into small numbers, and returns zeros after the end.
type fuzzInput struct{ data []byte }

func (in *fuzzInput) next(n int) int {
	if len(in.data) == 0 {
		return 0
	}
	b := in.data[0]
	in.data = in.data[1:]
	return int(b) % n
}

// number returns a small number, and sometimes one at the limit of the range.
func (in *fuzzInput) number(n int) uint64 {
	if len(in.data) > 0 && in.data[0] >= 0xfa {
		edges := []uint64{maxNumber, maxNumber + 1, fullTermBudget, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64}
		return edges[in.next(256)-0xfa]
	}
	return uint64(in.next(n))
}

// message returns any message, mostly a plausible one.
func (in *fuzzInput) message(s *solo) Message {
	m := Message{
		Type: MessageType(in.next(8)), From: NodeID(in.next(5)), To: 1,
		Term: s.term + Term(in.number(4)) - 1, Tag: 1,
		LastLogIndex: Index(in.number(8)), LastLogTerm: Term(in.number(6)),
		PrevLogIndex: Index(in.number(8)), LeaderCommit: Index(in.number(10)), MatchIndex: Index(in.number(10)),
		ConflictIndex: Index(in.number(12)), ConflictTerm: Term(in.number(6)),
		RequestID: in.number(16), ReadSeq: in.number(4),
	}
	flags := in.next(32)
	m.PreVote, m.Transfer, m.VoteGranted, m.Success = flags&1 > 0, flags&2 > 0, flags&4 > 0, flags&8 > 0
	m.PrevLogTerm, _ = s.TermAt(m.PrevLogIndex)
	if flags&16 > 0 {
		m.PrevLogTerm = Term(in.number(6))
	}
	term := m.PrevLogTerm
	for i := range in.next(4) {
		term += Term(in.number(3))
		m.Entries = append(m.Entries, entriesFrom(m.PrevLogIndex+Index(1+i), term)...)
		if in.next(4) == 1 {
			m.Entries[i] = configEntry(m.Entries[i].Index, term, in.configuration())
		}
	}
	m.RemovedBy = Index(in.number(12)) / 8 // mostly 0
	return m
}

// configuration returns any configuration, valid or not.
func (in *fuzzInput) configuration() Configuration {
	var cfg Configuration
	for id := NodeID(1); id <= 5; id++ {
		if role := in.next(5); role < 3 {
			m := memberAt(id)
			m.Role, m.AutoPromote = MemberRole(role), in.next(2) == 0
			cfg.Members, cfg.LastID = append(cfg.Members, m), id
		}
		if in.next(8) == 1 {
			cfg.Outgoing = append(cfg.Outgoing, id)
		}
	}
	cfg.LastID += NodeID(in.next(2))
	return cfg
}

// change returns any change of a configuration.
func (in *fuzzInput) change(current Configuration) Change {
	change := Change{Expected: current.Index + Index(in.next(8)/7), Force: in.next(2) == 0}
	for id := NodeID(1); id <= 5; id++ {
		switch in.next(8) {
		case 1:
			change.Promote = append(change.Promote, id)
		case 2:
			change.Remove = append(change.Remove, id)
		case 3:
			change.Update = append(change.Update, Member{ID: id, Address: "http://new:7080"})
		case 4:
			change.Add = append(change.Add, memberAt(current.LastID+id))
		}
	}
	return change
}

// FuzzStep steps a core through arbitrary messages. Each is refused or answered exactly once, and the core keeps its
// invariants: committed entries stay as they are, and no message makes the core panic.
func FuzzStep(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("follower, candidate, leader"))
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4})
	f.Add([]byte{2, 7, 3, 2, 1, 0, 0, 1, 9, 0, 0, 0, 5, 0, 16, 5, 2, 1, 0, 7, 5, 3, 1, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &fuzzInput{data[:min(len(data), 4096)]} // each step reads the whole log
		voters := in.next(10)
		log := Log{Entries: logOf(1, 1, 3)}
		if voters >= 5 {
			log = cutLog(log.Entries, 1)
		}
		s := newSoloFrom(t, 1+voters%5, HardState{Term: 3, Commit: 1}, log, func(cfg *Config) {
			cfg.MaxInflightMessages, cfg.ElectionTicks, cfg.HeartbeatTicks = 3, 3, 1
			cfg.MaxTailBytes = 1 + in.next(8)*entryMemory
		})
		s.take()
		for len(in.data) > 0 {
			before := s.Status()
			fuzzOnce(t, in, s)
			s.take()
			fuzzInvariants(t, s, before)
		}
	})
}

func fuzzOnce(t *testing.T, in *fuzzInput, s *solo) {
	t.Helper()
	switch in.next(10) {
	case 0:
		s.ticks(1)
	case 9:
		if _, _, err := s.ProposeChange(in.change(*s.members.current)); err != nil {
			if err := checkRefusal(&s.testNode, Change{Expected: s.members.current.Index + 1}, err); err != nil {
				t.Fatal(err)
			}
		}
	case 8:
		fuzzHousekeeping(t, in, s)
	case 1:
		_, _, err := s.Propose(1, [][]byte{{byte(in.next(256))}})
		if err != nil && s.role == Leader && s.Status().TransferTarget == 0 {
			t.Fatal(err)
		}
	case 2:
		_, err := s.ReadIndex()
		wantEqual(t, "read accepted", err == nil, s.role == Leader)
		s.ReportUnreachable(NodeID(in.next(5)))
		s.ReadIndexFor(NodeID(in.next(5)), s.term+Term(in.number(3))-1)
	case 3:
		_ = s.TransferLeadership(NodeID(in.next(5))) // any answer is right here
	default:
		m := in.message(s)
		err := s.Step(m)
		if err != nil && !errors.Is(err, ErrBadMessage) && !errors.Is(err, ErrDiverged) {
			t.Fatal(err)
		}
		answers := 0
		for _, sent := range s.take() {
			if sent.IsResponse() && sent.Tag == 1 && sent.Type == m.Type+1 && sent.To == m.From {
				answers++
			}
		}
		wanted := 0
		if err == nil && !m.IsResponse() {
			wanted = 1
		}
		wantEqual(t, "answers", answers, wanted)
	}
}

// fuzzHousekeeping removes entries from the disk, reports fetches and snapshots, wanted or not, and restores snapshots.
func fuzzHousekeeping(t *testing.T, in *fuzzInput, s *solo) {
	t.Helper()
	peer := NodeID(in.next(5))
	switch in.next(5) {
	case 0:
		to := s.disk.start.Index + Index(in.next(3))
		if to <= s.log.handed {
			s.disk.cut(to)
			s.Removed(to)
		}
	case 1:
		f := Fetch{Peer: peer, From: Index(1 + in.next(8)), MaxEntries: 1 + in.next(3), MaxBytes: 1 + in.next(20)}
		if f.From <= s.disk.whole().Last() {
			part, err := s.disk.read(f)
			s.Fetched(f, part, err)
		}
	case 2:
		s.SnapshotSent(peer, Index(in.number(12)))
	case 3:
		s.SnapshotFailed(peer)
	default:
		start := LogStart{Index: Index(in.number(12)), Digest: Digest(in.next(3))}
		start.Term = s.term - min(s.term, Term(in.next(3)))
		if term, digest, held := s.Digest(start.Index); held && in.next(2) == 0 {
			start.Term, start.Digest = term, digest
		}
		installed, err := s.restore(peer, snapshot{start: start})
		if err != nil && !errors.Is(err, ErrBadMessage) && !errors.Is(err, ErrDiverged) {
			t.Fatal(err)
		}
		wantEqual(t, "restored", installed && s.log.commit != start.Index, false)
	}
}

func fuzzInvariants(t *testing.T, s *solo, before Status) {
	t.Helper()
	after := s.Status()
	if after.Term < before.Term || after.Commit < before.Commit || after.Commit > after.LastIndex {
		t.Fatalf("%+v became %+v", before, after)
	}
	for _, p := range after.Progress {
		if p.Match >= p.Next || p.Match > after.LastIndex {
			t.Fatalf("progress %+v with a log up to %d", p, after.LastIndex)
		}
	}
	if s.members.current != s.log.configuration() || s.members.committed != s.log.committedConfiguration() {
		t.Fatalf("the membership is not that of the log: %+v", s.Membership())
	}
	for i, e := range s.disk.log {
		want := s.disk.start.Index + Index(1+i)
		if term, held := s.TermAt(want); e.Index != want || held && e.Term != term || !held && want > s.TailStart() {
			t.Fatalf("the disk has (%d, term %d) at %d", e.Index, e.Term, want)
		}
	}
	wantEqual(t, "last entry on the disk", s.disk.whole().Last(), after.LastIndex)
	for i, e := range s.applied { // once, and unchanged
		wantEqual(t, "index of a committed entry", e.Index, after.Commit-Index(len(s.applied)-1-i))
		if term, held := s.TermAt(e.Index); held {
			wantEqual(t, "term of a committed entry", term, e.Term)
		}
	}
	wantEqual(t, "entries returned as committed", s.log.handed, after.Commit)
	wantEqual(t, "first index", after.FirstIndex, s.disk.start.Index+1)
	if s.log.bytes > s.cfg.MaxTailBytes && s.log.settled-s.log.offset > 1 && s.log.settledBytes >= s.cfg.MaxTailBytes/4 {
		t.Fatalf("the tail takes %d bytes of %d, and %d may go", s.log.bytes, s.cfg.MaxTailBytes, s.log.settledBytes)
	}
}
