// Package scheduler is the node's only access to time and goroutines.
package scheduler

import (
	"context"
	"sync/atomic"
	"time"
)

// Forever is the limit of a Wait that only a signal ends. Every negative limit means the same, so a limit that is
// computed from a deadline must be kept from becoming negative.
const Forever time.Duration = -1

// Signals are up to four channels that a Wait looks at; nil ones never fire.
type Signals [4]<-chan struct{}

// Scheduler is the node's only access to time and goroutines. In production it is the machine's; the simulator gives
// one on which a whole cluster runs in one thread of control, on a clock of its own, so that one seed replays it.
//
// Only Wait, Yield and Preempt may let anything else run. The others return at once and run nothing that they were
// given before they return: they may be called with a lock held. So may the functions that WithTimeout and AfterFunc
// give.
type Scheduler interface {
	// Now is a clock for durations: it never jumps. It is not the time of day.
	Now() time.Time
	// Slept is for how long the machine was suspended since some moment: the clock of Now stood still meanwhile. It never
	// decreases.
	Slept() time.Duration
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

// Together runs jobs beside each other, and returns when all of them have ended.
func Together(s Scheduler, jobs []func()) {
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
