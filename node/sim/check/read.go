package check

import (
	"errors"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
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

// Backup checks a backup that was taken after a read barrier: it has all that any node had committed when the request
// came, and is the state that the committed log leads to at its index.
func (w *Watch) Backup(id raft.NodeID, committed raft.Index, store *kv.Store) *Failure {
	const invariant = "a backup is the state that the log leads to, with all that was committed before"
	at := raft.Index(store.Applied())
	switch {
	case at < committed:
		return fail(invariant, "node %d returns one of entry %d; when the request came, %d was committed", id, at, committed)
	case at > w.Committed.Last() || store.Digest() != w.stateAt(at):
		return fail(invariant, "node %d returns one of entry %d that is not the state that the log leads to there", id, at)
	}
	return nil
}

// BoundedRead checks a read that wants a revision, on a node that has applied so much.
func (w *Watch) BoundedRead(id raft.NodeID, revision uint64, applied raft.Index) *Failure {
	if uint64(applied) >= revision {
		return nil
	}
	return fail("a bounded read waits for its revision",
		"node %d serves one that wants revision %d, and has applied %d", id, revision, applied)
}

// PastRead checks how a node that has applied so much answers a read as of a revision: as every other node does that
// has applied as much. What it returns is judged with the history.
func (w *Watch) PastRead(id raft.NodeID, o *Operation, applied raft.Index, answer error) *Failure {
	oldest := uint64(0)
	if applied > 0 {
		w.reference.follow(&w.Committed, applied)
		oldest = w.reference.oldest[applied-1]
	}
	want := ""
	switch {
	case o.At > uint64(applied):
		want = fmt.Sprintf("the future of %d", applied)
	case o.At < oldest:
		want = fmt.Sprintf("compacted to %d", oldest)
	}
	got := ""
	var future *kv.FutureError
	var compacted *kv.CompactedError
	switch {
	case errors.As(answer, &future):
		got = fmt.Sprintf("the future of %d", future.Applied)
	case errors.As(answer, &compacted):
		got = fmt.Sprintf("compacted to %d", compacted.Oldest)
	case answer != nil:
		got = answer.Error()
	}
	if got == want {
		return nil
	}
	return fail("the history is the same on every node", "%v: node %d has applied %d, and answers %q; by the log it is %q",
		o, id, applied, got, want)
}

// RecentRead checks a read of a state in which a node had applied so much, and which counts as one of a moment.
func (w *Watch) RecentRead(id raft.NodeID, o *Operation, applied raft.Index, moment time.Duration) *Failure {
	c := recentReads{}
	if err := c.verify(w, id, applied, moment); err != nil {
		return fail(c.invariant(), "%v: %v", o, err)
	}
	return nil
}
