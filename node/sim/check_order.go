package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// coreOrder: what a node says of itself fits together: applied <= commit <= last, and no entry is of a term that the
// node has not reached. A leader only ever appends to its log (paper, figure 3: Leader Append-Only), entries of its own
// term alone, beginning with a no-op when it is elected (paper, section 8; trap T38).
type coreOrder struct{}

func (c *coreOrder) promise() string { return "core order" }

func (c *coreOrder) step(_ *World, l *look) error {
	n, id := &l.now, l.machine.id
	switch {
	case n.state.Commit > n.last:
		return fmt.Errorf("node %d: the commit index is %d, but its log ends at %d", id, n.state.Commit, n.last)
	case n.applied > n.state.Commit:
		return fmt.Errorf("node %d has applied entry %d, but its commit index is %d", id, n.applied, n.state.Commit)
	case n.lastTerm > n.state.Term:
		return fmt.Errorf("node %d has an entry of term %d, but is only in term %d", id, n.lastTerm, n.state.Term)
	case n.role == raft.Leader && n.lastTerm != n.state.Term:
		return fmt.Errorf("node %d leads term %d, but its log ends with an entry of term %d: its no-op is missing",
			id, n.state.Term, n.lastTerm)
	case n.role == raft.Leader && !l.elected():
		return c.appended(l)
	}
	return nil
}

// appended looks at what a leader did to its log since the last step.
func (c *coreOrder) appended(l *look) error {
	before, n := &l.before, &l.now
	if n.last < before.last || l.logCut() {
		return fmt.Errorf("node %d leads term %d, and its log lost its entry (%d, term %d)",
			l.machine.id, n.state.Term, before.last, before.lastTerm)
	}
	for i := before.last + 1; i <= n.last; i++ {
		if term, _ := l.core.TermAt(i); term != n.state.Term {
			return fmt.Errorf("node %d leads term %d, and appended entry %d with term %d",
				l.machine.id, n.state.Term, i, term)
		}
	}
	return nil
}
