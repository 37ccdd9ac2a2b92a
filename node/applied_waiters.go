package node

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// appliedWaiters wakes those who wait for an index to be applied.
type appliedWaiters struct {
	count atomic.Int32
	mu    sync.Mutex
	list  []appliedWaiter
}

type appliedWaiter struct {
	index raft.Index
	done  chan struct{}
}

func (a *appliedWaiters) add(index raft.Index) appliedWaiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := appliedWaiter{index, make(chan struct{})}
	a.list = append(a.list, w)
	a.count.Add(1)
	return w
}

// remove forgets who gave up: an index that a client made up may never be applied.
func (a *appliedWaiters) remove(w appliedWaiter) {
	select {
	case <-w.done:
		return // woken, so it is not in the list
	default:
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.list, w); i >= 0 {
		a.list = slices.Delete(a.list, i, i+1)
		a.count.Add(-1)
	}
}

func (a *appliedWaiters) wake(applied raft.Index) {
	if a.count.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	left := a.list[:0]
	for _, w := range a.list {
		if w.index <= applied {
			close(w.done)
			a.count.Add(-1)
		} else {
			left = append(left, w)
		}
	}
	clear(a.list[len(left):])
	a.list = left
}
