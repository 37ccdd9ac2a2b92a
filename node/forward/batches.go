package forward

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Limits of one batch, and how many may be in flight to one leader: few, so that they fill by themselves.
const (
	maxItems   = 2048
	maxBytes   = 1 << 20
	maxBatches = 2
)

// Config is what Batches need to carry items. All fields are required.
type Config[T any] struct {
	Scheduler scheduler.Scheduler
	// Limit is how long one batch may take.
	Limit time.Duration
	// MostItems and MostBytes bound what waits.
	MostItems, MostBytes int
	// Size returns the bytes of an item.
	Size func(item T) int
	// Send takes a batch to the leader, and answers each item.
	Send func(ctx context.Context, leader raft.NodeID, batch []T)
	// NotSent answers an item that was never sent. It is called with a lock held, and must return at once.
	NotSent func(item T)
}

// Batches carries items to the leader, many in one request.
type Batches[T any] struct {
	cfg  Config[T]
	base context.Context

	mu    sync.Mutex
	count int // of what waits in all lanes
	bytes int // and its size
	lanes map[raft.NodeID]*lane[T]
}

// lane is the way to one leader: what waits for a new one does not stand behind what an old one, which hangs, has not
// answered.
type lane[T any] struct {
	waiting  []T
	running  int
	inFlight []*context.CancelFunc // in the order in which they left
	// deposed stops the timer that gives up what is in flight, when the leader has been no leader for a while; nil: it
	// leads.
	deposed func()
}

// NewBatches returns Batches whose requests end with base.
func NewBatches[T any](base context.Context, cfg Config[T]) *Batches[T] {
	return &Batches[T]{cfg: cfg, base: base, lanes: map[raft.NodeID]*lane[T]{}}
}

// Put queues items for the leader, all or none, and reports whether there was room for them.
func (b *Batches[T]) Put(leader raft.NodeID, items []T) bool {
	size := 0
	for _, item := range items {
		size += b.cfg.Size(item)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count+len(items) > b.cfg.MostItems || (b.bytes+size > b.cfg.MostBytes && b.bytes > 0) {
		return false
	}
	b.count += len(items)
	b.bytes += size
	l := b.lanes[leader]
	if l == nil {
		l = &lane[T]{}
		b.lanes[leader] = l // there are no more of them than members
	}
	l.waiting = append(l.waiting, items...)
	if l.running < maxBatches {
		l.running++
		b.cfg.Scheduler.Go(func() { b.run(leader, l) })
	}
	return true
}

// run sends batch after batch until nothing waits.
func (b *Batches[T]) run(leader raft.NodeID, l *lane[T]) {
	for {
		batch := b.take(l)
		if len(batch) == 0 {
			return
		}
		ctx, cancel := b.cfg.Scheduler.WithTimeout(b.base, b.cfg.Limit)
		b.begin(l, &cancel)
		b.cfg.Send(ctx, leader, batch)
		b.end(l, &cancel)
	}
}

func (b *Batches[T]) begin(l *lane[T], cancel *context.CancelFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.inFlight = append(l.inFlight, cancel)
}

func (b *Batches[T]) end(l *lane[T], cancel *context.CancelFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(l.inFlight, cancel)
	l.inFlight = slices.Delete(l.inFlight, i, i+1)
	(*cancel)()
}

// LeaderChanged answers what waits for the old leader as not sent, so that it may go to the next one, and gives up what
// is in flight to it unless it answers within patience: cut off from this node, it may hang for long, and what became
// of the items that it took is unknown in any case (trap T49).
func (b *Batches[T]) LeaderChanged(was, is raft.NodeID, patience time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.lanes[is]; l != nil && l.deposed != nil {
		l.deposed()
		l.deposed = nil
	}
	l := b.lanes[was]
	if l == nil {
		return
	}
	b.handBack(l)
	if l.deposed != nil || len(l.inFlight) == 0 {
		return
	}
	l.deposed = b.cfg.Scheduler.AfterFunc(patience, func() { b.giveUp(l) })
}

func (b *Batches[T]) giveUp(l *lane[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.deposed == nil {
		return // it leads again
	}
	l.deposed = nil
	b.handBack(l) // what came with an older view in mind
	for _, cancel := range l.inFlight {
		(*cancel)()
	}
}

// handBack answers what waits in a lane as not sent. The caller holds the lock.
func (b *Batches[T]) handBack(l *lane[T]) {
	for _, item := range l.waiting {
		b.count--
		b.bytes -= b.cfg.Size(item)
		b.cfg.NotSent(item)
	}
	l.waiting = nil
}

// take returns the next batch of a lane.
func (b *Batches[T]) take(l *lane[T]) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	count, size := 0, 0
	for count < len(l.waiting) && count < maxItems {
		next := b.cfg.Size(l.waiting[count])
		if count > 0 && size+next > maxBytes {
			break
		}
		size += next
		count++
	}
	if count == 0 {
		l.running--
		return nil
	}
	b.count -= count
	b.bytes -= size
	batch := l.waiting[:count:count]
	l.waiting = l.waiting[count:]
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	return batch
}
