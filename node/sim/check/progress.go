package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// progressGrows: while a leader leads a term, what it counts a follower to hold only grows, is no more than the
// follower acknowledged in that term, and is not sent again (trap T18). Late answers, those of another term and those
// to an earlier request come often, and must not count. Breaking it rarely loses anything at once, but a leader can
// spin on it, and commits are counted by it. Of a follower whose disk was lost the leader may begin anew: the next disk
// acknowledged nothing.
type progressGrows struct {
	nodes perNode[knowledge]
	said  perNode[perNode[acknowledgement]] // to a leader, by a follower
}

// knowledge is the progress of its followers in a leader when it sent the last append.
type knowledge struct {
	core  *raft.Core
	term  raft.Term
	match perNode[raft.Index]
}

// acknowledgement is the most that a follower acknowledged in a term.
type acknowledgement struct {
	term  raft.Term
	match raft.Index
}

func (c *progressGrows) invariant() string { return "a leader has what was acknowledged" }

// step notes the core, so that it can be asked when a message leaves.
func (c *progressGrows) step(_ *Watch, l *Step) error {
	if k := c.nodes.of(l.node.ID()); k.core != l.Core {
		*k = knowledge{core: l.Core}
	}
	return nil
}

func (c *progressGrows) leaves(w *Watch, from Node, m *raft.Message) error {
	switch {
	case m.Type == raft.MsgAppendEntriesResponse && m.Success:
		said := c.said.of(m.To).of(from.ID())
		if m.Term > said.term {
			*said = acknowledgement{term: m.Term}
		}
		if m.Term == said.term {
			said.match = max(said.match, m.MatchIndex)
		}
	case m.Type == raft.MsgAppendEntries:
		return c.knows(w, from, m)
	}
	return nil
}

// Reads the progress of the followers in a leader that sends an append.
func (c *progressGrows) knows(w *Watch, from Node, m *raft.Message) error {
	k := c.nodes.of(from.ID())
	if k.core == nil || k.core.Term() != m.Term {
		return nil
	}
	if k.term != m.Term {
		*k = knowledge{core: k.core, term: m.Term}
	}
	for _, p := range k.core.Status().Progress {
		known, said := k.match.of(p.ID), *c.said.of(from.ID()).of(p.ID)
		if said.term != m.Term {
			said.match = 0
		}
		switch {
		case p.Match < *known && !w.node(p.ID).Lost():
			return fmt.Errorf("node %d leads term %d, and knew that node %d holds its log up to %d; now it takes it for %d",
				from.ID(), m.Term, p.ID, *known, p.Match)
		case p.Match > said.match:
			return fmt.Errorf("node %d leads term %d, and takes node %d to hold its log up to %d; it has acknowledged %d in "+
				"this term", from.ID(), m.Term, p.ID, p.Match, said.match)
		case p.ID == m.To && m.PrevLogIndex < p.Match:
			return fmt.Errorf("node %d leads term %d, and sends what follows %d to node %d, which has acknowledged %d",
				from.ID(), m.Term, m.PrevLogIndex, p.ID, p.Match)
		}
		*known = p.Match
	}
	return nil
}
