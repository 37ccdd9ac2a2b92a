package check

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestProgressGrows(t *testing.T) { // T18
	t.Parallel()
	// This begins a term of node 1 in which node 2 acknowledges its whole log, of two entries.
	office := func(s *stage) (*raft.Core, string) {
		begun := s.boot(1, in(1, 0), logOf(1), leading)
		core := s.elect(1)
		ack := raft.Message{
			Type: raft.MsgAppendEntriesResponse, From: 2, To: 1, Term: 2, Success: true, MatchIndex: 2,
			RequestID: 1, // the first that it sent
		}
		acknowledged := s.hears(ack)
		if err := core.Step(ack); err != nil {
			s.t.Fatal(err)
		}
		return core, all(begun, acknowledged)
	}
	appends := func(prev raft.Index) raft.Message {
		return raft.Message{Type: raft.MsgAppendEntries, From: 1, To: 2, Term: 2, PrevLogIndex: prev, PrevLogTerm: 2}
	}
	play(t, alone(func() checker { return &progressGrows{} }), []tale{
		{"a leader sends what comes after the last acknowledgement", 3, func(s *stage) string {
			_, begun := office(s)
			return all(begun, s.hears(appends(2)), s.hears(appends(2)))
		}, false},
		{"a leader sends again what was acknowledged", 3, func(s *stage) string {
			_, begun := office(s)
			return all(begun, s.hears(appends(1)))
		}, true},
		{"a leader counts what was acknowledged in another term", 3, func(s *stage) string {
			_, begun := office(s)
			s.w.checkers[0].(*progressGrows).said.of(1).of(2).term = 1
			return all(begun, s.hears(appends(2)))
		}, true},
		{"a leader knows less than before", 3, func(s *stage) string {
			_, begun := office(s)
			known := s.hears(appends(2))
			s.w.checkers[0].(*progressGrows).nodes.of(1).match.list[1]++ // one more than was acknowledged
			return all(begun, known, s.hears(appends(2)))
		}, true},
		{"a leader begins anew with a disk that replaces a lost one", 3, func(s *stage) string { // T28
			_, begun := office(s)
			known := s.hears(appends(2))
			s.w.checkers[0].(*progressGrows).nodes.of(1).match.list[1]++
			s.actor(2).lost = true
			return all(begun, known, s.hears(appends(2)))
		}, false},
		{"a restarted leader knows nothing", 3, func(s *stage) string {
			_, begun := office(s)
			known := s.hears(appends(2))
			again := s.boot(1, in(2, 0), logOf(1, 2), leading)
			return all(begun, known, again, s.hears(appends(0)))
		}, false},
	})
}
