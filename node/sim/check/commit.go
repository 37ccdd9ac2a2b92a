package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// stateMachineSafety: no two nodes commit different entries at one index, and what was committed once never changes
// (paper, figure 3). Committed holds what was committed first, and every commit index that moves is compared with it.
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

func (c *stateMachineSafety) invariant() string { return "state machine safety" }

func (c *stateMachineSafety) step(w *Watch, l *Step) error {
	seen := c.nodes.of(l.node.ID())
	seen.changes++
	if l.NewLife() || seen.changes%wholeEvery == 0 || l.logChanged() && l.logCut() {
		seen.to, *w.astray.of(l.node.ID()) = 0, false
	}
	if start, term := l.logStart(); seen.to < start {
		if err := startsCommitted(w, l, start, term); err != nil {
			return err
		}
		seen.to = start
	}
	commit := l.Now.State.Commit
	if commit <= seen.to {
		return nil
	}
	entries := l.entries(seen.to+1, commit)
	for i := range entries {
		e := &entries[i]
		if e.Index > w.Committed.Last() {
			w.Committed.add(entries[i:], l.Now.State.Term)
			break
		}
		switch first := w.Committed.at(e.Index); {
		case SameEntry(first, e):
		case w.Forged.isForged(first, e):
			*w.astray.of(l.node.ID()) = true // until it is found out
		default:
			return fmt.Errorf("node %d has committed %s, but %s was committed there before",
				l.node.ID(), EntryName(e), EntryName(first))
		}
	}
	seen.to = commit
	return nil
}

// startsCommitted looks at the entry before the first of a log: what was removed was committed.
func startsCommitted(w *Watch, l *Step, start raft.Index, term raft.Term) error {
	if start > w.Committed.Last() || w.Committed.at(start).Term != term {
		return fmt.Errorf("the log of node %d starts after entry %d of term %d, which was not committed",
			l.node.ID(), start, term)
	}
	return nil
}

// commitsOwnTerm: a leader moves its commit index only to an entry of its own term; those of older terms ride along
// (paper 5.4.2 and figure 8, trap T12). What breaks it loses entries only rarely, and later, so it is looked at itself.
type commitsOwnTerm struct{}

func (c *commitsOwnTerm) invariant() string { return "a leader commits its own term" }

func (c *commitsOwnTerm) step(_ *Watch, l *Step) error {
	before, now := &l.Before, &l.Now
	if now.Role != raft.Leader || l.Elected() || now.State.Commit == before.State.Commit {
		return nil // a follower that is elected in the same step may have received a commit index before
	}
	if term, _ := l.Core.TermAt(now.State.Commit); term != now.State.Term {
		return fmt.Errorf("node %d leads term %d, and moved its commit index from %d to entry %d, which is of term %d",
			l.node.ID(), now.State.Term, before.State.Commit, now.State.Commit, term)
	}
	return nil
}
