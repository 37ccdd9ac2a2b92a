package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/api"
)

// worker is one client, which does one operation after the other.
type worker struct {
	*Workload
	id    int
	store store
	path  history.Path
	node  int // the node that it asks; 0: the library chooses

	// The last known number of a register, for a swap that can succeed.
	lastKey string
	last    int64
}

// work calls turn once per period until the context ends. An operation that takes longer than the period delays the
// next.
func (c *worker) work(ctx context.Context, every time.Duration, turn func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// A signal to stop must not make an operation's outcome unknown.
			turn(context.WithoutCancel(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// draw does one operation of the mix.
func (c *worker) draw(ctx context.Context) {
	mix := c.config.Mix
	n := rand.IntN(mix.Put + mix.Get + mix.CAS + mix.Incr + mix.Stale + mix.Batch)
	in := func(weight int) bool {
		n -= weight
		return n < 0
	}
	switch {
	case in(mix.Put):
		c.one(ctx, c.put())
	case in(mix.Get):
		c.one(ctx, c.get())
	case in(mix.CAS):
		c.one(ctx, c.cas())
	case in(mix.Incr):
		c.one(ctx, c.incr())
	case in(mix.Stale):
		o := c.get()
		o.Stale = true
		c.one(ctx, o)
	default:
		c.many(ctx, c.put(), c.incr(), c.cas(), c.incr(), c.get())
	}
}

// writeOnce puts a key that is written only once.
func (c *worker) writeOnce(ctx context.Context) {
	n := c.nextNumber()
	c.one(ctx, &history.Operation{Kind: history.Put, Key: fmt.Sprintf("%sonce/%d", c.config.Prefix, n), Value: n})
}

func (c *worker) put() *history.Operation {
	return &history.Operation{Kind: history.Put, Key: c.register(), Value: c.nextNumber()}
}

func (c *worker) get() *history.Operation {
	if c.config.Mix.Incr > 0 && rand.IntN(3) == 0 {
		return &history.Operation{Kind: history.Get, Key: c.latestCounter()}
	}
	return &history.Operation{Kind: history.Get, Key: c.register()}
}

// cas swaps the last known number of a register, or a number that is assumed to be absent.
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

// many does several operations in one batch. They do not depend on each other, and have no defined order.
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

// settle records the outcome of an operation.
func (c *worker) settle(o *history.Operation, err error) {
	o.Client, o.Path, o.Node, o.Outcome = c.id, c.path, c.node, history.OutcomeOf(err)
	if err != nil {
		o.Code = string(api.ErrorCode(err))
		return
	}
	switch {
	case o.Stale || !strings.HasPrefix(o.Key, c.registerPrefix()):
	case o.Swapped:
		c.lastKey, c.last = o.Key, o.New
	default:
		c.lastKey, c.last = o.Key, o.Value
	}
}
