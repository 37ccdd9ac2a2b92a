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
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// A key is used for a while only, so that the history of each stays short enough to be checked.
const (
	keysAtOnce = 4
	keyLife    = 120 // operations
)

// clients are the programs that use the store. They are one process, which never ends, with a task for each.
type clients struct {
	world   *Cluster
	process *engine.Process
	chance  *rand.Rand
	leases  *rand.Rand // decides which reads may be served under a lease
	history []*check.Operation
	clock   int64 // of calls and returns
	numbers int64 // that were used
	deleted map[string]bool

	think  time.Duration
	limit  time.Duration // of one attempt
	batch  int           // largest
	reads  int           // of 10 operations
	sticky bool          // a client stays with a node while it answers
	leased int           // of 4 linearizable reads
	// compacts: now and then a client compacts the history.
	compacts bool
}

// Operations counts what the clients did.
type Operations struct {
	Done    int `json:"done"`
	Refused int `json:"refused"`
	Unknown int `json:"unknown"`
	Leased  int `json:"leased"` // reads that were served under a lease
}

// Add adds the counts of others.
func (n *Operations) Add(more Operations) {
	n.Done += more.Done
	n.Refused += more.Refused
	n.Unknown += more.Unknown
	n.Leased += more.Leased
}

func (c *clients) operations() Operations {
	var n Operations
	for _, o := range c.history {
		if o.Leased {
			n.Leased++
		}
		switch o.Outcome {
		case check.Done:
			n.Done++
		case check.Refused:
			n.Refused++
		case check.Unknown:
			n.Unknown++
		}
	}
	return n
}

// StartClients starts the clients.
func (c *Cluster) StartClients() {
	rng := c.Stream(engine.StreamClients)
	c.clients = clients{
		world: c, process: c.NewProcess(nil, 1), chance: rng, deleted: map[string]bool{},
		think: time.Duration(1+rng.IntN(60)) * time.Millisecond,
		limit: time.Duration(200+rng.IntN(6000)) * time.Millisecond,
		batch: 1 + rng.IntN(5), reads: 1 + rng.IntN(8), sticky: rng.IntN(2) == 0,
		compacts: rng.IntN(3) == 0, leases: c.Stream(engine.StreamLeases),
	}
	c.clients.leased = c.clients.leases.IntN(5)
	for i := range c.Config.Clients {
		c.clients.process.Go(func() { c.clients.work(i + 1) })
	}
	c.Settle(c.clients.process)
}

// work runs one client.
func (c *clients) work(client int) {
	at, seen := c.world.Machines[c.chance.IntN(len(c.world.Machines))], uint64(0)
	for !c.world.healed {
		c.process.Sleep(time.Duration(c.chance.Int64N(int64(2*c.think)) + 1))
		if !c.sticky || c.chance.IntN(20) == 0 {
			at = c.world.Machines[c.chance.IntN(len(c.world.Machines))]
		}
		if c.compacts && seen > 0 && c.chance.IntN(50) == 0 {
			c.compact(at, 1+c.chance.Uint64N(seen))
		}
		operations := c.draw(client, seen)
		for attempt := 0; ; attempt++ {
			c.attempt(at, operations)
			if operations[0].Outcome == check.Done {
				seen = max(seen, operations[0].Revision)
				break
			}
			at = c.world.Machines[c.chance.IntN(len(c.world.Machines))]
			if !allRefused(operations) || attempt == 2 || c.world.healed {
				break // an operation that may have been done is never sent again
			}
		}
		c.over(operations)
	}
}

// compact asks a machine to compact the history, and does not wait for the answer.
func (c *clients) compact(at *engine.Machine, revision uint64) {
	command := (&kv.Compact{Revision: revision}).AppendJSON(nil)
	c.world.After(c.world.Config.Latency, nil, func() {
		p := at.Process
		if p == nil || p.Node == nil {
			return
		}
		p.Go(func() { p.Node.Propose(p.Ctx, [][]byte{command}) })
		c.world.Settle(p)
	})
}

