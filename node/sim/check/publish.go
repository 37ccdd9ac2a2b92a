package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// publishedIsSo: a node publishes nothing before it is so. The store holds the applied index that readers wait for
// (trap T41); the disk has the term of the view, in which this node asks the leader for read indexes; and a vote leaves
// only after the view has its term, or a question could follow the vote in the name of the older term (trap T43). The
// step of a node ends at every Preempt of package node, so this check looks between the publications of one pass too.
type publishedIsSo struct{}

func (c *publishedIsSo) invariant() string { return "published is so" }

func (c *publishedIsSo) step(_ *Watch, l *Step) error {
	if l.Now.Published > l.Now.Applied {
		return fmt.Errorf("node %d publishes that it has applied %d, and its store holds %d", l.node.ID(),
			l.Now.Published, l.Now.Applied)
	}
	if durable, _ := l.node.Durable(); l.Now.ViewTerm > durable.Term {
		return fmt.Errorf("node %d publishes a view of term %d, and its disk has term %d", l.node.ID(), l.Now.ViewTerm,
			durable.Term)
	}
	return nil
}

func (c *publishedIsSo) leaves(_ *Watch, from Node, m *raft.Message) error {
	_, candidate, is := voteIn(m)
	if !is {
		return nil
	}
	if term, runs := from.ViewTerm(); runs && term < m.Term {
		return fmt.Errorf("node %d votes for node %d in term %d, and its published view is of term %d", from.ID(), candidate,
			m.Term, term)
	}
	return nil
}
