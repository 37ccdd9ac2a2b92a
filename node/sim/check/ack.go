package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// durableAcks: a follower acknowledges only what is on its disk (trap T14) and what the leader has in its log at that
// place, so not the end of its own log (trap T15). Once its disk is in a later term, another leader may have replaced
// what a late acknowledgement is about, rightly: it is then no longer checked.
type durableAcks struct{ cores perNode[*raft.Core] }

func (c *durableAcks) invariant() string { return "acknowledged entries are durable" }

// step notes the cores, so that an acknowledgement can be compared with the log of the leader whom it is for.
func (c *durableAcks) step(_ *Watch, l *Step) error {
	*c.cores.of(l.node.ID()) = l.Core
	return nil
}

func (c *durableAcks) leaves(w *Watch, from Node, m *raft.Message) error {
	if m.Type != raft.MsgAppendEntriesResponse || !m.Success {
		return nil
	}
	state, log := from.Durable()
	switch {
	case state.Term > m.Term:
		return nil
	case state.Term < m.Term:
		return fmt.Errorf("node %d acknowledges entry %d in term %d, but its disk has term %d",
			from.ID(), m.MatchIndex, m.Term, state.Term)
	case m.MatchIndex > log.Last():
		return fmt.Errorf("node %d acknowledges entry %d, but the log on its disk ends at %d",
			from.ID(), m.MatchIndex, log.Last())
	}
	e := log.Entry(m.MatchIndex)
	if e == nil {
		return nil // nothing is acknowledged, or what was removed
	}
	return c.agrees(w.node(m.To), from, e, m.Term)
}

// agrees compares what was acknowledged with the leader's log, if it still leads that term.
func (c *durableAcks) agrees(leader, from Node, e *raft.Entry, term raft.Term) error {
	if !leads(leader) || leader.Seen().State.Term != term {
		return nil
	}
	core := *c.cores.of(leader.ID())
	if e.Index < core.TailStart() {
		return nil // it is committed there
	}
	if t, is := core.TermAt(e.Index); !is || t != e.Term {
		return fmt.Errorf("node %d acknowledges its entry %s, which the leader, node %d, does not have; "+
			"its log ends at %d", from.ID(), EntryName(e), leader.ID(), core.LastIndex())
	}
	return nil
}