func allRefused(operations []*check.Operation) bool {
	for _, o := range operations {
		if o.Outcome != check.Refused {
			return false
		}
	}
	return true
}

// kinds are the writes of clients, the frequent ones twice.
var kinds = []kv.Op{
	kv.OpSet, kv.OpSet, kv.OpIncr, kv.OpIncr, kv.OpCAS, kv.OpCAS, kv.OpTxn, kv.OpTxn, kv.OpDelete,
}

// draw draws the next operations of a client: one, or a batch of writes.
func (c *clients) draw(client int, seen uint64) []*check.Operation {
	count := 1
	isRead := c.chance.IntN(10) < c.reads
	if !isRead && c.chance.IntN(4) == 0 {
		count = 1 + c.chance.IntN(c.batch)
	}
	operations := make([]*check.Operation, count)
	for i := range operations {
		o := &check.Operation{Client: client, Kind: kv.OpGet}
		generation, place := len(c.history)/keyLife, c.chance.IntN(keysAtOnce)
		o.Key = fmt.Sprintf("%d.%d", generation, place)
		if !isRead {
			c.numbers++
			o.Number = c.numbers
			o.Kind = kinds[c.chance.IntN(len(kinds))]
			if o.Kind == kv.OpDelete && c.deleted[o.Key] {
				o.Kind = kv.OpPut // a second delete would have the text of the first
			}
			c.deleted[o.Key] = c.deleted[o.Key] || o.Kind == kv.OpDelete
			o.Expect, o.Match = c.guess(o.Key)
			o.IfMatch = o.Kind == kv.OpSet && c.chance.IntN(3) == 0
		} else if c.chance.IntN(5) < 2 {
			c.loosen(o, seen)
		} else {
			o.Lease = c.leases.IntN(4) < c.leased
		}
		operations[i] = o
		c.history = append(c.history, o)
	}
	c.clock++
	for _, o := range operations {
		o.Call = c.clock
	}
	return operations
}

// bounds are how old a state the clients accept: from less than a heartbeat interval to longer than most faults last.
var bounds = []time.Duration{
	0, 30 * time.Millisecond, 120 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	3 * time.Second, 20 * time.Second, 2 * time.Minute,
}

// loosen makes a read accept less than the newest state.
func (c *clients) loosen(o *check.Operation, seen uint64) {
	o.Fresh = check.Stale + check.Freshness(c.chance.IntN(4))
	switch o.Fresh {
	case check.Past:
		const ahead = 3 // that no node may have applied yet
		o.At = 1 + c.chance.Uint64N(seen+ahead)
	case check.Bounded:
		o.Least = seen
	case check.Recent:
		o.MaxStale = bounds[c.chance.IntN(len(bounds))]
	case check.Linearizable, check.Stale:
	}
}

// guess returns a value that the key may have, and its revision: the last that any client saw.
func (c *clients) guess(key string) (value string, revision uint64) {
	for i := len(c.history) - 1; i >= max(0, len(c.history)-40); i-- {
		o := c.history[i]
		if o.Key != key || o.Outcome != check.Done || o.Reason != nil {
			continue
		}
		switch {
		case o.IsRead() && o.Found:
			return o.Value, o.Revision
		case o.Kind == kv.OpIncr:
			return o.Value, o.Revision
		case o.Writes():
			return fmt.Sprint(o.Number), o.Revision
		case o.Kind == kv.OpDelete:
			return "null", 0
		}
	}
	return "null", 0
}

// over records that the client has its answer.
func (c *clients) over(operations []*check.Operation) {
	c.clock++
	for _, o := range operations {
		o.Back = c.clock
		c.world.Digest.Add(uint64(o.Outcome), o.Revision, uint64(o.Index), uint64(o.Call))
		if c.world.Config.Trace != nil {
			c.world.Note("%v", o)
		}
	}
}

