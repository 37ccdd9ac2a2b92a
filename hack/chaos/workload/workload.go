package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/history"
	"github.com/kontiki-dev/kontiki/hack/e2e/plain"
	"github.com/kontiki-dev/kontiki/node/client"
)

// The load in all, without faults: of three nodes about 150 requests a second, a sixth of them batches. It is little
// for the cluster, and enough to see a gap of a twentieth of a second.
const (
	libraryClients = 4
	libraryEvery   = 50 * time.Millisecond
	clientsPerNode = 2
	nodeEvery      = 80 * time.Millisecond
	// timeout of one operation: longer than the four seconds after which a node counts as hung.
	timeout = 5 * time.Second

	// registers are written by everybody at once. After some operations they are left for new ones, because the time
	// that checking takes grows faster than the length of a register's life. Counters are left when they are full.
	registers    = 3
	registerLife = 300
	counters     = 3

	registerPrefix = "register/"

	// floodBytes is one value of a flood. A node keeps 16 MiB of its write-ahead log for itself before it wants more room.
	floodBytes = 256 << 10
)

// Workload is the clients and what they did.
type Workload struct {
	library *client.Client
	nodes   []*plain.Client
	start   time.Time

	mu         sync.Mutex
	operations []history.Operation
	keys       map[string]bool // that may have been written
	numbers    int64           // every number is written at most once
	turns      int             // operations on registers so far
	steps      int             // increments so far
	batches    int
}

// New makes the clients of the nodes with these URLs.
func New(endpoints []string) (*Workload, error) {
	w := &Workload{start: time.Now(), keys: make(map[string]bool)}
	var err error
	if w.library, err = client.New(client.Config{Endpoints: endpoints}); err != nil {
		return nil, err
	}
	for _, endpoint := range endpoints {
		c, err := plain.New(endpoint, timeout+time.Second)
		if err != nil {
			return nil, err
		}
		w.nodes = append(w.nodes, c)
	}
	return w, nil
}

// Close ends the clients.
func (w *Workload) Close() {
	w.library.Close()
	for _, c := range w.nodes {
		c.Close()
	}
}

// Now is the time in microseconds since 1970. It never goes back, whatever happens to the clock.
func (w *Workload) Now() int64 { return w.start.Add(time.Since(w.start)).UnixMicro() }

// Operations gives a copy of what was done so far.
func (w *Workload) Operations() []history.Operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.operations)
}

// Run lets all clients work until the context ends, and their last operations have.
func (w *Workload) Run(ctx context.Context) {
	var clients sync.WaitGroup
	id := 0
	add := func(s store, path history.Path, node int, every time.Duration) {
		c := &worker{Workload: w, id: id, store: s, path: path, node: node}
		id++
		clients.Go(func() { c.work(ctx, every) })
	}
	for range libraryClients {
		add(&library{w.library}, history.Library, 0, libraryEvery)
	}
	for i := range w.nodes {
		for range clientsPerNode {
			add(&one{w.nodes[i]}, history.Plain, i+1, nodeEvery)
		}
	}
	clients.Wait()
}

// register gives the key of a register for the next operation.
func (w *Workload) register() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns++
	return fmt.Sprintf(registerPrefix+"%d-%d", w.turns/(registers*registerLife), rand.IntN(registers))
}

// step gives the next increment: its counter and what it adds.
func (w *Workload) step() (key string, by int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.steps
	w.steps++
	return counter(n), history.Step(n / counters % history.CounterLife)
}

// counter gives the key that the nth increment is made on.
func counter(n int) string {
	return fmt.Sprintf("counter/%d-%d", n/counters/history.CounterLife, n%counters)
}

// latestCounter gives a counter that is in use.
func (w *Workload) latestCounter() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return counter(max(0, w.steps-1-rand.IntN(counters)))
}

func (w *Workload) nextNumber() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.numbers++
	return w.numbers
}

func (w *Workload) nextBatch() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches++
	return w.batches
}

// record takes operations into the history.
func (w *Workload) record(operations ...*history.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range operations {
		o.Serial = len(w.operations) + 1
		w.operations = append(w.operations, *o)
		if o.IsWrite() {
			w.keys[o.Key] = true
		}
	}
}

// Flood writes large values as long as they are wanted, so that a disk without room notices. They are no part of the
// history, and their errors are expected.
func (w *Workload) Flood(ctx context.Context, wanted func() bool) {
	value := make([]byte, floodBytes)
	for i := 0; wanted() && ctx.Err() == nil; i++ {
		_, _ = w.library.Put(ctx, fmt.Sprintf("flood/%d", i%4), value)
	}
}

// ReadBack reads every key until each was read once, or the context ends. The reads are operations like any other.
func (w *Workload) ReadBack(ctx context.Context) {
	keys := make(chan string)
	var readers sync.WaitGroup
	for id := range libraryClients {
		c := &worker{Workload: w, id: id, store: &library{w.library}, path: history.Library}
		readers.Go(func() {
			for key := range keys {
				o := &history.Operation{Kind: history.Get, Key: key}
				for c.one(ctx, o); o.Outcome != history.OK && ctx.Err() == nil; c.one(ctx, o) {
					*o = history.Operation{Kind: history.Get, Key: key}
				}
			}
		})
	}
	for _, key := range w.written() {
		if ctx.Err() == nil {
			keys <- key
		}
	}
	close(keys)
	readers.Wait()
}

func (w *Workload) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.keys))
}

// Diverged reads every key from the state of each node itself, when nothing is written any more, and gives an error for
// each that some nodes hold differently.
func (w *Workload) Diverged(ctx context.Context) error {
	keys, held := w.written(), make(map[string][]string)
	for i := range w.nodes {
		s := &one{w.nodes[i]}
		// A linearizable read waits until the node holds everything, and nothing comes after it.
		for j, key := range append(keys[:min(1, len(keys)):1], keys...) {
			o := history.Operation{Kind: history.Get, Key: key, Stale: j > 0}
			if err := s.do(ctx, &o); err != nil {
				return fmt.Errorf("node %d cannot read %s, when all is over: %w", i+1, key, err)
			}
			if o.Stale {
				held[key] = append(held[key], fmt.Sprintf("%d (revision %d, version %d)", o.Value, o.Revision, o.Version))
			}
		}
	}
	var errs []error
	for _, key := range keys {
		if different := slices.Compact(slices.Clone(held[key])); len(different) > 1 {
			errs = append(errs, fmt.Errorf("the nodes hold different numbers under %s: %v", key, held[key]))
		}
	}
	return errors.Join(errs...)
}
