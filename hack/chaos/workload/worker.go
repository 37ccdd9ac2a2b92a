package workload

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/history"
	"github.com/kontiki-dev/kontiki/node/api"
)

// worker is one client, which does one thing after the other.
type worker struct {
	*Workload
	id    int
	store store
	path  history.Path
	node  int // that it asks; 0: the library chooses

	// What it last learned about a register, for a swap that has a chance.
	lastKey string
	last    int64
}

// work does one thing per period until the context ends. What takes longer than the period delays the next.
func (c *worker) work(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// The signal to stop must not make an operation's outcome unknown.
			c.turn(context.WithoutCancel(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// turn does one thing, drawn by chance.
func (c *worker) turn(ctx context.Context) {
	switch n := rand.IntN(24); {
	case n < 6:
		c.one(ctx, c.put())
	case n < 11:
		c.one(ctx, c.get())
	case n < 15:
		c.one(ctx, c.cas())
	case n < 19:
		c.one(ctx, c.incr())
	case n < 20:
		o := c.get()
		o.Stale = true
		c.one(ctx, o)
	default:
		c.many(ctx, c.put(), c.incr(), c.cas(), c.incr(), c.get())
	}
}

func (c *worker) put() *history.Operation {
	return &history.Operation{Kind: history.Put, Key: c.register(), Value: c.nextNumber()}
}

func (c *worker) get() *history.Operation {
	if rand.IntN(3) == 0 {
		return &history.Operation{Kind: history.Get, Key: c.latestCounter()}
	}
	return &history.Operation{Kind: history.Get, Key: c.register()}
}

// cas swaps what was last seen under a register, or what is believed to be absent.
func (c *worker) cas() *history.Operation {
	o := &history.Operation{Kind: history.CAS, Key: c.register(), New: c.nextNumber()}
	if c.lastKey != "" && rand.IntN(4) > 0 {
		o.Key, o.Expected = c.lastKey, c.last
	}
	return o
}

func (c *worker) incr() *history.Operation {
	key, by := c.step()
	return &history.Operation{Kind: history.Incr, Key: key, By: by}
}

// one does one operation.
func (c *worker) one(ctx context.Context, o *history.Operation) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o.Call = c.Now()
	err := c.store.do(ctx, o)
	o.Return = c.Now()
	c.settle(o, err)
	c.record(o)
}

// many does several operations in one batch. They do not depend on each other, and nothing is said about their order.
func (c *worker) many(ctx context.Context, operations ...*history.Operation) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	batch, call := c.nextBatch(), c.Now()
	errs := c.store.batch(ctx, operations)
	returned := c.Now()
	for i, o := range operations {
		o.Call, o.Return, o.Batch = call, returned, batch
		c.settle(o, errs[i])
	}
	c.record(operations...)
}

// settle notes what came of an operation.
func (c *worker) settle(o *history.Operation, err error) {
	o.Client, o.Path, o.Node, o.Outcome = c.id, c.path, c.node, history.OutcomeOf(err)
	if err != nil {
		o.Code = string(api.ErrorCode(err))
		return
	}
	switch {
	case o.Stale || !strings.HasPrefix(o.Key, registerPrefix):
	case o.Swapped:
		c.lastKey, c.last = o.Key, o.New
	default:
		c.lastKey, c.last = o.Key, o.Value
	}
}
