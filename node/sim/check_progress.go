package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// progressGrows: while a leader leads a term, what it knows a follower to hold only grows, and it sends nothing that
// the follower acknowledged already (trap T18). Late answers, and those to an earlier request, come often; what they
// say must not count. Breaking it loses nothing by itself, but a leader can spin on it, and it is what commits are
// counted by.
type progressGrows struct{ nodes perNode[knowledge] }

// knowledge is what a leader knew of its followers when it sent an append last.
type knowledge struct {
	core  *raft.Core
	term  raft.Term
	match perNode[raft.Index]
}

func (c *progressGrows) promise() string { return "a leader forgets no acknowledgement" }

// step notes the core, so that it can be asked when a message leaves.
func (c *progressGrows) step(_ *World, l *look) error {
	if k := c.nodes.of(l.machine.id); k.core != l.core {
		*k = knowledge{core: l.core}
	}
	return nil
}

func (c *progressGrows) leaves(_ *World, from *machine, m *raft.Message) error {
	k := c.nodes.of(from.id)
	if m.Type != raft.MsgAppendEntries || k.core == nil || k.core.Term() != m.Term {
		return nil
	}
	if k.term != m.Term {
		*k = knowledge{core: k.core, term: m.Term}
	}
	for _, p := range k.core.Status().Progress {
		known := k.match.of(p.ID)
		if p.Match < *known {
			return fmt.Errorf("node %d leads term %d, and knew that node %d holds its log up to %d; now it takes it for %d",
				from.id, m.Term, p.ID, *known, p.Match)
		}
		*known = p.Match
		if p.ID == m.To && m.PrevLogIndex < p.Match {
			return fmt.Errorf("node %d leads term %d, and sends what follows %d to node %d, which has acknowledged %d",
				from.id, m.Term, m.PrevLogIndex, p.ID, p.Match)
		}
	}
	return nil
}
