package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// checkpointer writes checkpoints of the state machine behind it, in a goroutine of its own. No write waits for it: a
// slow checkpoint only delays the removal of log entries.
type checkpointer struct {
	*shared
	applier *applier
	saved   atomic.Uint64 // applied index of the last durable checkpoint
	// unknown: a checkpoint or the installation of a snapshot failed. It is unknown what state.db has, so nothing may be
	// written there before the next start (trap T53).
	unknown atomic.Bool

	// gate has a value while no checkpoint is written and no snapshot is installed (trap T35).
	gate  chan struct{}
	ended time.Time // when the last checkpoint ended
	took  time.Duration
}

func newCheckpointer(s *shared, a *applier) *checkpointer {
	c := &checkpointer{shared: s, applier: a, gate: make(chan struct{}, 1)}
	c.gate <- struct{}{}
	return c
}

// run writes checkpoints when they are due until the applier has ended, and then a last one.
func (c *checkpointer) run(applierEnded <-chan struct{}) {
	for {
		wait := c.cfg.Checkpoints.Wait(c.sched.Now(), c.changes())
		switch c.sched.Wait(wait, scheduler.Signals{applierEnded, c.applier.changed}) {
		case 0:
			_ = c.save() // if it fails, the next start applies more of the log again
			return
		case 1:
			continue // the changes are others now
		}
		if err := c.save(); err != nil {
			c.inbox.order(func(l *loop) { l.fail(err) })
			return
		}
	}
}

// changes returns what a checkpoint would write.
func (c *checkpointer) changes() compaction.Changes {
	c.applier.mu.RLock()
	defer c.applier.mu.RUnlock()
	changes := c.applier.unsaved
	changes.Ended, changes.Took = c.ended, c.took
	return changes
}

// save writes a checkpoint of what is applied now. The error ends the node: it is unknown what is on the disk (T53).
func (c *checkpointer) save() error {
	if !c.enter() {
		return nil
	}
	defer c.leave()
	if c.unknown.Load() {
		return nil
	}
	err := c.write()
	c.unknown.Store(err != nil)
	return err
}

// write is save for a caller that has entered.
func (c *checkpointer) write() error {
	began := c.sched.Now()
	if c.applier.index.Load() <= c.saved.Load() {
		return nil // nothing changed, or the state of an installed snapshot is not in the applier yet (trap T35)
	}
	checkpoint, err := c.take()
	if err != nil {
		return err
	}
	if err := c.cfg.Storage.SaveState(checkpoint); err != nil {
		return fmt.Errorf("node: cannot write a checkpoint: %w", err)
	}
	applied := checkpoint.Delta.Meta.Applied
	c.applier.mu.Lock()
	c.applier.store.Checkpointed(applied)
	c.applier.mu.Unlock()
	c.saved.Store(applied)
	c.ended = c.sched.Now()
	c.took = c.ended.Sub(began)
	c.metrics.Checkpointed(c.took)
	return nil
}

// take returns what changed since the last checkpoint, and counts the changes as saved.
func (c *checkpointer) take() (snapshot.Checkpoint, error) {
	assigned := *c.assigned.Load()
	assigned.Members = c.members()
	facts, err := assigned.ClusterFacts(c.seating.Load())
	if err != nil {
		return snapshot.Checkpoint{}, err
	}
	delta := kv.NewDelta(c.saved.Load())
	for {
		if seats, complete := c.extend(delta); complete {
			return snapshot.Checkpoint{Delta: delta, Seats: seats, Facts: facts}, nil
		}
		c.sched.Yield()
	}
}

// extend adds changes to a delta. When it is complete, extend returns the seats that belong to it.
func (c *checkpointer) extend(delta *kv.Delta) (seats []raft.Seat, complete bool) {
	a := c.applier
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.store.Extend(delta, c.cfg.Checkpoints.ChunkSize()) {
		return nil, false
	}
	a.unsaved = compaction.Changes{}
	return a.seats[:len(a.seats):len(a.seats)], true
}

// enter waits until no checkpoint is written and no snapshot is installed, and keeps others out. It returns false if
// the node has stopped.
func (c *checkpointer) enter() bool {
	return c.sched.Wait(scheduler.Forever, scheduler.Signals{c.gate, c.stopped}) == 0
}

func (c *checkpointer) leave() { c.gate <- struct{}{} }

// restored makes the state of an installed snapshot the last checkpoint. The caller has entered.
func (c *checkpointer) restored(store *kv.Store) { c.saved.Store(store.Applied()) }

// position returns the index up to which the checkpoint on the disk includes the log.
func (c *checkpointer) position() raft.Index { return raft.Index(c.saved.Load()) }
