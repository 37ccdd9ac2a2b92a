package transport

import (
	"context"
	"slices"
	"sync"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// queue holds the messages that wait for one lane of one peer. It is bounded, and pushing never blocks (trap H2).
type queue struct {
	limit int
	// newestOnly keeps one message of each type: a heartbeat or a vote request makes the one before it useless.
	newestOnly bool
	// ready has a token whenever messages may wait.
	ready chan struct{}

	mu      sync.Mutex
	closed  bool
	waiting []raft.Message
}

func newQueue(limit int, newestOnly bool) *queue {
	return &queue{limit: limit, newestOnly: newestOnly, ready: make(chan struct{}, 1)}
}

// push adds a message, and reports whether there was room for it.
func (q *queue) push(m raft.Message) bool {
	q.mu.Lock()
	if q.newestOnly {
		q.waiting = slices.DeleteFunc(q.waiting, func(old raft.Message) bool { return old.Type == m.Type })
	}
	fits := len(q.waiting) < q.limit && !q.closed
	if fits {
		q.waiting = append(q.waiting, m)
	}
	q.mu.Unlock()
	if fits {
		q.signal()
	}
	return fits
}

// pop waits for a message and takes the oldest. It returns false once the context has ended.
func (q *queue) pop(ctx context.Context) (raft.Message, bool) {
	for {
		if m, ok := q.take(); ok {
			return m, true
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return raft.Message{}, false
		}
	}
}

func (q *queue) take() (raft.Message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return raft.Message{}, false
	}
	m := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	if len(q.waiting) > 0 {
		q.signal() // another goroutine of the lane may take the next one
	}
	return m, true
}

// clear drops everything that waits.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.waiting)
	q.waiting = q.waiting[:0]
}

// close drops everything that waits, and has room for nothing from then on.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.clear()
}

// depth is the number of messages that wait.
func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
