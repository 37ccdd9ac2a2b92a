package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// durability: what is committed is on the disks of a majority, whether their machines are up or down: at the moment
// when it is committed for the first time (paper 5.3; traps T13, T14, T20), and ever after.
//
// What may be expected when disks are lost: a node may have acknowledged an entry, lost its disk, and the leader counts
// the acknowledgement that was on its way. That is right as long as this node never votes again under its id (trap
// T28): each majority that can still elect a leader contains one of the others that were counted. So a lost disk counts
// for what its node had in its log when it was lost, and for nothing after that. A damaged disk counts for what was
// durable on it: the damage cannot be the program's fault. Both are never so many that no majority of whole disks is
// left.
//
// A disk holds an entry only if it holds all before it as well, by Log Matching, so that the last committed entry
// stands for all: it is looked for again when a disk dropped something, and at each new life.
type durability struct {
	checked raft.Index
	disks   perNode[diskSeen]
}

// diskSeen is what a disk had last.
type diskSeen struct {
	state    raft.HardState
	last     raft.Index
	lastTerm raft.Term
	lost     raft.Index // where the log ended when the disk was lost; 0: it never was
}

func (c *durability) invariant() string { return "committed entries on a durable majority" }

func (c *durability) step(w *Watch, l *Step) error {
	recheck := c.look(l) || l.NewLife()
	for c.checked < w.Committed.Last() {
		c.checked++
		recheck = false
		if err := c.verify(w, c.checked, "is committed"); err != nil {
			return err
		}
	}
	if recheck && c.checked > 0 {
		return c.verify(w, c.checked, fmt.Sprintf("was committed, and after node %d dropped entries", l.node.ID()))
	}
	return nil
}

// look notes what is on the disk of the node that took a step. True if something is not there that was.
func (c *durability) look(l *Step) (dropped bool) {
	seen := c.disks.of(l.node.ID())
	state, log := l.node.Durable()
	if l.wiped(seen.state, state) {
		seen.lost = max(seen.lost, l.Before.Last)
	}
	term, held := log.Term(seen.last)
	dropped = log.Last() < seen.last || held && term != seen.lastTerm
	seen.state, seen.last = state, log.Last()
	seen.lastTerm, _ = log.Term(seen.last)
	return dropped
}

// verify checks that a majority has what was committed at an index.
func (c *durability) verify(w *Watch, i raft.Index, what string) error {
	e, copies, lost := w.Committed.at(i), 0, 0
	for _, m := range w.nodes {
		switch {
		case holds(m, e) && !w.differsUpTo(m, i):
			copies++
		case c.lostWith(m, i):
			lost++
		}
	}
	if copies+lost >= w.quorum() {
		return nil
	}
	return fmt.Errorf("entry %s %s, it is durable on %d of %d nodes, and on %d whose disks were lost",
		EntryName(e), what, copies, len(w.nodes), lost)
}

// lostWith reports whether a machine may have held what was committed at an index on a disk that was lost: since its
// node was seen last, or before.
func (c *durability) lostWith(m Node, i raft.Index) bool {
	if !m.Up() {
		if state, _ := m.Durable(); state.Term == 0 && m.Seen().State.Term > 0 && i <= m.Seen().Last {
			return true
		}
	}
	return i <= c.disks.of(m.ID()).lost
}

// holds reports whether a committed entry is durable on the disk of a node, or was removed there.
func holds(n Node, e *raft.Entry) bool {
	_, log := n.Durable()
	own := log.Entry(e.Index)
	return e.Index <= log.Start.Index || own != nil && SameEntry(own, e)
}
