package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// answersInTerm: the numbers in an answer to an append are those of a request that was made in the answer's own term
// (traps T18, T39). They begin anew in each term, so an answer to an older term's request that carried its numbers into
// this one could confirm a round of reads that no follower was asked about.
type answersInTerm struct{ leaders perNode[perNode[asked]] }

// asked is the last that a leader asked a follower.
type asked struct {
	term    raft.Term
	request uint64
	round   uint64
}

func (c *answersInTerm) invariant() string { return "answers count in their own term" }

// step sees nothing: all of it is in the messages.
func (c *answersInTerm) step(*Watch, *Step) error { return nil }

func (c *answersInTerm) leaves(_ *Watch, from Node, m *raft.Message) error {
	switch m.Type {
	case raft.MsgAppendEntries:
		a := c.leaders.of(from.ID()).of(m.To)
		if a.term != m.Term {
			*a = asked{term: m.Term}
		}
		a.request, a.round = max(a.request, m.RequestID), max(a.round, m.ReadSeq)
	case raft.MsgAppendEntriesResponse:
		a := *c.leaders.of(m.To).of(from.ID())
		if a.term > m.Term {
			return nil // a late answer, in a term that its reader has left
		}
		if a.term < m.Term {
			a = asked{}
		}
		if m.RequestID > a.request || m.ReadSeq > a.round {
			return fmt.Errorf("node %d answers request %d and read round %d of node %d in term %d, "+
				"in which it was asked no more than request %d and round %d",
				from.ID(), m.RequestID, m.ReadSeq, m.To, m.Term, a.request, a.round)
		}
	}
	return nil
}
