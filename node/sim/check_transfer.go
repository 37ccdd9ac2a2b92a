package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// wholeHandover: a leader tells another node to campaign only once that node has its whole log on the disk, and from
// then on takes no proposals until the transfer is over (thesis 3.10, trap T11). Breaking it loses nothing, but the
// cluster may be left with the longer log of a node that no longer leads, and the order costs an election.
type wholeHandover struct{ nodes perNode[handover] }

// handover is a transfer of which the order to campaign has left.
type handover struct {
	process *process
	term    raft.Term
	to      raft.NodeID
	last    raft.Index // of the leader's log
}

func (c *wholeHandover) promise() string { return "a leader hands over its whole log" }

func (c *wholeHandover) step(_ *World, l *look) error {
	h := c.nodes.of(l.machine.id)
	if h.to == 0 {
		return nil
	}
	if l.now.process != h.process || l.now.state.Term != h.term || l.core.Status().TransferTarget != h.to {
		*h = handover{}
		return nil
	}
	if l.now.last != h.last {
		return fmt.Errorf("node %d told node %d to campaign when its log ended at %d, and took more proposals: it ends at %d",
			l.machine.id, h.to, h.last, l.now.last)
	}
	return nil
}

func (c *wholeHandover) leaves(w *World, from *machine, m *raft.Message) error {
	if m.Type != raft.MsgTimeoutNow || from.seen.process != from.process || from.seen.state.Term != m.Term {
		return nil
	}
	*c.nodes.of(from.id) = handover{from.process, m.Term, m.To, from.seen.last}
	target := w.machine(m.To)
	if target.wiped || target.gone != "" {
		return nil // it had the log, and lost its disk since, of which the leader cannot know
	}
	_, entries := target.disk.durable()
	has := raft.Index(len(entries))
	if has < from.seen.last || entries[from.seen.last-1].Term != from.seen.lastTerm {
		return fmt.Errorf("node %d tells node %d to campaign, whose log on the disk ends at %d; its own ends at %d",
			from.id, m.To, has, from.seen.last)
	}
	return nil
}
