package node

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// applyChunk is how many entries are applied under one lock, so that readers never wait long.
const applyChunk = 128

// applier is the state machine, and the queue of what must go into it.
type applier struct {
	sched   scheduler.Scheduler
	metrics *metrics.Metrics

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

func newApplier(sched scheduler.Scheduler, m *metrics.Metrics) *applier {
	return &applier{sched: sched, metrics: m, store: kv.New(), wake: make(chan struct{}, 1)}
}

// beginAfter makes the applier take the entries after the start of a log. It returns an error if the state machine does
// not have exactly what lies before them.
func (a *applier) beginAfter(start raft.Index) error {
	if applied := raft.Index(a.store.Applied()); applied != start {
		return fmt.Errorf("the log starts after entry %d, but the state machine has applied the entries up to %d",
			start, applied)
	}
	a.index.Store(uint64(start))
	return nil
}

// enqueue never blocks: what waits is bounded, because every entry in it was admitted by a leader's limits.
func (a *applier) enqueue(c committed) {
	a.queueMu.Lock()
	a.queue = append(a.queue, c)
	a.queueMu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run applies what is committed and answers those who wait, in a goroutine of its own, so that the loop
// is never held up by the state machine.
func (a *applier) run(loopEnded <-chan struct{}) {
	for a.sched.Wait(scheduler.Forever, scheduler.Signals{loopEnded, a.wake}) != 0 {
		a.applyQueue()
	}
}

// applyQueue applies all that waits.
func (a *applier) applyQueue() {
	for {
		a.queueMu.Lock()
		queue := a.queue
		a.queue = nil
		a.queueMu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, c := range queue {
			a.applyRun(c)
		}
	}
}

// applyRun applies one run in chunks. The callers are answered after the lock is released.
func (a *applier) applyRun(c committed) {
	waiters := c.waiters
	for start := 0; start < len(c.entries); start += applyChunk {
		chunk := c.entries[start:min(start+applyChunk, len(c.entries))]
		began := a.sched.Now()
		last := chunk[len(chunk)-1].Index
		mine := 0
		for mine < len(waiters) && waiters[mine].index <= last {
			mine++
		}
		outcomes := a.applyChunk(chunk, waiters[:mine])
		a.sched.Preempt()
		a.waiters.wake(last)
		now := a.sched.Now()
		for i, w := range waiters[:mine] {
			a.metrics.Committed(now.Sub(w.call.start))
			w.call.finish(w.slot, outcomes[i])
		}
		waiters = waiters[mine:]
		a.metrics.Applied(now.Sub(began))
	}
}

// applyChunk applies entries, and returns the outcomes for their waiters. Only its own entry gives a waiter a result:
// the outcome of one whose entry is not in the chunk is unknown.
func (a *applier) applyChunk(chunk []raft.Entry, waiters []pending) []Outcome {
	outcomes := make([]Outcome, len(waiters))
	for i := range outcomes {
		outcomes[i].Err = ErrOutcomeUnknown
	}
	next := 0
	a.lock()
	defer a.mu.Unlock()
	for _, entry := range chunk {
		result := a.store.Apply(forStore(&entry))
		for next < len(waiters) && waiters[next].index < entry.Index {
			next++
		}
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
	a.index.Store(uint64(chunk[len(chunk)-1].Index))
	return outcomes
}

// forStore returns an entry as the state machine applies it. One that the core created has no command for it.
func forStore(e *raft.Entry) kv.Entry {
	applied := kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp}
	if e.Type == raft.EntryCommand {
		applied.Command = e.Command
	}
	return applied
}

// lock takes the lock under which entries are applied. Readers may run first: what is published before it is seen
// without the entries.
func (a *applier) lock() {
	a.sched.Preempt()
	a.mu.Lock()
}
