package raft

import (
	"errors"
	"testing"
)

// fuzzInput turns bytes into small numbers; a zero follows the end.
type fuzzInput struct{ data []byte }

func (in *fuzzInput) next(n int) int {
	if len(in.data) == 0 {
		return 0
	}
	b := in.data[0]
	in.data = in.data[1:]
	return int(b) % n
}

// message makes any message, mostly one that could be true.
func (in *fuzzInput) message(s *solo) Message {
	m := Message{
		Type: MessageType(in.next(8)), From: NodeID(in.next(5)), To: 1,
		Term: s.term + Term(in.next(4)) - 1, Tag: 1,
		LastLogIndex: Index(in.next(8)), LastLogTerm: Term(in.next(6)),
		PrevLogIndex: Index(in.next(8)), LeaderCommit: Index(in.next(10)), MatchIndex: Index(in.next(10)),
		ConflictIndex: Index(in.next(12)), ConflictTerm: Term(in.next(6)),
		RequestID: uint64(in.next(16)), ReadSeq: uint64(in.next(4)),
	}
	flags := in.next(32)
	m.PreVote, m.Transfer, m.VoteGranted, m.Success = flags&1 > 0, flags&2 > 0, flags&4 > 0, flags&8 > 0
	m.PrevLogTerm, _ = s.TermAt(m.PrevLogIndex)
	if flags&16 > 0 {
		m.PrevLogTerm = Term(in.next(6))
	}
	term := m.PrevLogTerm
	for i := range in.next(4) {
		term += Term(in.next(3))
		m.Entries = append(m.Entries, entriesFrom(m.PrevLogIndex+Index(1+i), term)...)
	}
	return m
}

// impossible tells whether a message contradicts what a majority decided: a second leader in a term (trap T10), or
// another entry where one is committed (T17). The core must stop there, so the fuzzer must not go there.
func impossible(s *solo, leaders map[Term]NodeID, m Message) bool {
	if m.Type != MsgAppendEntries && m.Type != MsgTimeoutNow || m.Term < s.term {
		return false
	}
	if leader, ok := leaders[m.Term]; ok && leader != m.From {
		return true
	}
	if t, ok := s.TermAt(m.PrevLogIndex); m.PrevLogIndex <= s.log.commit && ok && t != m.PrevLogTerm {
		return true
	}
	for _, e := range m.Entries {
		if t, ok := s.TermAt(e.Index); e.Index <= s.log.commit && ok && t != e.Term {
			return true
		}
	}
	return false
}

// FuzzStep feeds a core with messages that make no sense together. They are refused or answered, once each, and
// whatever they say the core keeps its own invariants.
func FuzzStep(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("follower, candidate, leader"))
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &fuzzInput{data[:min(len(data), 4096)]} // each step looks at the whole log
		s := newSolo(t, 1+in.next(5), HardState{Term: 3, Commit: 1}, logOf(1, 1, 3), func(cfg *Config) {
			cfg.MaxInflightMessages, cfg.ElectionTicks, cfg.HeartbeatTicks = 3, 3, 1
		})
		leaders := map[Term]NodeID{}
		for len(in.data) > 0 {
			fuzzOnce(t, in, s, leaders)
			if s.role == Leader {
				leaders[s.term] = s.id
			}
		}
	})
}

func fuzzOnce(t *testing.T, in *fuzzInput, s *solo, leaders map[Term]NodeID) {
	t.Helper()
	before := s.Status()
	switch in.next(8) {
	case 0:
		s.ticks(1)
	case 1:
		_, _, err := s.Propose(1, [][]byte{{byte(in.next(256))}})
		if err != nil && s.role == Leader && s.Status().TransferTarget == 0 {
			t.Fatal(err)
		}
	case 2:
		_, err := s.ReadIndex()
		wantEqual(t, "read accepted", err == nil, s.role == Leader)
		s.ReportUnreachable(NodeID(in.next(5)))
	case 3:
		_ = s.TransferLeadership(NodeID(in.next(5))) // any answer is right here
	default:
		m := in.message(s)
		if impossible(s, leaders, m) {
			return
		}
		answers := 0
		err := s.Step(m)
		for _, sent := range s.take() {
			if sent.IsResponse() && sent.Tag == 1 && sent.Type == m.Type+1 && sent.To == m.From {
				answers++
			}
		}
		if err != nil && !errors.Is(err, ErrBadMessage) {
			t.Fatal(err)
		}
		wanted := 0
		if err == nil && !m.IsResponse() {
			wanted = 1
		}
		if err == nil && m.Type == MsgAppendEntries && m.Term >= before.Term {
			leaders[m.Term] = m.From
		}
		wantEqual(t, "answers", answers, wanted)
	}
	s.take()
	fuzzInvariants(t, s, before)
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
	for i, e := range s.disk.log {
		if want := Index(1 + i); e.Index != want || e.Term != s.log.mustTerm(want) {
			t.Fatalf("the disk has (%d, term %d) at %d", e.Index, e.Term, want)
		}
	}
	wantEqual(t, "entries on the disk", Index(len(s.disk.log)), after.LastIndex)
	if n := len(s.applied); n > 0 {
		wantEqual(t, "entries handed out", Index(n), after.Commit)
	}
}
