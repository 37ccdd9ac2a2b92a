package engine

import (
	"container/heap"
	"time"
)

// event is something that will happen at a time of the world. Events of one time happen in the order in which they
// were made.
type event struct {
	at     time.Duration
	number uint64
	// process is whose event it is: it is dropped with the process, and waits while that is frozen. nil: the world's.
	process *Process
	do      func()

	// Or the end of a task's wait, which has no effect if the task runs already.
	task *task
	wait uint64
}

// agenda is what lies ahead, the earliest first.
type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].number < a[j].number
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is heap.Interface's.
func (a *agenda) Push(x any) { *a = append(*a, x.(*event)) }

// Pop is heap.Interface's.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return e
}

// plan puts an event on the agenda when a time has passed. Events are used again, because there are many.
func (w *World) plan(d time.Duration, p *Process) *event {
	w.planned++
	var e *event
	if last := len(w.spent) - 1; last >= 0 {
		e, w.spent = w.spent[last], w.spent[:last]
	} else {
		e = new(event)
	}
	*e = event{at: w.now + max(d, 0), number: w.planned, process: p}
	heap.Push(&w.agenda, e)
	return e
}

// After plans something for a process (nil: the world) when a time has passed.
func (w *World) After(d time.Duration, p *Process, do func()) { w.plan(d, p).do = do }

// Advance does the next thing that was planned. False if nothing is left.
func (w *World) Advance() bool {
	for len(w.agenda) > 0 {
		e := heap.Pop(&w.agenda).(*event)
		if w.happens(e) {
			return true
		}
	}
	return false
}

// happens lets an event take place. False if it means nothing any more, or not yet.
func (w *World) happens(e *event) bool {
	p := e.process
	switch {
	case p != nil && p.ended, e.task != nil && e.task.wait != e.wait:
		w.spent = append(w.spent, e)
		return false
	case p != nil && p.frozen > e.at:
		p.parked = append(p.parked, e)
		return false
	}
	w.now = e.at
	w.steps++
	do := e.do
	if e.task != nil {
		e.task.due = true
	}
	*e = event{}
	w.spent = append(w.spent, e)
	if do != nil {
		do()
	}
	if p != nil {
		w.Settle(p)
	}
	return true
}
