package engine

import (
	"iter"
	"runtime/debug"

	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// task is one flow of control of a process: what production runs as a goroutine. Here it is a coroutine, and runs
// only while the world resumes it, until it waits again. So one task runs at a time, and only chance, drawn from
// the seed, decides which.
type task struct {
	process *Process
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool

	signals scheduler.Signals // what it waits for
	fresh   bool              // it never ran
	due     bool              // the limit of its wait has passed
	wait    uint64            // number of its wait, so that the timer of an older one has no effect
	late    bool              // it could go on, but chance holds it up
	heldUp  bool              // it was held up in this wait already
}

// killed is what unwinds the tasks of a process that was killed. Nothing outside sees what they do on the way.
type killed struct{}

// Go starts a flow of control beside the caller's. It runs when the world comes to it.
func (p *Process) Go(f func()) {
	if p.ended {
		return
	}
	t := &task{process: p, fresh: true}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != any(killed{}) {
				p.world.Stack = debug.Stack()
				panic(r)
			}
		}()
		t.yield = yield
		f()
	})
	p.tasks = append(p.tasks, t)
}

// block returns control back to the world until it resumes the task.
func (t *task) block() {
	if t.process.ended || !t.yield(struct{}{}) {
		panic(killed{})
	}
}

// ready reports whether the task can go on. It takes nothing from the channels.
func (t *task) ready() bool {
	if t.fresh || t.due {
		return true
	}
	for _, signal := range t.signals {
		if fires(signal) {
			return true
		}
	}
	return false
}

// fires reports whether a receive would not block, without taking a value: a buffered value is there, or the channel
// is closed. No task sends on an unbuffered channel here, because such a sender would block the world.
func fires(signal <-chan struct{}) bool {
	if signal == nil {
		return false
	}
	if len(signal) > 0 {
		return true
	}
	select {
	case <-signal:
		return true // closed: an empty buffer gives nothing else
	default:
		return false
	}
}

// Settle runs the tasks of a process, one after the other, until all of them wait or the process is stopped.
func (w *World) Settle(p *Process) {
	for !p.ended && !p.isFrozen() && !w.stopped {
		t := w.pick(p)
		if t == nil {
			return
		}
		w.resume(t)
		w.stepped(p)
	}
}

// pick chooses among the tasks that can go on: any of them, as a scheduler would. Chance holds up some for a while.
func (w *World) pick(p *Process) *task {
	ready := w.ready[:0]
	for _, t := range p.tasks {
		if !t.late && t.ready() {
			ready = append(ready, t)
		}
	}
	w.ready = ready
	for len(ready) > 0 {
		i := 0
		if len(ready) > 1 {
			i = w.order.IntN(len(ready))
		}
		t := ready[i]
		if t.heldUp || !w.Mix.Happens(w.order, LateTask) {
			return t
		}
		t.late, t.heldUp = true, true
		w.After(w.Mix.Lasts(w.order, LateTask), p, func() { t.late = false })
		ready[i] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
	}
	return nil
}

// resume lets a task run until it waits or ends.
func (w *World) resume(t *task) {
	t.fresh, t.heldUp = false, false
	before := w.running
	w.running = t
	_, more := t.next()
	w.running = before
	if !more {
		t.process.forget(t)
	}
}

func (p *Process) forget(t *task) {
	for i := range p.tasks {
		if p.tasks[i] == t {
			last := len(p.tasks) - 1
			copy(p.tasks[i:], p.tasks[i+1:])
			p.tasks[last] = nil
			p.tasks = p.tasks[:last]
			return
		}
	}
}
