package node

import (
	"sync"

	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// inbox is where everything waits that the loop must handle. Any goroutine may put; only the loop takes, and it
// takes everything at once, so that one pass, one message per follower and one fsync serve all that came in
// during the pass before.
type inbox struct {
	maxBytes int // of the proposals
	wake     chan struct{}

	mu      sync.Mutex
	closed  bool
	waiting intake
	spare   intake // the last one taken, emptied: its slices are used again

	// proposals wait apart, because the loop leaves them here while they could not travel anyway. held: it
	// does, so it need not be woken for more.
	proposals      []proposal
	spareProposals []proposal
	bytes          int
	held           bool
}

// intake is what one pass handles.
type intake struct {
	requests    []request
	responses   []raft.Message
	unreachable []raft.NodeID
	reads       []*forward.Read
	orders      []func(l *loop)
}

// request is a message that a peer waits on.
type request struct {
	message  raft.Message
	exchange *exchange
}

// exchange is where the answer to a request is put. Only the loop finishes it, once.
type exchange struct {
	done   chan struct{} // receives one value when the answer is there
	answer raft.Message
	err    error
}

func newExchange() *exchange { return &exchange{done: make(chan struct{}, 1)} }

func (x *exchange) finish(answer raft.Message, err error) {
	x.answer, x.err = answer, err
	x.done <- struct{}{}
}

func newInbox(maxBytes int) *inbox { return &inbox{maxBytes: maxBytes, wake: make(chan struct{}, 1)} }

// put hands the inbox to add, under its lock, and wakes the loop. It reports whether the inbox still takes things.
func (b *inbox) put(add func(in *intake)) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	add(&b.waiting)
	b.mu.Unlock()
	b.signal()
	return true
}

// order puts a function that the loop runs, and reports whether the inbox still takes things.
func (b *inbox) order(f func(l *loop)) bool {
	return b.put(func(in *intake) { in.orders = append(in.orders, f) })
}

// propose puts all commands of a call, or none: ErrOverloaded when too many wait already.
func (b *inbox) propose(c *call, commands [][]byte) error {
	size := 0
	for _, command := range commands {
		size += len(command)
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrNotReady
	}
	if len(b.proposals)+len(commands) > maxPendingCommands || (b.bytes+size > b.maxBytes && b.bytes > 0) {
		b.mu.Unlock()
		return ErrOverloaded
	}
	for i, command := range commands {
		b.proposals = append(b.proposals, proposal{command: command, call: c, slot: i})
	}
	b.bytes += size
	held := b.held
	b.mu.Unlock()
	if !held {
		b.signal()
	}
	return nil
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all that waits, but for the proposals. What it returned the time before must no longer be in use.
func (b *inbox) take() *intake {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare, b.waiting = b.waiting, b.spare
	b.waiting.reset()
	b.held = len(b.proposals) > 0
	return &b.spare
}

// takeProposals returns the proposals that wait, under the same condition.
func (b *inbox) takeProposals() []proposal {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.proposals
	clear(b.spareProposals)
	b.proposals, b.spareProposals = b.spareProposals[:0], taken
	b.bytes, b.held = 0, false
	return taken
}

// close makes every later put fail, and gives what still waits.
func (b *inbox) close() (*intake, []proposal) {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	return b.take(), b.takeProposals()
}

func (in *intake) reset() {
	clear(in.requests)
	clear(in.responses)
	clear(in.reads)
	clear(in.orders)
	in.requests, in.responses = in.requests[:0], in.responses[:0]
	in.unreachable, in.reads, in.orders = in.unreachable[:0], in.reads[:0], in.orders[:0]
}
