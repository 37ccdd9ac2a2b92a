package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// coreOrder: what a node reports of itself is consistent: applied <= commit <= last, and no entry is of a term that the
// node has not reached. A leader only ever appends to its log (paper, figure 3: Leader Append-Only), entries of its own
// term alone, beginning with a no-op when it is elected (paper, section 8; trap T38).
type coreOrder struct{}

func (c *coreOrder) invariant() string { return "core order" }

func (c *coreOrder) step(_ *Watch, l *Step) error {
	n, id := &l.Now, l.node.ID()
	switch {
	case n.State.Commit > n.Last:
		return fmt.Errorf("node %d: the commit index is %d, but its log ends at %d", id, n.State.Commit, n.Last)
	case n.Applied > n.State.Commit:
		return fmt.Errorf("node %d has applied entry %d, but its commit index is %d", id, n.Applied, n.State.Commit)
	case n.LastTerm > n.State.Term:
		return fmt.Errorf("node %d has an entry of term %d, but is only in term %d", id, n.LastTerm, n.State.Term)
	case n.Role == raft.Leader && n.LastTerm != n.State.Term:
		return fmt.Errorf("node %d leads term %d, but its log ends with an entry of term %d: its no-op is missing",
			id, n.State.Term, n.LastTerm)
	case n.Role == raft.Leader && !l.Elected():
		return c.appended(l)
	}
	return nil
}

// appended looks at what a leader did to its log since the last step.
func (c *coreOrder) appended(l *Step) error {
	before, n := &l.Before, &l.Now
	if n.Last < before.Last || l.logCut() {
		return fmt.Errorf("node %d leads term %d, and its log lost its entry (%d, term %d)",
			l.node.ID(), n.State.Term, before.Last, before.LastTerm)
	}
	for i := before.Last + 1; i <= n.Last; i++ {
		if term, _ := l.Core.TermAt(i); term != n.State.Term {
			return fmt.Errorf("node %d leads term %d, and appended entry %d with term %d",
				l.node.ID(), n.State.Term, i, term)
		}
	}
	return nil
}
