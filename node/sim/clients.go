package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Keys are left behind after a while, so that the history of each stays short enough to be checked.
const (
	keysAtOnce = 4
	keyLife    = 120 // operations
)

// clients are the programs that use the store. They are one process, which never dies, with a task for each.
type clients struct {
	world   *World
	process *process
	chance  *rand.Rand
	history []*operation
	clock   int64 // of calls and returns
	numbers int64 // that were used
	deleted map[string]bool

	think  time.Duration
	limit  time.Duration // of one attempt
	batch  int           // largest
	reads  int           // of 10 operations
	sticky bool          // a client stays with a node while it answers
}

// Operations counts what the clients did.
type Operations struct {
	Done    int `json:"done"`
	Refused int `json:"refused"`
	Unknown int `json:"unknown"`
}

// Add adds what others did.
func (n *Operations) Add(more Operations) {
	n.Done += more.Done
	n.Refused += more.Refused
	n.Unknown += more.Unknown
}

func (c *clients) operations() Operations {
	var n Operations
	for _, o := range c.history {
		switch o.outcome {
		case done:
			n.Done++
		case refused:
			n.Refused++
		case unknown:
			n.Unknown++
		}
	}
	return n
}

func (w *World) startClients() {
	rng := w.cfg.stream(streamClients)
	w.clients = clients{
		world: w, process: w.newProcess(nil, 1), chance: rng, deleted: map[string]bool{},
		think: time.Duration(1+rng.IntN(60)) * time.Millisecond,
		limit: time.Duration(200+rng.IntN(6000)) * time.Millisecond,
		batch: 1 + rng.IntN(5), reads: 1 + rng.IntN(8), sticky: rng.IntN(2) == 0,
	}
	for i := range w.cfg.Clients {
		w.clients.process.Go(func() { w.clients.work(i + 1) })
	}
	w.settle(w.clients.process)
}

// work is the life of one client.
func (c *clients) work(client int) {
	at, seen := c.world.machines[c.chance.IntN(len(c.world.machines))], uint64(0)
	for !c.world.healed {
		c.process.sleep(time.Duration(c.chance.Int64N(int64(2*c.think)) + 1))
		if !c.sticky || c.chance.IntN(20) == 0 {
			at = c.world.machines[c.chance.IntN(len(c.world.machines))]
		}
		operations := c.draw(client, seen)
		for attempt := 0; ; attempt++ {
			c.attempt(at, operations)
			if operations[0].outcome == done {
				seen = max(seen, operations[0].revision)
				break
			}
			at = c.world.machines[c.chance.IntN(len(c.world.machines))]
			if !allRefused(operations) || attempt == 2 || c.world.healed {
				break // what may have been done is never sent again
			}
		}
		c.over(operations)
	}
}

func allRefused(operations []*operation) bool {
	for _, o := range operations {
		if o.outcome != refused {
			return false
		}
	}
	return true
}

// draw makes the next operations of a client: one, or a batch of writes.
func (c *clients) draw(client int, seen uint64) []*operation {
	count := 1
	isRead := c.chance.IntN(10) < c.reads
	if !isRead && c.chance.IntN(4) == 0 {
		count = 1 + c.chance.IntN(c.batch)
	}
	operations := make([]*operation, count)
	for i := range operations {
		o := &operation{client: client, kind: kv.OpGet}
		generation, place := len(c.history)/keyLife, c.chance.IntN(keysAtOnce)
		o.key = fmt.Sprintf("%d.%d", generation, place)
		if !isRead {
			c.numbers++
			o.number = c.numbers
			o.kind = []kv.Op{kv.OpSet, kv.OpSet, kv.OpIncr, kv.OpIncr, kv.OpCAS, kv.OpCAS, kv.OpDelete}[c.chance.IntN(7)]
			if o.kind == kv.OpDelete && c.deleted[o.key] {
				o.kind = kv.OpPut // a second delete would have the text of the first
			}
			c.deleted[o.key] = c.deleted[o.key] || o.kind == kv.OpDelete
			o.expect, o.match = c.guess(o.key)
			o.ifMatch = o.kind == kv.OpSet && c.chance.IntN(3) == 0
		} else if c.chance.IntN(5) < 2 {
			c.loosen(o, seen)
		}
		operations[i] = o
		c.history = append(c.history, o)
	}
	c.clock++
	for _, o := range operations {
		o.call = c.clock
	}
	return operations
}

// bounds are how old a state the clients accept: from less than a heartbeat interval to longer than most faults last.
var bounds = []time.Duration{
	0, 30 * time.Millisecond, 120 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	3 * time.Second, 20 * time.Second, 2 * time.Minute,
}

// loosen makes a read one that asks for less than the newest.
func (c *clients) loosen(o *operation, seen uint64) {
	o.fresh = stale + freshness(c.chance.IntN(3))
	switch o.fresh {
	case bounded:
		o.least = seen
	case recent:
		o.maxStale = bounds[c.chance.IntN(len(bounds))]
	case linearizable, stale:
	}
}

