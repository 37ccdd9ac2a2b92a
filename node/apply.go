package node

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Entries are applied under one lock, before readers and the loop may run, until there were applyChunk of them, or
// their commands had applyBytes. What an entry does, and what it cuts of the history, goes by the number of its
// changes, and that by its length.
const (
	applyChunk = 32
	applyBytes = 32 << 10
)

// firstChunk returns the entries that are applied first, at least one.
func firstChunk(entries []raft.Entry) []raft.Entry {
	bytes := 0
	for i := range entries[:min(applyChunk, len(entries))] {
		if bytes += len(entries[i].Command); bytes >= applyBytes {
			return entries[:i+1]
		}
	}
	return entries[:min(applyChunk, len(entries))]
}

// applier is the state machine, and the queue of what must go into it.
type applier struct {
	sched   scheduler.Scheduler
	metrics *metrics.Metrics

	mu    sync.RWMutex // guards store, position, toSave and digests
	store *kv.Store
	// position has the seats and the configuration that the entries in store assigned, and no digest.
	position raft.LogStart
	toSave   toSave
	digests  stateDigests
	index    atomic.Uint64 // of the last entry in store

	retention  kv.Retention
	overdue    atomic.Uint64 // the revision to which the history should be compacted; 0: none
	stateBytes atomic.Int64  // about the size of a snapshot
	liveBytes  atomic.Int64  // of the keys that exist, stored before index
	unsavedNow atomic.Pointer[unsaved]
	pressed    atomic.Bool   // the disk is nearly low: what is not saved should be
	changed    chan struct{} // receives a value when the first change after a checkpoint, or enough of them, were applied
	enough     int64         // bytes of commands

	differs      *atomic.Uint64 // of shared
	checked      atomic.Uint64  // index of the last check entry that was applied
	checkedAt    atomic.Int64   // its timestamp, or what lastCheck returned at the start
	replaced     atomic.Uint64  // how often another state took the place of the present one
	compareState func(index raft.Index)
	readLog      func(from raft.Index, maxEntries, maxBytes int) (raft.Log, error)
	fail         func(error)

	waiters appliedWaiters

	queueMu sync.Mutex
	queue   []committed
	wake    chan struct{}
}

// committed is a run of entries that a quorum has, and those of our own callers who wait for them, in order; or the
// state of a snapshot that takes the place of all entries up to it.
type committed struct {
	entries []raft.Entry
	waiters []pending

	restored *kv.Store
	replay   raft.Index    // what the log has up to here is applied to restored first; at most its index: nothing
	position raft.LogStart // of restored
}

func newApplier(sched scheduler.Scheduler, m *metrics.Metrics, cfg *Options) *applier {
	a := &applier{
		sched: sched, metrics: m, differs: &atomic.Uint64{}, store: kv.New(),
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		retention: cfg.Retention, enough: cfg.Checkpoints.Bytes,
	}
	a.unsavedNow.Store(&unsaved{})
	return a
}

// begin makes the applier go on from a state, with the entries of a log behind it. It returns an error if the state
// does not have what lies before the log.
func (a *applier) begin(store *kv.Store, log *raft.Log) error {
	applied := raft.Index(store.Applied())
	if applied < log.Start.Index || applied > log.Last() {
		return fmt.Errorf("the log starts after entry %d and ends at %d, but the state machine has applied the entries up "+
			"to %d", log.Start.Index, log.Last(), applied)
	}
	position := log.Start
	for i := range log.Entries[:applied-log.Start.Index] {
		var err error
		if position, err = noteMembers(position, &log.Entries[i]); err != nil {
			return err
		}
	}
	a.replace(store, position)
	return nil
}

// noteMembers returns a position with the seat or the configuration that an entry assigns, if it does.
func noteMembers(position raft.LogStart, e *raft.Entry) (raft.LogStart, error) {
	if e.Type != raft.EntrySeat && e.Type != raft.EntryConfig {
		return position, nil
	}
	return position.After(e, 0, entryjson.Encoding())
}

