package scheduler

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Machine is the Scheduler of production: goroutines, channels and timers.
type Machine struct {
	timers timerPool
	slept  atomic.Int64 // nanoseconds, as far as is known
}

// Now is time.Now.
func (m *Machine) Now() time.Time { return time.Now() }

// Go starts a goroutine.
func (m *Machine) Go(f func()) { go f() }

// Wait implements Scheduler.
func (m *Machine) Wait(limit time.Duration, signals Signals) int {
	// Under load something is there already, and a timer would be wasted.
	for place, signal := range signals {
		select {
		case <-signal:
			return place
		default:
		}
	}
	var over <-chan time.Time
	switch {
	case limit == 0:
		return -1
	case limit > 0:
		timer := m.timers.get(limit)
		defer m.timers.put(timer)
		over = timer.C
	}
	select {
	case <-signals[0]:
		return 0
	case <-signals[1]:
		return 1
	case <-signals[2]:
		return 2
	case <-signals[3]:
		return 3
	case <-over:
		return -1
	}
}

// WithTimeout is context.WithTimeout.
func (m *Machine) WithTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, limit)
}

// AfterFunc is time.AfterFunc.
func (m *Machine) AfterFunc(limit time.Duration, f func()) (stop func()) {
	timer := time.AfterFunc(limit, f)
	return func() { timer.Stop() }
}

// Yield is runtime.Gosched.
func (m *Machine) Yield() { runtime.Gosched() }

// Preempt does nothing.
func (m *Machine) Preempt() {}

// timerPool lends timers, because a request needs one and making one costs more than using one.
type timerPool struct{ pool sync.Pool }

func (p *timerPool) get(d time.Duration) *time.Timer {
	if t, ok := p.pool.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (p *timerPool) put(t *time.Timer) {
	t.Stop() // since Go 1.23 a stopped timer's channel holds nothing stale
	p.pool.Put(t)
}
