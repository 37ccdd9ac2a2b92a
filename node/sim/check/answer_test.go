package check

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestAnswersInTerm(t *testing.T) { // T18, T39
	t.Parallel()
	ask := func(term raft.Term, request, round uint64) raft.Message {
		return raft.Message{Type: raft.MsgAppendEntries, From: 1, To: 2, Term: term, RequestID: request, ReadSeq: round}
	}
	answer := func(term raft.Term, request, round uint64) raft.Message {
		m := ask(term, request, round)
		m.Type, m.From, m.To = raft.MsgAppendEntriesResponse, 2, 1
		return m
	}
	play(t, alone(func() checker { return &answersInTerm{} }), []tale{
		{"answers, also late and in another order", 2, func(s *stage) string {
			return all(s.hears(ask(1, 1, 1)), s.hears(ask(1, 2, 1)), s.hears(answer(1, 2, 1)), s.hears(answer(1, 1, 1)))
		}, false},
		{"a late answer in the term in which it was asked", 2, func(s *stage) string {
			return all(s.hears(ask(1, 9, 9)), s.hears(ask(2, 1, 0)), s.hears(answer(1, 9, 9)))
		}, false},
		{"an answer in a later term says only that", 2, func(s *stage) string {
			return all(s.hears(ask(1, 9, 9)), s.hears(answer(2, 0, 0)))
		}, false},
		{"an answer carries its number into a later term", 2, func(s *stage) string {
			return all(s.hears(ask(1, 9, 9)), s.hears(answer(2, 9, 0)))
		}, true},
		{"an answer carries its round into a term in which a lower one was asked", 2, func(s *stage) string {
			return all(s.hears(ask(1, 9, 9)), s.hears(ask(2, 9, 1)), s.hears(answer(2, 1, 9)))
		}, true},
		{"an answer to what was never asked", 2, func(s *stage) string {
			return all(s.hears(ask(1, 1, 1)), s.hears(answer(1, 2, 1)))
		}, true},
	})
}