// guess gives a value that the key may have, and its revision: the last that anybody saw of it.
func (c *clients) guess(key string) (value string, revision uint64) {
	for i := len(c.history) - 1; i >= max(0, len(c.history)-40); i-- {
		o := c.history[i]
		if o.key != key || o.outcome != done || o.reason != nil {
			continue
		}
		switch {
		case o.isRead() && o.found:
			return o.value, o.revision
		case o.kind == kv.OpIncr:
			return o.value, o.revision
		case o.writes():
			return fmt.Sprint(o.number), o.revision
		case o.kind == kv.OpDelete:
			return "null", 0
		}
	}
	return "null", 0
}

// over notes that the client has its answer.
func (c *clients) over(operations []*operation) {
	c.clock++
	for _, o := range operations {
		o.back = c.clock
		c.world.digest.mix(uint64(o.outcome), o.revision, uint64(o.index), uint64(o.call))
		if c.world.cfg.Trace != nil {
			c.world.note(note{kind: noteClient, text: o.String()})
		}
	}
}

// attempt sends operations to a machine and waits for its answer, as long as the client has patience. Clients and
// nodes are never cut off from each other, but what is on its way when a process dies is lost.
func (c *clients) attempt(at *machine, operations []*operation) {
	w := c.world
	for _, o := range operations {
		o.node, o.outcome, o.reason = at.id, unknown, errHungUp
	}
	answered := make(chan struct{}, 1)
	answer := func(set func()) {
		w.after(w.network.latency, c.process, func() {
			select {
			case answered <- struct{}{}:
				set()
			default:
			}
		})
	}
	given := false // up: what comes later is not for this attempt
	hangUp := func() {}
	w.after(w.network.latency, nil, func() {
		p := at.process
		if p == nil || p.node == nil {
			answer(func() {
				for _, o := range operations {
					o.outcome, o.reason = refused, node.ErrNotSent
				}
			})
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		hangUp = func() {
			cancel()
			w.settle(p)
		}
		p.mayCancel(cancel)
		p.Go(func() {
			set := serve(ctx, p, operations)
			cancel()
			answer(func() {
				if !given {
					set()
				}
			})
		})
		w.settle(p)
	})
	if c.process.Wait(c.limit, scheduler.Signals{answered}) < 0 {
		w.after(w.network.latency, nil, func() { hangUp() }) // the connection is closed, and the handler's context ends
	}
	given = true
}

// mayCancel ends the context of a call at some moment, if chance wants it.
func (p *process) mayCancel(cancel context.CancelFunc) {
	w := p.world
	if w.healed || !w.mix.happens(w.network.chance, Cancel) {
		return
	}
	w.count(Cancel)
	w.after(w.mix.lasts(w.network.chance, Cancel), p, cancel)
}

// serve is what the REST handlers do with a request. It gives what the client learns from the answer. One whose context
// ends is answered all the same: the caller may be a program that has given the call a limit.
func serve(ctx context.Context, p *process, operations []*operation) func() {
	first := operations[0]
	if first.isRead() {
		return serveRead(ctx, p, first)
	}
	commands := make([][]byte, len(operations))
	for i, o := range operations {
		commands[i] = o.command()
	}
	outcomes := p.node.Propose(ctx, commands)
	return func() {
		for i, o := range operations {
			o.finish(outcomes[i])
		}
	}
}

// readBarrier waits as a linearizable read does, and looks whether the node then has all that anybody had committed
// when the wait began (thesis 6.4). The clients see a stale read only if it is about a key that just changed; this sees
// the others.
func readBarrier(ctx context.Context, p *process) error {
	committed := p.world.ledger.last()
	err := p.node.ReadBarrier(ctx)
	if has := p.node.Applied(); err == nil && has < committed {
		p.world.broken("a linearizable read sees all that was committed",
			"node %d serves one that has waited, and has applied %d; when it came, %d was committed", p.id(), has, committed)
	}
	return err
}

func serveRead(ctx context.Context, p *process, o *operation) func() {
	if o.fresh == recent {
		return serveRecent(p, o)
	}
	var err error
	switch o.fresh {
	case linearizable:
		err = readBarrier(ctx, p)
	case bounded:
		err = p.node.AwaitApplied(ctx, raft.Index(o.least))
		if has := p.node.Applied(); err == nil && uint64(has) < o.least {
			p.world.broken("a bounded read waits for its revision",
				"node %d serves one that wants revision %d, and has applied %d", p.id(), o.least, has)
		}
	case stale, recent:
	}
	record, found := p.node.Get(o.key)
	astray := p.home.astray
	return func() {
		if o.answer(record, found, err); astray {
			o.outcome, o.reason = unknown, errForged
		}
	}
}

// answer notes what became of a read.
func (o *operation) answer(record kv.Record, found bool, err error) {
	if err != nil {
		o.outcome, o.reason = refused, err
		return
	}
	o.outcome, o.reason, o.found = done, nil, found
	o.revision, o.value = record.ModRevision, string(record.Value)
}
