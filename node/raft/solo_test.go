package raft

import (
	"errors"
	"strings"
	"testing"
)

// solo is one core; the test sends the messages of its peers.
type solo struct {
	testNode
	t testing.TB

	fetched     []Fetch  // what the last step, or the last ticks, asked to read
	snapshotFor []NodeID // and the followers to send a snapshot to
}

// newSolo starts node 1 of voters 1 to n from its disk.
func newSolo(t testing.TB, n int, state HardState, log []Entry, adjust ...func(*Config)) *solo {
	t.Helper()
	return newSoloFrom(t, n, state, Log{Entries: log}, adjust...)
}

// newSoloFrom starts node 1 of voters 1 to n from a disk whose log need not begin at index 1.
func newSoloFrom(t testing.TB, n int, state HardState, log Log, adjust ...func(*Config)) *solo {
	t.Helper()
	var voters []NodeID
	for id := NodeID(1); id <= NodeID(n); id++ {
		voters = append(voters, id)
	}
	cfg := testConfig(1, voters, 3)
	for _, f := range adjust {
		f(&cfg)
	}
	core, err := New(cfg, state, log)
	if err != nil {
		t.Fatalf("the core does not start: %v", err)
	}
	from := disk{state: state, start: log.Start, log: log.Entries}
	return &solo{testNode: testNode{Core: core, cfg: cfg, disk: from}, t: t}
}

// take handles every Ready and returns the messages that were sent.
func (s *solo) take() []Message {
	s.t.Helper()
	var sent []Message
	s.fetched, s.snapshotFor = nil, nil
	for s.HasReady() {
		rd := s.Ready()
		s.fetched, s.snapshotFor = append(s.fetched, rd.Fetches...), append(s.snapshotFor, rd.SnapshotTo...)
		sent = append(sent, rd.Messages...)
		if rd.MustSave {
			s.disk.save(rd)
		}
		sent = append(sent, rd.AfterSave...)
		s.applied = append(s.applied, rd.Committed...)
		s.reads = append(s.reads, rd.Reads...)
		s.dropped = append(s.dropped, rd.DroppedReads...)
		s.Advance(rd)
		if len(sent) > 10000 {
			s.t.Fatal("the core never stops sending")
		}
	}
	return sent
}

// step delivers a message, from node 2 by default, and returns the messages that were sent.
func (s *solo) step(m Message) []Message {
	s.t.Helper()
	m.To = s.id
	if m.From == 0 {
		m.From = 2
	}
	if m.Type == MsgAppendEntriesResponse {
		m.Level = HighestLevel
	}
	if err := s.Step(m); err != nil {
		s.t.Fatalf("%+v is refused: %v", m, err)
	}
	return s.take()
}

// ask delivers a request and returns its response, of which there must be exactly one.
func (s *solo) ask(m Message) Message {
	s.t.Helper()
	m.Tag = 4711
	var response *Message
	for _, sent := range s.step(m) {
		if sent.IsResponse() {
			if response != nil {
				s.t.Fatalf("two answers to %+v", m)
			}
			response = &sent
		}
	}
	if response == nil {
		s.t.Fatalf("no answer to %+v", m)
	}
	wantEqual(s.t, "type of the answer", response.Type, m.Type+1)
	wantEqual(s.t, "tag of the answer", response.Tag, m.Tag)
	return *response
}

// ticks ticks n times and returns the messages that were sent.
func (s *solo) ticks(n int) []Message {
	s.t.Helper()
	var sent []Message
	var fetched []Fetch
	var snapshotFor []NodeID
	for range n {
		s.Tick()
		sent = append(sent, s.take()...)
		fetched, snapshotFor = append(fetched, s.fetched...), append(snapshotFor, s.snapshotFor...)
	}
	s.fetched, s.snapshotFor = fetched, snapshotFor
	return sent
}

// campaign ticks until the core requests pre-votes.
func (s *solo) campaign() {
	s.t.Helper()
	for range 2*s.cfg.ElectionTicks + 1 {
		s.ticks(1)
		if s.role == PreCandidate {
			return
		}
	}
	s.t.Fatalf("no election began: %+v", s.Status())
}

// stand campaigns and wins the pre-vote, so that the core is a candidate.
func (s *solo) stand() {
	s.t.Helper()
	s.campaign()
	for id := NodeID(2); s.role == PreCandidate; id++ {
		s.step(Message{Type: MsgRequestVoteResponse, From: id, Term: s.term + 1, PreVote: true, VoteGranted: true})
	}
	wantEqual(s.t, "role", s.role, Candidate)
}

// lead stands and wins, and returns the AppendEntries with the no-op.
func (s *solo) lead() []Message {
	s.t.Helper()
	s.stand()
	var sent []Message
	for id := NodeID(2); s.role == Candidate; id++ {
		sent = s.step(Message{Type: MsgRequestVoteResponse, From: id, Term: s.term, VoteGranted: true})
	}
	wantEqual(s.t, "role", s.role, Leader)
	return sent
}

// success is the response of a follower that accepted an AppendEntries.
func success(m Message) Message {
	return Message{
		Type: MsgAppendEntriesResponse, From: m.To, Term: m.Term, Success: true,
		MatchIndex: m.PrevLogIndex + Index(len(m.Entries)), RequestID: m.RequestID, ReadSeq: m.ReadSeq,
		SentAt: m.SentAt,
	}
}

// rejection is the response of a follower whose log conflicts with an AppendEntries.
func rejection(m Message, index Index, term Term) Message {
	return Message{
		Type: MsgAppendEntriesResponse, From: m.To, Term: m.Term,
		ConflictIndex: index, ConflictTerm: term, RequestID: m.RequestID, ReadSeq: m.ReadSeq,
		SentAt: m.SentAt,
	}
}

// appends returns the AppendEntries with entries for a node; heartbeats those without.
func appends(sent []Message, to NodeID) []Message { return appendsWhere(sent, to, false) }

func heartbeats(sent []Message, to NodeID) []Message { return appendsWhere(sent, to, true) }

func appendsWhere(sent []Message, to NodeID, empty bool) []Message {
	var found []Message
	for _, m := range sent {
		if m.Type == MsgAppendEntries && m.To == to && m.IsHeartbeat() == empty {
			found = append(found, m)
		}
	}
	return found
}

// the returns the only message, and fails if there are more or none.
func the(t testing.TB, messages []Message) Message {
	t.Helper()
	if len(messages) != 1 {
		t.Fatalf("got %d messages, want one: %+v", len(messages), messages)
	}
	return messages[0]
}

// ofType returns the messages of a type.
func ofType(sent []Message, kind MessageType) []Message {
	var found []Message
	for _, m := range sent {
		if m.Type == kind {
			found = append(found, m)
		}
	}
	return found
}

// wantPanic checks that f panics with a message that contains a text.
func wantPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		message, ok := recover().(string)
		if !ok || !strings.Contains(message, text) {
			t.Fatalf("panic %q, want one with %q", message, text)
		}
	}()
	f()
}

// wantRefused checks that a message is refused and changes nothing.
func wantRefused(t *testing.T, s *solo, m Message) {
	t.Helper()
	before := s.Status()
	if err := s.Step(m); !errors.Is(err, ErrBadMessage) {
		t.Fatalf("%+v: got %v, want ErrBadMessage", m, err)
	}
	if after := s.Status(); after.Term != before.Term || after.Role != before.Role || s.HasReady() {
		t.Fatalf("%+v was refused but changed %+v to %+v", m, before, after)
	}
}
