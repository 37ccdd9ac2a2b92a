package node

import (
	"sync"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// applyChunk is how many entries are applied under one lock, so that readers never wait long.
const applyChunk = 128

// applied is the state machine, and the queue of what must go into it.
type applied struct {
	mu    sync.RWMutex // guards store
	store *kv.Store
	index atomic.Uint64 // of the last entry in store

	waiters appliedWaiters

	queueMu sync.Mutex
	queue   []committed
	wake    chan struct{}
}

// committed is a run of entries that a quorum has, and those of our own callers who wait for them, in order.
type committed struct {
	entries []raft.Entry
	waiters []pending
}

func newApplied() *applied {
	return &applied{store: kv.New(), wake: make(chan struct{}, 1)}
}

// enqueue never blocks: what waits is bounded, because every entry in it was admitted by a leader's limits.
func (a *applied) enqueue(c committed) {
	a.queueMu.Lock()
	a.queue = append(a.queue, c)
	a.queueMu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// runApplier applies what is committed and answers those who wait, in a goroutine of its own, so that the loop
// is never held up by the state machine.
func (n *Node) runApplier() {
	for n.sched.Wait(Forever, Signals{n.loopEnded, n.applied.wake}) != 0 {
		n.applyQueue()
	}
}

// applyQueue applies all that waits.
func (n *Node) applyQueue() {
	a := n.applied
	for {
		a.queueMu.Lock()
		queue := a.queue
		a.queue = nil
		a.queueMu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, c := range queue {
			n.applyRun(c)
		}
	}
}

// applyRun applies one run in chunks. The callers are answered after the lock is released.
func (n *Node) applyRun(c committed) {
	waiters := c.waiters
	for start := 0; start < len(c.entries); start += applyChunk {
		chunk := c.entries[start:min(start+applyChunk, len(c.entries))]
		began := n.sched.Now()
		last := chunk[len(chunk)-1].Index
		mine := 0
		for mine < len(waiters) && waiters[mine].index <= last {
			mine++
		}
		outcomes := n.applyChunk(chunk, waiters[:mine])
		n.sched.Preempt()
		n.applied.waiters.wake(last)
		now := n.sched.Now()
		for i, w := range waiters[:mine] {
			n.metrics.committed(now.Sub(w.call.start))
			w.call.finish(w.slot, outcomes[i])
		}
		waiters = waiters[mine:]
		n.metrics.applied(now.Sub(began))
	}
}

func (n *Node) applyChunk(chunk []raft.Entry, waiters []pending) []Outcome {
	outcomes := make([]Outcome, len(waiters))
	next := 0
	n.lockStore()
	defer n.applied.mu.Unlock()
	for _, entry := range chunk {
		result := n.applied.store.Apply(uint64(entry.Index), entry.Command)
		if next < len(waiters) && waiters[next].index == entry.Index {
			outcomes[next] = waiters[next].call.keep(Outcome{Index: entry.Index, Term: entry.Term, Result: result})
			if waiters[next].term != entry.Term {
				// Another entry was committed in this place, so the one that was waited for never will be here;
				// the loop has seen to it that it stands nowhere else.
				outcomes[next] = Outcome{Err: ErrNotLeader}
			}
			next++
		}
	}
	n.applied.index.Store(uint64(chunk[len(chunk)-1].Index))
	return outcomes
}

// lockStore takes the lock under which entries are applied. Readers may run first: what is published before it is seen
// without the entries.
func (n *Node) lockStore() {
	n.sched.Preempt()
	n.applied.mu.Lock()
}

// pendings are the proposals of this node that stand in its log and wait, by rising index. Only the loop
// touches it.
type pendings struct {
	list []pending
}

// add appends the proposals of one append. Older ones at or above the first index were cut off the log when
// another leader wrote it; they may still stand in a log that wins, so their fate is unknown.
func (p *pendings) add(first raft.Index, term raft.Term, proposals []proposal) {
	keep := len(p.list)
	for keep > 0 && p.list[keep-1].index >= first {
		keep--
	}
	finishAll(p.list[keep:], ErrOutcomeUnknown)
	p.list = p.list[:keep]
	for i, proposal := range proposals {
		p.list = append(p.list, pending{first + raft.Index(i), term, proposal})
	}
}

// take gives the proposals at or below an index, which have met their fate.
func (p *pendings) take(last raft.Index) []pending {
	count := 0
	for count < len(p.list) && p.list[count].index <= last {
		count++
	}
	if count == 0 {
		return nil
	}
	taken := p.list[:count:count]
	p.list = p.list[count:]
	if len(p.list) == 0 {
		p.list = nil
	}
	return taken
}

// fail answers all that wait with the same error.
func (p *pendings) fail(err error) {
	finishAll(p.list, err)
	p.list = nil
}

func finishAll(list []pending, err error) {
	for _, w := range list {
		w.call.finish(w.slot, Outcome{Err: err})
	}
}
