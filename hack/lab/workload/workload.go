// Package workload loads a cluster and reports every operation with its times and outcome.
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

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/client"
)

const (
	// timeout of one operation: longer than an election, so that a client that waits sees no failure, and than the
	// four seconds after which hack/chaos counts a node as hung.
	timeout = 5 * time.Second

	// registers are written by all clients at once. After some operations the clients use new ones, because the time
	// to check grows faster than the number of operations on a register. Counters are replaced when they are full.
	registers = 3
	counters  = 3

	// floodBytes is the size of one value of a flood. A node uses 16 MiB of its write-ahead log before it needs more
	// space.
	floodBytes = 256 << 10
)

// Config configures a workload.
type Config struct {
	// Endpoints are the URLs of the nodes' APIs, in the order of the nodes' ids, or the one URL of a Service.
	Endpoints []string
	// Service: the endpoint stands for several nodes, so no operation names the node that was asked.
	Service bool
	// Prefix begins every key.
	Prefix string
	// Library are the clients that use node/client, and Plain those, for each endpoint, that send single HTTP
	// requests.
	Library, Plain Clients
	Mix            Mix
	// RegisterLife is the number of operations, times the number of registers, after which new registers are used.
	RegisterLife int
	// WriteOnceEvery is the period of one more client of node/client, which writes each key only once; 0: there is
	// none.
	WriteOnceEvery time.Duration
	// Record is called with each operation when it is over, one at a time, in the order of the serial numbers.
	Record func(history.Operation)
}

// Clients is a number of clients, each of which does one operation per period.
type Clients struct {
	Count int
	Every time.Duration
}

// Mix is the frequency of each kind of operation, in parts of the sum. Batch is a batch of each kind but stale reads.
type Mix struct{ Put, Get, CAS, Incr, Stale, Batch int }

// Workload is the clients and their shared state.
type Workload struct {
	config  Config
	library *client.Client
	plain   []*plain // by endpoint
	start   time.Time

	mu      sync.Mutex
	keys    map[string]bool // that may have been written
	serial  int             // of the last operation that was recorded
	numbers int64           // every number is written at most once
	turns   int             // operations on registers so far
	steps   int             // increments so far
	batches int
}

// New returns a workload.
func New(config Config) (*Workload, error) {
	w := &Workload{config: config, start: time.Now(), keys: make(map[string]bool)}
	for _, endpoint := range config.Endpoints {
		p, err := newPlain(endpoint)
		if err != nil {
			return nil, err
		}
		w.plain = append(w.plain, p)
	}
	var err error
	w.library, err = client.New(client.Config{Endpoints: config.Endpoints})
	return w, err
}

// Close ends the clients.
func (w *Workload) Close() {
	w.library.Close()
	for _, p := range w.plain {
		p.close()
	}
}

// Now is the time in microseconds since 1970. It is monotonic, whatever happens to the clock.
func (w *Workload) Now() int64 { return w.start.Add(time.Since(w.start)).UnixMicro() }

// Run runs all clients until the context ends and their last operations are over.
func (w *Workload) Run(ctx context.Context) {
	var clients sync.WaitGroup
	id := 0
	start := func(s store, path history.Path, node int, every time.Duration, turn func(*worker, context.Context)) {
		c := &worker{Workload: w, id: id, store: s, path: path, node: node}
		id++
		clients.Go(func() { c.work(ctx, every, func(ctx context.Context) { turn(c, ctx) }) })
	}
	for range w.config.Library.Count {
		start(&library{w.library}, history.Library, 0, w.config.Library.Every, (*worker).draw)
	}
	for i, p := range w.plain {
		for range w.config.Plain.Count {
			start(p, history.Plain, w.nodeAt(i), w.config.Plain.Every, (*worker).draw)
		}
	}
	if every := w.config.WriteOnceEvery; every > 0 {
		start(&library{w.library}, history.Library, 0, every, (*worker).writeOnce)
	}
	clients.Wait()
}

// nodeAt returns the id of the node at an endpoint, 0 if it is a Service.
func (w *Workload) nodeAt(endpoint int) int {
	if w.config.Service {
		return 0
	}
	return endpoint + 1
}

func (w *Workload) registerPrefix() string { return w.config.Prefix + "register/" }

// register returns the key of a register for the next operation.
func (w *Workload) register() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns++
	return fmt.Sprintf("%s%d-%d", w.registerPrefix(), w.turns/(registers*w.config.RegisterLife), rand.IntN(registers))
}

// step returns the next increment: its counter and what it adds.
func (w *Workload) step() (key string, by int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.steps
	w.steps++
	return w.counter(n), history.Step(n / counters % history.CounterLife)
}

// counter returns the key of the nth increment.
func (w *Workload) counter(n int) string {
	return fmt.Sprintf("%scounter/%d-%d", w.config.Prefix, n/counters/history.CounterLife, n%counters)
}

// latestCounter returns a counter that is in use.
func (w *Workload) latestCounter() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counter(max(0, w.steps-1-rand.IntN(counters)))
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

// record numbers operations and passes them on.
func (w *Workload) record(operations ...*history.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range operations {
		w.serial++
		o.Serial = w.serial
		if o.IsWrite() {
			w.keys[o.Key] = true
		}
		w.config.Record(*o)
	}
}

// Flood writes large values until the context ends, so that a node with a full disk notices. They are not part of the
// history, and their errors are expected.
func (w *Workload) Flood(ctx context.Context, wanted func() bool) {
	value := make([]byte, floodBytes)
	for i := 0; wanted() && ctx.Err() == nil; i++ {
		_, _ = w.library.Put(ctx, fmt.Sprintf("%sflood/%d", w.config.Prefix, i%4), value)
	}
}

// ReadBack reads every key until each was read once, or the context ends. The reads are operations like any other.
func (w *Workload) ReadBack(ctx context.Context) {
	keys := make(chan string)
	var readers sync.WaitGroup
	for id := range w.config.Library.Count {
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

// Diverged reads every key from the state of each node, when no writes are running any more, and returns an error for
// each key on which nodes differ.
func (w *Workload) Diverged(ctx context.Context) error {
	keys, held := w.written(), make(map[string][]string)
	for i, p := range w.plain {
		// A linearizable read waits until the node has applied every write, and no write follows.
		for j, key := range append(keys[:min(1, len(keys)):1], keys...) {
			o := history.Operation{Kind: history.Get, Key: key, Stale: j > 0}
			if err := p.do(ctx, &o); err != nil {
				return fmt.Errorf("node %d cannot read %s at the end: %w", i+1, key, err)
			}
			if o.Stale {
				held[key] = append(held[key], fmt.Sprintf("%d (revision %d, version %d)", o.Value, o.Revision, o.Version))
			}
		}
	}
	var errs []error
	for _, key := range keys {
		if different := slices.Compact(slices.Clone(held[key])); len(different) > 1 {
			errs = append(errs, fmt.Errorf("the nodes have different numbers for %s: %v", key, held[key]))
		}
	}
	return errors.Join(errs...)
}
