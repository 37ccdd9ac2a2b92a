package founding

import (
	"sync"

	"github.com/kontiki-dev/kontiki/node/identity"
)

// order is one request on its way to the acceptor.
type order struct {
	request identity.GenesisRequest
	answer  identity.GenesisAnswer
	err     error
	done    chan struct{} // closed when answer and err are set
}

func (o *order) finish(answer identity.GenesisAnswer, err error) {
	o.answer, o.err = answer, err
	close(o.done)
}

// maxOrders bounds the requests that wait for the acceptor.
const maxOrders = 256

// orders are the requests that the acceptor has not taken yet.
type orders struct {
	mu      sync.Mutex
	waiting []*order
	closed  bool
	wake    chan struct{}
}

func newOrders() *orders { return &orders{wake: make(chan struct{}, 1)} }

// put reports whether the order waits now: not after close, and not where too many wait.
func (o *orders) put(order *order) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.waiting) >= maxOrders {
		return false
	}
	o.waiting = append(o.waiting, order)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

func (o *orders) take() []*order {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.waiting
	o.waiting = nil
	return taken
}

// close refuses what waits and all that comes later.
func (o *orders) close() {
	o.mu.Lock()
	o.closed = true
	waiting := o.waiting
	o.waiting = nil
	o.mu.Unlock()
	for _, order := range waiting {
		order.finish(identity.GenesisAnswer{}, ErrUnavailable)
	}
}
