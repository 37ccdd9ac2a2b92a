package engine

import (
	"testing"
	"time"
)

// An age on the clock of a node means a moment that clocks which run slow put further back.
func TestAnAgeMeansAMoment(t *testing.T) { // T42
	t.Parallel()
	for _, c := range []struct {
		name    string
		age     time.Duration
		slowest float64
		moment  time.Duration // now it is 10s
	}{
		{"clocks that run right", 7 * time.Second, 1, 3 * time.Second},
		{"a clock that runs slow", 5600 * time.Millisecond, 0.8, 3 * time.Second},
		{"a clock that runs slow, and a younger state", 5500 * time.Millisecond, 0.8, 3125 * time.Millisecond},
	} {
		w := &World{now: 10 * time.Second, slowest: c.slowest}
		if got := w.Moment(c.age); got != c.moment {
			t.Errorf("%s: got %v, want %v", c.name, got, c.moment)
		}
	}
}

// The clock of Now stands still while its machine sleeps, and Slept has what it missed.
func TestASleepIsMeasured(t *testing.T) { // T42
	t.Parallel()
	w := quiet()
	m := w.Machines[0]
	m.Process = w.NewProcess(m, 0.5)
	began := m.Process.Now()
	pass(w, time.Second)
	m.Suspend(5 * time.Second)
	pass(w, 4*time.Second)
	pass(w, 10*time.Second)
	const want = 2500 * time.Millisecond
	if now, slept := m.Process.Now().Sub(began), m.Process.Slept(); now != want || slept != want {
		t.Errorf("after 10s, of which it slept 5s, the clock of half the rate shows %v, and %v missed", now, slept)
	}
}
