package sim

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestRecentReads(t *testing.T) { // T42, T43
	t.Parallel()
	const reader, other = 1, 2
	for _, tale := range []struct {
		name    string
		applied raft.Index // by the reader; entries 1, 2 and 3 were applied somewhere at 1s, 2s and 3s, and now it is 10s
		age     time.Duration
		slowest float64
		sleeps  []sleep
		broken  bool
	}{
		{"everything", 3, 0, 1, nil, false},
		{"what is missing is as young as the age allows", 2, 7 * time.Second, 1, nil, false},
		{"what is missing is older", 2, 7*time.Second - 1, 1, nil, true},
		{"more is missing", 0, 8 * time.Second, 1, nil, true},
		{"a clock that runs slow", 2, 5600 * time.Millisecond, 0.8, nil, false},
		{"a clock that runs slow, and is too old all the same", 2, 5500 * time.Millisecond, 0.8, nil, true},
		{"the reader slept", 2, time.Second, 1, []sleep{{reader, false, 6 * time.Second, 10 * time.Second}}, false},
		{"the reader slept before", 2, time.Second, 1, []sleep{{reader, false, 6 * time.Second, 8 * time.Second}}, true},
		{"the leader slept", 2, time.Second, 1, []sleep{{other, true, 6 * time.Second, 10 * time.Second}}, false},
		{"another follower slept", 2, time.Second, 1, []sleep{{other, false, 6 * time.Second, 10 * time.Second}}, true},
		{"it slept twice", 2, time.Second, 1, []sleep{
			{reader, false, 3 * time.Second, 6 * time.Second}, {reader, false, 3 * time.Second, 10 * time.Second},
		}, false},
	} {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			w := &World{now: 10 * time.Second, slowest: tale.slowest, sleeps: tale.sleeps}
			w.ledger.applied = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}
			m := &machine{world: w, id: reader}
			w.machines = []*machine{m, {world: w, id: other}}
			err := (&recentReads{}).verify(w, m, tale.applied, w.momentOf(m, tale.age))
			if (err != nil) != tale.broken {
				t.Errorf("broken: %v, want %v", err, tale.broken)
			}
		})
	}
}

// A machine that sleeps has a clock that stands still, also before it wakes.
func TestASleepCountsWhileItLasts(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.machines[0]
	m.process = w.newProcess(m, 1)
	w.pass(time.Second)
	m.suspend(5 * time.Second)
	w.pass(4 * time.Second)
	if got, want := w.now-w.momentOf(m, time.Second), 4*time.Second; got != want {
		t.Errorf("asleep, the age of 1s means %v; want %v", got, want)
	}
	w.pass(10 * time.Second)
	if got := w.now - w.momentOf(m, time.Second); got != time.Second {
		t.Errorf("awake for long, the age of 1s means %v", got)
	}
	if got, want := w.now-w.momentOf(m, 5*time.Second), 10*time.Second; got != want {
		t.Errorf("across the sleep, the age of 5s means %v; want %v", got, want)
	}
}

// Clients of random runs make reads with bounds, and nodes answer some of them and refuse others.
func TestClientsReadWithABound(t *testing.T) {
	t.Parallel()
	answered, declined := 0, 0
	for seed := range uint64(4) {
		w := newWorld(Config{Seed: seed, Nodes: 3, Clients: 8, Steps: 5000, Mix: &Mix{LeaderCut: 1, Pause: 1}})
		w.guarded(w.live)
		w.close()
		if w.violation != nil {
			t.Error(w.violation)
		}
		for _, o := range w.clients.history {
			switch {
			case o.fresh != recent:
			case o.outcome == done:
				answered++
			case o.outcome == refused:
				declined++
			}
		}
	}
	if answered < 20 || declined < 10 {
		t.Errorf("%d recent reads were answered, and %d refused", answered, declined)
	}
}
