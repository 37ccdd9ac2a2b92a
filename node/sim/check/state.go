package check

import "fmt"

// equalStates: a node that has applied an index has the state, to the byte, that the committed log leads to there,
// whether it applied the log from its beginning, or went on from a checkpoint or from a snapshot (traps T44, T45). So
// nodes that have applied the same index hold the same state, and the same history: the digest covers both.
type equalStates struct{}

func (c *equalStates) invariant() string { return "byte-equal states" }

func (c *equalStates) step(w *Watch, l *Step) error {
	at := l.Now.Applied
	if w.Astray(l.node.ID()) || !l.NewLife() && at == l.Before.Applied {
		return nil
	}
	if at > w.Committed.Last() {
		return fmt.Errorf("node %d has applied entry %d, and %d are committed", l.node.ID(), at, w.Committed.Last())
	}
	if l.Store.Digest() != w.stateAt(at) {
		return fmt.Errorf("node %d has applied %d entries, and holds another state than the committed log leads to",
			l.node.ID(), at)
	}
	return nil
}
