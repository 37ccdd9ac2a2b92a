package node

import (
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// freshness is up to when everything that was acknowledged is applied here, see raft.(*Core).Freshness.
type freshness struct {
	now     func() time.Time     // of the Scheduler
	slept   func() time.Duration // of the Scheduler
	started time.Time

	moment atomic.Uint64
}

// clock is the node's monotonic clock as the core counts it, in microseconds. It goes on while the machine is
// suspended.
func (f *freshness) clock() uint64 {
	return uint64((f.slept() + f.now().Sub(f.started)).Microseconds()) + 1
}

// publishFreshness publishes up to when everything that was acknowledged is in the state machine. It is done after each
// pass, because the applier goes on meanwhile: the age of what is published only grows, whatever holds the loop up.
func (l *loop) publishFreshness() { l.node.freshness.moment.Store(l.core.Freshness(l.node.Applied())) }

// Staleness returns a function that reports, whenever it is called, how old the state may be that the state machine had
// at the call of Staleness: everything that was acknowledged anywhere longer ago is in it. The age is rounded up; false
// if nothing is known yet. A reader takes the function before it reads and calls it afterwards, so that what it has
// read is not taken for younger because the process was stopped, and then caught up, in between.
func (f *freshness) Staleness() func() (time.Duration, bool) {
	moment := f.moment.Load()
	return func() (time.Duration, bool) { return f.ageOf(moment) }
}

func (f *freshness) ageOf(moment uint64) (time.Duration, bool) {
	switch moment {
	case 0:
		return 0, false
	case raft.Always:
		return 0, true
	default:
		return time.Duration(f.clock()+1-moment) * time.Microsecond, true
	}
}

// stalenessMs is the staleness as the status has it.
func (f *freshness) stalenessMs() int64 {
	age, known := f.ageOf(f.moment.Load())
	if !known {
		return -1
	}
	return (age + time.Millisecond - 1).Milliseconds()
}
