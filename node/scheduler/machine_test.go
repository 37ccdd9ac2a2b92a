package scheduler

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestMachineWaitsForASignalOrTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &Machine{}
		ready, never := make(chan struct{}, 1), make(chan struct{})
		start := m.Now()
		if got := m.Wait(0, Signals{never}); got != -1 || m.Now() != start {
			t.Errorf("a look at nothing gave %d after %v", got, m.Now().Sub(start))
		}
		for place := range len(Signals{}) {
			for _, limit := range []time.Duration{0, time.Second, Forever} {
				signals := Signals{never}
				signals[place] = ready
				ready <- struct{}{}
				if got := m.Wait(limit, signals); got != place || len(ready) != 0 {
					t.Errorf("limit %v: signal %d gave %d and left %d values", limit, place, got, len(ready))
				}
			}
		}
		for range 2 { // the second time with a timer that was used
			start = m.Now()
			if got := m.Wait(time.Second, Signals{never}); got != -1 || m.Now().Sub(start) != time.Second {
				t.Errorf("a limit of a second ended the wait with %d after %v", got, m.Now().Sub(start))
			}
		}
	})
}

func TestMachineKeepsItsTimers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &Machine{}
		fired := make(chan struct{}, 2)
		stop := m.AfterFunc(time.Second, func() { fired <- struct{}{} })
		m.AfterFunc(2*time.Second, func() { fired <- struct{}{} })
		stop()
		ctx, cancel := m.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if got := m.Wait(Forever, Signals{ctx.Done()}); got != 0 || ctx.Err() != context.DeadlineExceeded {
			t.Errorf("the context ended with %v", ctx.Err())
		}
		if len(fired) != 1 {
			t.Errorf("%d of two functions ran, though one was stopped in time", len(fired))
		}
	})
}

func TestTogetherEndsWhenAllHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, start, ended := &Machine{}, time.Now(), make(chan struct{}, 3)
		var jobs []func()
		for i := range 3 {
			jobs = append(jobs, func() {
				m.Wait(time.Duration(i+1)*time.Second, Signals{})
				ended <- struct{}{}
			})
		}
		Together(m, jobs)
		if took := time.Since(start); len(ended) != 3 || took != 3*time.Second {
			t.Errorf("it returned when %d of 3 had ended, after %v", len(ended), took)
		}
		Together(m, nil) // must not wait: no signal comes
	})
}
