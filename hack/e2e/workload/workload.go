package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/history"
	"github.com/kontiki-dev/kontiki/node/api"
)

// The load in all: 60 operations a second of the library's clients, 5 of the ledger's, 16 of the plain ones. It is
// little for the cluster, enough to see a gap of a twentieth of a second, and checked in seconds.
const (
	libraryClients = 6
	libraryEvery   = 100 * time.Millisecond
	plainClients   = 2
	plainEvery     = 125 * time.Millisecond
	ledgerEvery    = 200 * time.Millisecond

	// registers are written by everybody at once. After some operations they are left for new ones, because the time
	// that checking takes grows faster than the length of a register's life.
	registers    = 3
	registerLife = 1000
	// timeout of one operation. It is longer than an election, so that a client with patience sees no failure.
	timeout = 5 * time.Second
)

// workload is the clients and what they share.
type workload struct {
	prefix  string
	library store
	plain   store
	printer *printer
	start   time.Time
	numbers atomic.Int64 // every number is written at most once
	turns   atomic.Int64 // operations on registers so far

	mu   sync.Mutex
	keys map[string]bool // that were written, perhaps
}

func newWorkload(endpoint, prefix string, p *printer) (*workload, error) {
	library, err := newLibrary(endpoint)
	if err != nil {
		return nil, err
	}
	plain, err := newSingle(endpoint)
	if err != nil {
		library.close()
		return nil, err
	}
	return &workload{
		prefix: prefix, library: library, plain: plain, printer: p, start: time.Now(), keys: make(map[string]bool),
	}, nil
}

func (w *workload) close() {
	w.library.close()
	w.plain.close()
}

// write lets all clients work until the context ends, and their last operations have.
func (w *workload) write(ctx context.Context) {
	var clients sync.WaitGroup
	for id := range libraryClients {
		clients.Go(func() {
			w.work(ctx, &worker{workload: w, id: id, store: w.library, path: history.Library}, libraryEvery)
		})
	}
	for id := range plainClients {
		c := &worker{workload: w, id: libraryClients + id, store: w.plain, path: history.Plain}
		clients.Go(func() { w.work(ctx, c, plainEvery) })
	}
	clients.Go(func() {
		c := &worker{workload: w, id: libraryClients + plainClients, store: w.library, path: history.Library}
		w.each(ctx, ledgerEvery, func() {
			n := w.numbers.Add(1)
			c.put(context.WithoutCancel(ctx), fmt.Sprintf("%s/ledger/%d", w.prefix, n), n)
		})
	})
	clients.Wait()
}

// each calls f once per period until the context ends. A call that takes longer than the period delays the next.
func (w *workload) each(ctx context.Context, period time.Duration, f func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// work is one client: puts, reads and swaps on the registers, half of them writes that fit no expectation.
func (w *workload) work(ctx context.Context, c *worker, every time.Duration) {
	w.each(ctx, every, func() {
		// The signal to stop must not make an operation's outcome unknown.
		ctx := context.WithoutCancel(ctx)
		key := w.register()
		switch rand.IntN(4) {
		case 0, 1:
			c.put(ctx, key, w.numbers.Add(1))
		case 2:
			c.get(ctx, key)
		default:
			c.cas(ctx, key, w.numbers.Add(1))
		}
	})
}

// register gives the key for the next operation.
func (w *workload) register() string {
	age := w.turns.Add(1) / (registers * registerLife)
	return fmt.Sprintf("%s/register/%d-%d", w.prefix, age, rand.IntN(registers))
}

// note remembers that a key may have been written.
func (w *workload) note(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[key] = true
}

// readBack reads every key until each of them was read once, or the context ends. The reads are operations like any
// other: a key that does not hold what it should is no register.
func (w *workload) readBack(ctx context.Context) {
	w.mu.Lock()
	left := slices.Sorted(maps.Keys(w.keys))
	w.mu.Unlock()
	keys := make(chan string)
	var readers sync.WaitGroup
	for id := range libraryClients {
		c := &worker{workload: w, id: id, store: w.library, path: history.Library}
		readers.Go(func() {
			for key := range keys {
				for c.get(ctx, key) != history.OK && ctx.Err() == nil {
				}
			}
		})
	}
	for _, key := range left {
		if ctx.Err() != nil {
			break
		}
		keys <- key
	}
	close(keys)
	readers.Wait()
}

// worker is one client, which does one thing after the other.
type worker struct {
	*workload
	id    int
	store store
	path  history.Path

	// What it last learned, for a swap that has a chance.
	lastKey string
	last    int64
}

// now is the time in microseconds since 1970. It never goes back, whatever happens to the clock.
func (w *workload) now() int64 { return w.start.Add(time.Since(w.start)).UnixMicro() }

func (c *worker) put(ctx context.Context, key string, number int64) {
	c.note(key)
	o := history.Operation{Kind: history.Put, Key: key, Value: number}
	if c.do(ctx, &o, func(ctx context.Context) error { return c.store.put(ctx, key, number) }) == history.OK {
		c.lastKey, c.last = key, number
	}
}

func (c *worker) get(ctx context.Context, key string) history.Outcome {
	o := history.Operation{Kind: history.Get, Key: key}
	outcome := c.do(ctx, &o, func(ctx context.Context) (err error) {
		o.Value, err = c.store.get(ctx, key)
		return err
	})
	if outcome == history.OK {
		c.lastKey, c.last = key, o.Value
	}
	return outcome
}

func (c *worker) cas(ctx context.Context, key string, number int64) {
	c.note(key)
	o := history.Operation{Kind: history.CAS, Key: key, New: number}
	if c.lastKey == key {
		o.Expected = c.last
	}
	outcome := c.do(ctx, &o, func(ctx context.Context) (err error) {
		o.Swapped, o.Value, err = c.store.cas(ctx, key, o.Expected, number)
		return err
	})
	switch {
	case outcome != history.OK:
	case o.Swapped:
		c.lastKey, c.last = key, number
	default:
		c.lastKey, c.last = key, o.Value
	}
}

// do runs one operation and prints it.
func (c *worker) do(ctx context.Context, o *history.Operation, f func(context.Context) error) history.Outcome {
	o.Client, o.Path, o.Outcome = c.id, c.path, history.OK
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o.Call = c.now()
	err := f(ctx)
	o.Return = c.now()
	if err != nil {
		o.Outcome, o.Code = history.OutcomeOf(err), string(api.ErrorCode(err))
	}
	c.printer.print(*o)
	return o.Outcome
}
