package engine

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// An age on the clock of a node means a moment that clocks which run slow, and machines that slept, put further back.
func TestAnAgeMeansAMoment(t *testing.T) { // T42
	t.Parallel()
	const reader, other = 1, 2
	for _, c := range []struct {
		name    string
		age     time.Duration
		slowest float64
		sleeps  []sleep
		moment  time.Duration // now it is 10s
	}{
		{"clocks that run right", 7 * time.Second, 1, nil, 3 * time.Second},
		{"a clock that runs slow", 5600 * time.Millisecond, 0.8, nil, 3 * time.Second},
		{"a clock that runs slow, and a younger state", 5500 * time.Millisecond, 0.8, nil, 3125 * time.Millisecond},
		{"the reader slept", time.Second, 1, []sleep{{reader, false, 6 * time.Second, 10 * time.Second}}, 3 * time.Second},
		{
			"the reader slept before", time.Second, 1,
			[]sleep{{reader, false, 6 * time.Second, 8 * time.Second}},
			9 * time.Second,
		},
		{"the leader slept", time.Second, 1, []sleep{{other, true, 6 * time.Second, 10 * time.Second}}, 3 * time.Second},
		{
			"another follower slept", time.Second, 1,
			[]sleep{{other, false, 6 * time.Second, 10 * time.Second}},
			9 * time.Second,
		},
		{"it slept twice", time.Second, 1, []sleep{
			{reader, false, 3 * time.Second, 6 * time.Second}, {reader, false, 3 * time.Second, 10 * time.Second},
		}, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &World{now: 10 * time.Second, slowest: c.slowest, sleeps: c.sleeps}
			w.Machines = []*Machine{{world: w, ID: reader}, {world: w, ID: other}}
			if got := w.Moment(raft.NodeID(reader), c.age); got != c.moment {
				t.Errorf("got %v, want %v", got, c.moment)
			}
		})
	}
}

// A machine that sleeps has a clock that stands still, also before it wakes.
func TestASleepCountsWhileItLasts(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.Machines[0]
	m.Process = w.NewProcess(m, 1)
	pass(w, time.Second)
	m.Suspend(5 * time.Second)
	pass(w, 4*time.Second)
	if got, want := w.now-w.Moment(m.ID, time.Second), 4*time.Second; got != want {
		t.Errorf("asleep, the age of 1s means %v; want %v", got, want)
	}
	pass(w, 10*time.Second)
	if got := w.now - w.Moment(m.ID, time.Second); got != time.Second {
		t.Errorf("awake for long, the age of 1s means %v", got)
	}
	if got, want := w.now-w.Moment(m.ID, 5*time.Second), 10*time.Second; got != want {
		t.Errorf("across the sleep, the age of 5s means %v; want %v", got, want)
	}
}
