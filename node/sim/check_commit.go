package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// stateMachineSafety: no two nodes commit different entries at one index, and what was committed once never changes
// (paper, figure 3). The ledger holds what was committed first, and every commit index that moves is compared with it.
// Because a node applies nothing beyond its commit index (coreOrder), this holds for what is applied, too; that it
// applies just these entries is for equalStates to see.
//
// A committed prefix is compared as a whole again in each new life, when the log lost its end, and at each thousandth
// change of a node.
type stateMachineSafety struct{ nodes perNode[commitSeen] }

// commitSeen is how far a node was compared, and how often it changed.
type commitSeen struct {
	to      raft.Index
	changes int
}

func (c *stateMachineSafety) promise() string { return "state machine safety" }

func (c *stateMachineSafety) step(w *World, l *look) error {
	seen := c.nodes.of(l.machine.id)
	seen.changes++
	if l.newLife() || seen.changes%wholeEvery == 0 || l.logChanged() && l.logCut() {
		seen.to, l.machine.astray = 0, false
	}
	commit := l.now.state.Commit
	if commit <= seen.to {
		return nil
	}
	entries := l.core.Entries(seen.to+1, commit)
	for i := range entries {
		e := &entries[i]
		if e.Index > w.ledger.last() {
			w.ledger.add(entries[i:], l.now.state.Term)
			break
		}
		switch first := w.ledger.at(e.Index); {
		case sameEntry(first, e):
		case w.forgery.isForged(first, e):
			l.machine.astray = true // until it is found out
		default:
			return fmt.Errorf("node %d has committed %s, but %s was committed there before",
				l.machine.id, name(e), name(first))
		}
	}
	seen.to = commit
	return nil
}

// commitsOwnTerm: a leader moves its commit index only to an entry of its own term; those of older terms ride along
// (paper 5.4.2 and figure 8, trap T12). What breaks it loses entries only rarely, and later, so it is looked at itself.
type commitsOwnTerm struct{}

func (c *commitsOwnTerm) promise() string { return "a leader commits its own term" }

func (c *commitsOwnTerm) step(_ *World, l *look) error {
	before, now := &l.before, &l.now
	if now.role != raft.Leader || l.elected() || now.state.Commit == before.state.Commit {
		return nil // a follower that is elected in the same step may have heard of a commit before
	}
	if term, _ := l.core.TermAt(now.state.Commit); term != now.state.Term {
		return fmt.Errorf("node %d leads term %d, and moved its commit index from %d to entry %d, which is of term %d",
			l.machine.id, now.state.Term, before.state.Commit, now.state.Commit, term)
	}
	return nil
}
