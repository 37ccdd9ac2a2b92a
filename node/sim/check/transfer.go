package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// wholeHandover: a leader orders another node to campaign only once that node has its whole log on the disk, and from
// then on takes no proposals until the transfer is over (thesis 3.10, trap T11). Breaking it loses nothing, but the
// cluster may be left with the longer log of a node that no longer leads, and the order costs an election.
type wholeHandover struct{ nodes perNode[handover] }

// handover is a transfer of which the order to campaign has left.
type handover struct {
	life int
	term raft.Term
	to   raft.NodeID
	last raft.Index // of the leader's log
}

func (c *wholeHandover) invariant() string { return "a leader hands over its whole log" }

func (c *wholeHandover) step(_ *Watch, l *Step) error {
	h := c.nodes.of(l.node.ID())
	if h.to == 0 {
		return nil
	}
	if l.Now.Life != h.life || l.Now.State.Term != h.term || l.Core.Status().TransferTarget != h.to {
		*h = handover{}
		return nil
	}
	if l.Now.Last != h.last {
		return fmt.Errorf("node %d told node %d to campaign when its log ended at %d, and took more proposals: it ends at %d",
			l.node.ID(), h.to, h.last, l.Now.Last)
	}
	return nil
}

func (c *wholeHandover) leaves(w *Watch, from Node, m *raft.Message) error {
	if m.Type != raft.MsgTimeoutNow || !from.Up() || from.Seen().State.Term != m.Term {
		return nil
	}
	*c.nodes.of(from.ID()) = handover{from.Life(), m.Term, m.To, from.Seen().Last}
	target := w.node(m.To)
	if target.Lost() {
		return nil // it had the log, and lost its disk since, which the leader cannot detect
	}
	_, log := target.Durable()
	term, held := log.Term(from.Seen().Last)
	if log.Last() < from.Seen().Last || held && term != from.Seen().LastTerm {
		return fmt.Errorf("node %d tells node %d to campaign, whose log on the disk ends at %d; its own ends at %d",
			from.ID(), m.To, log.Last(), from.Seen().Last)
	}
	return nil
}