// replace takes a state, with the seats and the configuration of its position, in the place of the present one.
func (a *applier) replace(store *kv.Store, position raft.LogStart) {
	a.lock()
	a.store, a.position, a.toSave = store, position, toSave{}
	a.digests.last = nil // they were those of the other state
	a.replaced.Add(1)
	a.noteState()
	a.index.Store(store.Applied())
	a.mu.Unlock()
	a.waiters.wake(raft.Index(store.Applied()))
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
			if c.restored != nil && !a.restore(&c) {
				return
			}
			a.applyRun(c)
		}
	}
}

// restore puts the state of a snapshot in the place of the present one. A state that differed is served again from here
// on. It returns false if the node must end.
func (a *applier) restore(c *committed) bool {
	saved := c.restored.Applied()
	if err := a.replay(c); err != nil {
		a.fail(err)
		return false
	}
	a.replace(c.restored, c.position)
	if again := c.restored.Applied() - saved; again > 0 {
		a.noteReplayed(again)
	}
	a.differs.Store(0)
	return true
}

// applyRun applies one run in chunks. The callers are answered after the lock is released.
func (a *applier) applyRun(c committed) {
	waiters := c.waiters
	for entries := c.entries; len(entries) > 0; {
		if len(entries) < len(c.entries) {
			a.sched.Yield()
		}
		chunk := firstChunk(entries)
		entries = entries[len(chunk):]
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
			if a.differs.Load() != 0 {
				outcomes[i] = Outcome{Err: ErrOutcomeUnknown} // the result is that of another state
			}
			w.call.finish(w.slot, outcomes[i])
		}
		waiters = waiters[mine:]
		a.metrics.Applied(now.Sub(began))
	}
	if index := checkOf(c.entries); index != 0 {
		a.compareState(index)
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
		if entry.Type == raft.EntryCheck {
			a.noteCheck(&entry)
		}
		for next < len(waiters) && waiters[next].index < entry.Index {
			next++
		}
		if next < len(waiters) && waiters[next].index == entry.Index {
			outcome := Outcome{Index: entry.Index, Term: entry.Term, Result: result}
			outcomes[next] = waiters[next].call.keep(outcome, entry.Command)
			if waiters[next].term != entry.Term {
				// Another entry was committed in this place, so the one that was waited for never will be here;
				// the loop has seen to it that it stands nowhere else.
				outcomes[next] = Outcome{Err: ErrNotLeader}
			}
			next++
		}
	}
	a.noteChanges(chunk)
	a.noteState()
	a.index.Store(uint64(chunk[len(chunk)-1].Index))
	return outcomes
}

// checkOf returns the index of the last check entry; 0: there is none.
func checkOf(entries []raft.Entry) raft.Index {
	for _, e := range slices.Backward(entries) {
		if e.Type == raft.EntryCheck {
			return e.Index
		}
	}
	return 0
}

// noteReplayed makes the next checkpoint due that writes entries which were applied again.
func (a *applier) noteReplayed(entries uint64) {
	a.lock()
	defer a.mu.Unlock()
	a.toSave.changes = compaction.Changes{Entries: entries, Since: a.sched.Now()}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// noteChanges records what the next checkpoint must write.
func (a *applier) noteChanges(chunk []raft.Entry) {
	unsaved := &a.toSave.changes
	before := *unsaved
	for i := range chunk {
		e := &chunk[i]
		unsaved.Bytes += int64(len(e.Command))
		position, err := noteMembers(a.position, e)
		if err != nil {
			a.fail(err) // the core refuses such an entry
		}
		a.position = position
	}
	unsaved.Entries += uint64(len(chunk))
	if before.Entries == 0 {
		unsaved.Since = a.sched.Now()
	}
	if before.Entries == 0 || before.Bytes < a.enough && unsaved.Bytes >= a.enough {
		select {
		case a.changed <- struct{}{}:
		default:
		}
	}
}

// noteState publishes what the loop reads of the state.
func (a *applier) noteState() {
	revision, due := a.store.Overdue(a.retention)
	if !due {
		revision = 0
	}
	a.overdue.Store(revision)
	stats := a.store.Stats()
	a.liveBytes.Store(stats.LiveBytes)
	a.stateBytes.Store(stats.LiveBytes + stats.HistoryBytes)
	a.unsavedNow.Store(a.toSave.unsaved(a.store.Volume(), stats))
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
