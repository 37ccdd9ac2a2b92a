package engine

import (
	"container/heap"
	"context"
	"math"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// epoch is when every simulated clock begins.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// Process is one run of a program: its memory, its tasks, its clock. When it is killed, everything in it is gone at
// once. It is the scheduler.Scheduler of the node that runs in it.
type Process struct {
	world *World
	home  *Machine // nil: the clients' process
	life  int      // of the machine
	Node  *node.Node

	tasks  []*task
	waits  uint64
	ended  bool
	frozen time.Duration // stopped until this time of the world, if that lies ahead
	asleep bool          // the machine sleeps meanwhile: the clock stands still, and so do the timers
	since  time.Duration // when it fell asleep
	slept  time.Duration // in all, before, by its own clock
	parked []*event      // that came due meanwhile
	mail   []func()      // that arrived meanwhile

	began time.Duration // world time
	rate  float64       // how fast its clock runs: 1 is right

	Ctx  context.Context // of what it does for others; cancelled by a graceful stop
	Stop context.CancelFunc
}

// NewProcess makes a process on a machine (nil: of the clients), whose clock runs at a rate; 1 is right.
func (w *World) NewProcess(home *Machine, rate float64) *Process {
	p := &Process{world: w, home: home, began: w.now, rate: rate}
	if home != nil {
		p.life = home.Lives
	}
	w.slowest = min(w.slowest, rate)
	p.Ctx, p.Stop = context.WithCancel(context.Background())
	return p
}

// ID is the member id of the node in the process; 0 for the clients.
func (p *Process) ID() raft.NodeID {
	if p.home == nil {
		return 0
	}
	return p.home.ID
}

// Kill ends the process between two instructions. Its tasks unwind without effect on the world.
func (p *Process) Kill() {
	p.ended = true
	for _, t := range p.tasks {
		t.stop()
	}
	p.tasks = nil
	p.Stop()
	for _, deliver := range p.mail {
		p.world.After(0, nil, deliver) // to the task that listens then
	}
	p.parked, p.mail = nil, nil
}

// freeze stops the process between two instructions, as SIGSTOP does: its clock goes on, so its timers are due when it
// goes on. If the whole machine falls asleep instead, as in a suspend to memory, the clock for durations stands still
// and only the wall clock shows how long it was.
func (p *Process) freeze(d time.Duration, asleep bool) {
	w := p.world
	if asleep && !p.asleep {
		p.asleep, p.since = true, w.now
	}
	p.frozen = max(p.frozen, w.now+d)
	w.After(d, nil, func() {
		if !p.ended && p.frozen == w.now {
			p.thaw()
			w.Settle(p)
		}
	})
}

// isFrozen reports whether the process is stopped.
func (p *Process) isFrozen() bool { return p.frozen > p.world.now }

// thaw lets the process go on. What came due meanwhile happens now.
func (p *Process) thaw() {
	w := p.world
	slept := time.Duration(0)
	if p.asleep {
		slept = w.now - p.since
	}
	p.began += slept
	p.slept += time.Duration(float64(slept) * p.rate)
	p.frozen, p.asleep = 0, false
	for _, e := range p.parked {
		heap.Push(&w.agenda, e)
	}
	p.parked = nil
	for _, e := range w.agenda {
		if e.process == p {
			e.at = max(e.at+slept, w.now)
		}
	}
	heap.Init(&w.agenda)
	for _, deliver := range p.mail {
		w.After(0, nil, deliver)
	}
	p.mail = nil
}

// elapsed is the time since the process began, by its own clock.
func (p *Process) elapsed() time.Duration {
	now := p.world.now
	if p.asleep {
		now = p.since
	}
	return time.Duration(float64(now-p.began) * p.rate)
}

// Now is the clock for durations: it may run fast or slow. It never goes back; it jumps ahead only while the process is
// stopped.
func (p *Process) Now() time.Time { return epoch.Add(p.elapsed()) }

// Slept is for how long the clock of Now stood still because the machine slept, or sleeps.
func (p *Process) Slept() time.Duration {
	if !p.asleep {
		return p.slept
	}
	return p.slept + time.Duration(float64(p.world.now-p.since)*p.rate)
}

// wall is the wall clock, which may jump as well. It continues over the runs of a machine.
func (p *Process) wall() time.Time {
	return epoch.Add(p.began + p.elapsed() + p.home.ClockOffset)
}

// worldTime converts a duration on the process's clock to the world's, rounding up: after it, the limit has passed.
func (p *Process) worldTime(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(float64(d) / p.rate))
}

// Wait blocks the running task until a signal fires or the limit has passed.
func (p *Process) Wait(limit time.Duration, signals scheduler.Signals) int {
	if p.ended {
		panic(killed{})
	}
	t := p.world.running
	if t == nil || t.process != p {
		panic("sim: a wait outside of a task of this process")
	}
	p.waits++
	t.wait, t.due, t.signals = p.waits, false, signals
	defer func() { t.signals = scheduler.Signals{} }()
	if i := p.take(signals); i >= 0 {
		return i
	}
	if limit == 0 {
		return -1
	}
	if limit > 0 {
		e := p.world.plan(p.worldTime(limit), p)
		e.task, e.wait = t, t.wait
	}
	for {
		t.block()
		if i := p.take(signals); i >= 0 {
			return i
		}
		if t.due {
			return -1
		}
	}
}

// take receives from one of the channels that fire, any of them, and gives its place; -1 if none does.
func (p *Process) take(signals scheduler.Signals) int {
	found, count := -1, 0
	for i, signal := range signals {
		if !fires(signal) {
			continue
		}
		count++
		if count == 1 || p.world.order.IntN(count) == 0 {
			found = i
		}
	}
	if found >= 0 {
		<-signals[found]
	}
	return found
}

// Sleep lets time pass for the running task, by the world's clock.
func (p *Process) Sleep(d time.Duration) {
	p.Wait(max(1, time.Duration(float64(d)*p.rate)), scheduler.Signals{})
}

// WithTimeout returns a context that ends by the process's clock.
func (p *Process) WithTimeout(parent context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	p.world.After(p.worldTime(limit), p, func() { cancel(context.DeadlineExceeded) })
	return timeoutContext{ctx}, func() { cancel(context.Canceled) }
}

// timeoutContext returns why it ended, as the contexts of package context do.
type timeoutContext struct{ context.Context }

func (c timeoutContext) Err() error {
	if c.Context.Err() == nil {
		return nil
	}
	return context.Cause(c.Context)
}

// AfterFunc runs f as a task of its own when the limit has passed, unless it was stopped before.
func (p *Process) AfterFunc(limit time.Duration, f func()) (stop func()) {
	stopped := false
	p.world.After(p.worldTime(limit), p, func() {
		if !stopped {
			p.Go(f)
		}
	})
	return func() { stopped = true }
}

// Preempt lets other tasks run here.
func (p *Process) Preempt() { p.Yield() }

// Yield lets any other task go first.
func (p *Process) Yield() {
	if p.ended {
		panic(killed{})
	}
	p.waits++
	t := p.world.running
	t.wait, t.due, t.signals = p.waits, true, scheduler.Signals{}
	t.block()
}
