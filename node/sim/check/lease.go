package check

import "fmt"

// leaseExcludes: while a node has a lease by its own clock, no other node is elected in a later term (trap T42). What
// is read under a lease is judged with the history as well; this sees what no client asked for. The clock of a process
// that is stopped goes on, so its lease ends meanwhile.
type leaseExcludes struct{}

func (c *leaseExcludes) invariant() string { return "a lease excludes other leaders" }

func (c *leaseExcludes) step(w *Watch, l *Step) error {
	if !l.Elected() {
		return nil
	}
	for _, n := range w.nodes {
		if term := n.LeaseTerm(); term > 0 && n.ID() != l.node.ID() && term < l.Now.State.Term {
			return fmt.Errorf("node %d is elected in term %d, and node %d has a lease in term %d", l.node.ID(),
				l.Now.State.Term, n.ID(), term)
		}
	}
	return nil
}
