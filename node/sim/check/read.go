package check

import (
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// LinearizableRead checks a read that has waited for its turn, on a node that has applied so much: it sees all that any
// node had committed when it came (thesis 6.4). The clients see a stale read only if it is about a key that just
// changed; this sees the others.
func (w *Watch) LinearizableRead(id raft.NodeID, committed, applied raft.Index) *Failure {
	if applied >= committed {
		return nil
	}
	return fail("a linearizable read sees all that was committed",
		"node %d serves one that has waited, and has applied %d; when it came, %d was committed", id, applied, committed)
}

// BoundedRead checks a read that wants a revision, on a node that has applied so much.
func (w *Watch) BoundedRead(id raft.NodeID, revision uint64, applied raft.Index) *Failure {
	if uint64(applied) >= revision {
		return nil
	}
	return fail("a bounded read waits for its revision",
		"node %d serves one that wants revision %d, and has applied %d", id, revision, applied)
}

// RecentRead checks a read of a state in which a node had applied so much, and which counts as one of a moment.
func (w *Watch) RecentRead(id raft.NodeID, o *Operation, applied raft.Index, moment time.Duration) *Failure {
	c := recentReads{}
	if err := c.verify(w, id, applied, moment); err != nil {
		return fail(c.invariant(), "%v: %v", o, err)
	}
	return nil
}
