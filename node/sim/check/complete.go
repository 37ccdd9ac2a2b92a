package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// leaderCompleteness: whatever was committed in a term is in the log of every leader of a later term (paper, figure 3
// and 5.4.3; traps T3, T4, T12). A new leader must have the last such entry, and so all before it, by Log Matching; and
// when something is committed late, by a leader that has been deposed without noticing, the leaders of later terms must
// have it by then.
type leaderCompleteness struct {
	cores   perNode[*raft.Core] // of the last life
	checked raft.Index
}

func (c *leaderCompleteness) invariant() string { return "leader completeness" }

func (c *leaderCompleteness) step(w *Watch, l *Step) error {
	*c.cores.of(l.node.ID()) = l.Core
	if l.Elected() {
		if err := c.newLeader(w, l); err != nil {
			return err
		}
	}
	if c.checked == w.Committed.Last() {
		return nil
	}
	for _, m := range w.nodes {
		if !leads(m) {
			continue
		}
		for i := c.checked + 1; i <= w.Committed.Last(); i++ {
			if err := c.has(w, m, m.Seen().State.Term, i); err != nil {
				return err
			}
		}
	}
	c.checked = w.Committed.Last()
	return nil
}

// newLeader looks for the last entry that was committed in an earlier term.
func (c *leaderCompleteness) newLeader(w *Watch, l *Step) error {
	i := w.Committed.Last()
	for i > 0 && w.Committed.terms[i-1] >= l.Now.State.Term {
		i--
	}
	if i == 0 {
		return nil
	}
	return c.has(w, l.node, l.Now.State.Term, i)
}

// has reports whether the leader of a term has what was committed at an index, if that was in an earlier term.
func (c *leaderCompleteness) has(w *Watch, m Node, term raft.Term, i raft.Index) error {
	if w.Committed.terms[i-1] >= term {
		return nil
	}
	committed, core := w.Committed.at(i), *c.cores.of(m.ID())
	if i <= core.TailStart() {
		return nil // it was committed there and removed; stateMachineSafety looks at where a log starts
	}
	if t, is := core.TermAt(i); is && t == committed.Term && SameEntry(&core.Entries(i, i)[0], committed) {
		return nil
	} else if is && w.Forged.positions[position{i, t}] && t == committed.Term {
		return nil // a node whose log differs may be elected, and commits nothing
	}
	return fmt.Errorf("node %d leads term %d without entry %s, which was committed in term %d",
		m.ID(), term, EntryName(committed), w.Committed.terms[i-1])
}
