package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// publishedIsSo: a node publishes nothing before it is so. The store holds the applied index that readers wait for
// (trap T41); the disk has the term of the view, in which this node asks the leader for read indexes; and a vote leaves
// only after the view has its term, or a question could follow the vote in the name of the older term (trap T43). The
// step of a node ends at every Preempt of package node, so this check looks between the publications of one pass too.
type publishedIsSo struct{}

func (c *publishedIsSo) promise() string { return "published is so" }

func (c *publishedIsSo) step(_ *World, l *look) error {
	if l.now.published > l.now.applied {
		return fmt.Errorf("node %d publishes that it has applied %d, and its store holds %d", l.machine.id,
			l.now.published, l.now.applied)
	}
	if durable, _ := l.machine.disk.durable(); l.now.viewTerm > durable.Term {
		return fmt.Errorf("node %d publishes a view of term %d, and its disk has term %d", l.machine.id, l.now.viewTerm,
			durable.Term)
	}
	return nil
}

func (c *publishedIsSo) leaves(_ *World, from *machine, m *raft.Message) error {
	_, candidate, is := voteIn(m)
	if !is || from.process == nil || from.process.node == nil {
		return nil
	}
	if term := from.process.node.ViewTerm(); term < m.Term {
		return fmt.Errorf("node %d votes for node %d in term %d, and its published view is of term %d", from.id, candidate,
			m.Term, term)
	}
	return nil
}
