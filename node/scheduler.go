package node

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Forever is the limit of a Wait that only a signal ends. Every negative limit means the same, so whoever computes
// one from a deadline has to keep it from becoming negative.
const Forever time.Duration = -1

// Signals are up to four channels that a Wait looks at; nil ones never fire.
type Signals [4]<-chan struct{}

// Scheduler is all that a node knows of time and of goroutines. In production it is the machine's; the simulator gives
// one on which a whole cluster runs in one thread of control, on a clock of its own, so that one seed replays it.
//
// Only Wait, Yield and Preempt may let anything else run. The others return at once and run nothing that they were
// given before they return: they may be called with a lock held. So may the functions that WithTimeout and AfterFunc
// give.
type Scheduler interface {
	// Now is a clock for durations: it never jumps. What it shows says nothing of the time of day.
	Now() time.Time
	// Go runs f beside the caller.
	Go(f func())
	// Wait returns the place in signals of a channel that was closed or gave a value, which it took; any one of them
	// if there are several. It returns -1 when limit has passed before: 0 only looks, Forever has no limit.
	Wait(limit time.Duration, signals Signals) int
	// WithTimeout is context.WithTimeout on this clock.
	WithTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc)
	// AfterFunc runs f beside everything else when limit has passed, unless stop was called before.
	AfterFunc(limit time.Duration, f func()) (stop func())
	// Yield lets whatever else can run go first.
	Yield()
	// Preempt marks a point between two publications, where the order counts. In production, which may preempt a
	// goroutine anywhere, it does nothing; the simulator runs other goroutines here. No lock may be held.
	Preempt()
}

// machine is the Scheduler of production: goroutines, channels and timers.
type machine struct{ timers timerPool }

func (m *machine) Now() time.Time { return time.Now() }

func (m *machine) Go(f func()) { go f() }

func (m *machine) Wait(limit time.Duration, signals Signals) int {
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

func (m *machine) WithTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, limit)
}

func (m *machine) AfterFunc(limit time.Duration, f func()) (stop func()) {
	timer := time.AfterFunc(limit, f)
	return func() { timer.Stop() }
}

func (m *machine) Yield() { runtime.Gosched() }

func (m *machine) Preempt() {}

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

// together runs jobs beside each other, and returns when all of them have ended.
func together(s Scheduler, jobs []func()) {
	if len(jobs) == 0 {
		return
	}
	var left atomic.Int32
	left.Store(int32(len(jobs)))
	ended := make(chan struct{})
	for _, job := range jobs {
		s.Go(func() {
			job()
			if left.Add(-1) == 0 {
				close(ended)
			}
		})
	}
	s.Wait(Forever, Signals{ended})
}

// metronome tells when the loop's ticks are due. It keeps its beat whatever the loop does, and a loop that comes late
// gets one tick for all that it missed: a burst of them would make a node that was slow campaign at once.
type metronome struct {
	next   time.Time
	period time.Duration
}

func newMetronome(now time.Time, period time.Duration) *metronome {
	return &metronome{next: now.Add(period), period: period}
}

// left is how long it is until the next tick, 0 if it is due.
func (m *metronome) left(now time.Time) time.Duration { return max(m.next.Sub(now), 0) }

// beat tells whether a tick is due, and counts it as done.
func (m *metronome) beat(now time.Time) bool {
	late := now.Sub(m.next)
	if late < 0 {
		return false
	}
	m.next = m.next.Add((late/m.period + 1) * m.period)
	return true
}