// attempt sends operations to a machine and waits for its answer, up to the client's limit. Clients and nodes are never
// cut off from each other, but a message in flight is lost if a process is killed.
func (c *clients) attempt(at *engine.Machine, operations []*check.Operation) {
	w := c.world
	for _, o := range operations {
		o.Node, o.Outcome, o.Reason = at.ID, check.Unknown, engine.ErrHungUp
	}
	answered := make(chan struct{}, 1)
	answer := func(set func()) {
		w.After(w.Config.Latency, c.process, func() {
			select {
			case answered <- struct{}{}:
				set()
			default:
			}
		})
	}
	given := false // up: later answers are not for this attempt
	hangUp := func() {}
	w.After(w.Config.Latency, nil, func() {
		p := at.Process
		if p == nil || p.Node == nil {
			answer(func() {
				for _, o := range operations {
					o.Outcome, o.Reason = check.Refused, node.ErrNotSent
				}
			})
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		hangUp = func() {
			cancel()
			w.Settle(p)
		}
		p.MayCancel(cancel)
		p.Go(func() {
			set := c.serve(ctx, p, operations)
			cancel()
			answer(func() {
				if !given {
					set()
				}
			})
		})
		w.Settle(p)
	})
	if c.process.Wait(c.limit, scheduler.Signals{answered}) < 0 {
		w.After(w.Config.Latency, nil, func() { hangUp() }) // the connection is closed, and the handler's context ends
	}
	given = true
}

// Ask sends one more request as the clients do, and waits for its answer up to a limit. Then it calls answered.
func (c *Cluster) Ask(m *engine.Machine, limit time.Duration, operations []*check.Operation, answered func()) {
	n := &c.clients
	n.clock++
	for _, o := range operations {
		o.Call = n.clock
		n.history = append(n.history, o)
	}
	usual := n.limit
	n.limit = limit
	n.process.Go(func() {
		n.attempt(m, operations)
		n.over(operations)
		answered()
	})
	c.Settle(n.process)
	n.limit = usual
}

// NextNumber returns a number that no client has written.
func (c *Cluster) NextNumber() int64 {
	c.clients.numbers++
	return c.clients.numbers
}

// serve does what the REST handlers do with a request. It returns what the client learns from the answer. A request
// whose context ends is answered too: the caller may be a program with a limit for the call.
func (c *clients) serve(ctx context.Context, p *engine.Process, operations []*check.Operation) func() {
	first := operations[0]
	if first.IsRead() {
		return c.serveRead(ctx, p, first)
	}
	commands := make([][]byte, len(operations))
	for i, o := range operations {
		commands[i] = o.Command()
	}
	outcomes := p.Node.Propose(ctx, commands)
	spoiled := c.world.Watch.AnySpoiled()
	return func() {
		for i, o := range operations {
			o.Finish(outcomes[i])
			if spoiled && o.Outcome == check.Done { // the leader may have answered from a wrong state
				o.Outcome, o.Reason = check.Unknown, check.ErrSpoiled
			}
		}
	}
}

func (c *clients) serveRead(ctx context.Context, p *engine.Process, o *check.Operation) func() {
	differs := c.world.Machines[p.ID()-1].Disk.StateDiffers()
	answer := c.serveSound(ctx, p, o)
	return func() {
		if answer(); differs && o.Outcome == check.Done {
			c.world.Broken("a state that differs is not served", "node %d answers %v", p.ID(), o)
		}
	}
}

// serveSound serves a read unless the state differs, as the REST handlers do.
func (c *clients) serveSound(ctx context.Context, p *engine.Process, o *check.Operation) func() {
	if err := p.Node.Sound(); err != nil {
		return c.answer(p, o, kv.Record{}, false, err)
	}
	switch o.Fresh {
	case check.Recent:
		return c.serveRecent(p, o)
	case check.Past:
		return c.servePast(p, o)
	case check.Linearizable, check.Stale, check.Bounded:
	}
	if o.Lease {
		return c.serveLeased(ctx, p, o)
	}
	var err error
	watch, committed := c.world.Watch, c.world.Watch.Committed.Last()
	switch o.Fresh {
	case check.Linearizable:
		if err = p.Node.ReadBarrier(ctx); err == nil {
			c.world.check(watch.LinearizableRead(p.ID(), committed, p.Node.Applied()))
			if o.Call%backupEvery == 0 {
				return c.serveBackup(ctx, p, o, committed)
			}
		}
	case check.Bounded:
		if err = p.Node.AwaitApplied(ctx, raft.Index(o.Least)); err == nil {
			c.world.check(watch.BoundedRead(p.ID(), o.Least, p.Node.Applied()))
		}
	case check.Stale, check.Recent, check.Past:
	}
	record, found := p.Node.Get(o.Key)
	return c.answer(p, o, record, found, err)
}

// serveLeased serves a read under a lease as the REST handler does: if the lease has ended when the state was read, it
// reads again after a read barrier.
func (c *clients) serveLeased(ctx context.Context, p *engine.Process, o *check.Operation) func() {
	w, committed := c.world, c.world.Watch.Committed.Last()
	read, err := p.Node.BeginLeaseRead(ctx)
	if err != nil {
		return c.answer(p, o, kv.Record{}, false, err)
	}
	p.Preempt() // a handler may be preempted anywhere
	applied := p.Node.Applied()
	record, found := p.Node.Get(o.Key)
	p.Preempt()
	leased := read.Leased()
	if !read.Holds() {
		leased, err = false, p.Node.ReadBarrier(ctx)
		applied = p.Node.Applied()
		record, found = p.Node.Get(o.Key)
	}
	if err == nil {
		w.check(w.Watch.LinearizableRead(p.ID(), committed, applied))
	}
	answer := c.answer(p, o, record, found, err)
	return func() {
		answer()
		o.Leased = leased && o.Outcome == check.Done
	}
}

// servePast serves a read as of a revision, from whatever state the node has.
func (c *clients) servePast(p *engine.Process, o *check.Operation) func() {
	var record kv.Record
	var found bool
	var err error
	p.Node.Inspect(func(_ *raft.Core, store *kv.Store) {
		record, found, err = store.GetAt(o.Key, o.At)
		if !c.world.Watch.Astray(p.ID()) {
			c.world.check(c.world.Watch.PastRead(p.ID(), o, raft.Index(store.Applied()), err))
		}
	})
	return c.answer(p, o, record, found, err)
}

// serveRecent serves a read with a bound on its age as the REST handler does: it checks the age of the state before it
// reads, and checks it again after it has read.
func (c *clients) serveRecent(p *engine.Process, o *check.Operation) func() {
	w, age := c.world, p.Node.Staleness()
	called, applied := w.Now(), p.Node.Applied()
	if _, err := o.JudgeAge(age); err != nil {
		return func() { o.Answer(kv.Record{}, false, err) }
	}
	p.Preempt() // a handler may be preempted anywhere
	record, found := p.Node.Get(o.Key)
	p.Preempt()
	old, err := o.JudgeAge(age)
	if err == nil {
		moment := w.Moment(old)
		if len(w.Machines) == 1 {
			moment = called // a node that is the whole cluster has no age, however long its handler takes
		}
		w.check(w.Watch.RecentRead(p.ID(), o, applied, moment))
		o.Least = uint64(w.Watch.Committed.AppliedBefore(moment))
	}
	return c.answer(p, o, record, found, err)
}

// answer returns what a client learns from the answer to a read. A state with a forged entry in it is not judged.
func (c *clients) answer(p *engine.Process, o *check.Operation, record kv.Record, found bool, err error) func() {
	astray := c.world.Watch.Astray(p.ID())
	if err == nil {
		err = p.Node.Sound()
	}
	return func() {
		if o.Answer(record, found, err); astray {
			o.Outcome, o.Reason = check.Unknown, check.ErrForged
		}
	}
}
