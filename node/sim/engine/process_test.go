package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// An observer that does nothing.
type unobserved struct{}

func (unobserved) Saw(*Machine, *Look)                    {}
func (unobserved) Stepped(*Machine)                       {}
func (unobserved) Leaves(*Machine, *raft.Message)         {}
func (unobserved) Forge(m raft.Message) raft.Message      { return m }
func (unobserved) Refused(*Machine, *raft.Message, error) {}
func (unobserved) GaveUp(*Machine, error)                 {}
func (unobserved) Misused(*Machine, error)                {}
func (unobserved) Ended(*Machine, error)                  {}

// quiet makes a world in which nothing happens but what a test makes happen.
func quiet() *World {
	return NewWorld(Config{
		Seed: 1, Nodes: 3, Heartbeat: 100 * time.Millisecond, ElectionTimeout: 150 * time.Millisecond, Inflight: 1,
		MessageEntries: 1, Latency: time.Millisecond, DiskLatency: time.Millisecond,
	}, unobserved{})
}

// pass lets a world live until a time.
func pass(w *World, until time.Duration) {
	w.After(until-w.now, nil, func() {})
	for w.now < until && w.Advance() {
	}
}

func TestOneTaskRunsAtATimeAndWaitsForItsSignal(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	defer p.Kill()
	signal, said := make(chan struct{}, 1), ""
	p.Go(func() {
		said += "waits "
		if p.Wait(scheduler.Forever, scheduler.Signals{nil, signal}) != 1 {
			t.Error("the wrong signal woke it")
		}
		said += "woken "
	})
	p.Go(func() { said += "other " })
	w.Settle(p)
	pass(w, time.Hour)
	if said != "waits other " && said != "other waits " {
		t.Fatalf("before the signal: %q", said)
	}
	signal <- struct{}{}
	w.Settle(p)
	if said[len(said)-6:] != "woken " || len(p.tasks) != 0 {
		t.Fatalf("after the signal: %q, %d tasks left", said, len(p.tasks))
	}
}

func TestTimeLimitsCountOnTheProcessesOwnClock(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.5, 1, 1.25} {
		w := quiet()
		p := w.NewProcess(nil, rate)
		var woke time.Duration
		p.Go(func() {
			began := p.Now()
			if p.Wait(time.Second, scheduler.Signals{}) != -1 {
				t.Error("a wait without signals was woken by one")
			}
			if waited := p.Now().Sub(began); waited < time.Second {
				t.Errorf("at rate %v it waited %v by its own clock", rate, waited)
			}
			woke = w.now
		})
		w.Settle(p)
		pass(w, time.Minute)
		if want := time.Duration(float64(time.Second) / rate); woke != want {
			t.Errorf("at rate %v a second lasted %v, not %v", rate, woke, want)
		}
		p.Kill()
	}
}

func TestAFrozenProcessGoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	defer p.Kill()
	var woke time.Duration
	p.Go(func() {
		p.Wait(time.Second, scheduler.Signals{})
		woke = w.now
	})
	w.Settle(p)
	p.freeze(5*time.Second, false)
	pass(w, time.Minute)
	if woke != 5*time.Second {
		t.Errorf("it woke at %v, and was frozen until 5s", woke)
	}
}

// A process that is stopped by a signal finds that its clock has jumped: all its timers are due. A machine that sleeps
// does not notice: its clock for durations stood still, its timers run on, and only the wall clock has jumped.
func TestAStoppedProcessSeesItsClockJumpAndASleepingOneDoesNot(t *testing.T) {
	t.Parallel()
	for _, asleep := range []bool{false, true} {
		w := quiet()
		m := w.Machine(1)
		m.Process = w.NewProcess(m, 1)
		p := m.Process
		var woke, passed, wall time.Duration
		p.Go(func() {
			began, day := p.Now(), p.wall()
			p.Wait(2*time.Second, scheduler.Signals{})
			woke, passed, wall = w.now, p.Now().Sub(began), p.wall().Sub(day)
		})
		w.Settle(p)
		pass(w, time.Second)
		p.freeze(time.Minute, asleep)
		p.freeze(time.Second, false) // does not end it sooner
		pass(w, time.Hour)
		want := []time.Duration{61 * time.Second, 61 * time.Second, 61 * time.Second}
		if asleep {
			want = []time.Duration{62 * time.Second, 2 * time.Second, 62 * time.Second}
		}
		if got := []time.Duration{woke, passed, wall}; !slices.Equal(got, want) {
			t.Errorf("asleep %v: woke, passed and on the wall clock: %v, want %v", asleep, got, want)
		}
		p.Kill()
	}
}

// The end of the faults wakes what sleeps: its clock goes on where it stood, and nothing stays parked.
func TestTheEndOfTheFaultsWakesASleepingMachine(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.Machine(1)
	m.Process = w.NewProcess(m, 1)
	p := m.Process
	defer p.Kill()
	ticks, arrived := 0, false
	p.Go(func() {
		for {
			p.Wait(time.Second, scheduler.Signals{})
			ticks++
		}
	})
	w.Settle(p)
	pass(w, 2500*time.Millisecond)
	p.freeze(time.Hour, true)
	w.Network.carry(Link{2, 1}, Spike, func(*Process) { arrived = true })
	pass(w, 10*time.Second)
	slept := p.Now()
	if ticks != 2 || arrived {
		t.Fatalf("asleep, it ticks %d times, and gets mail: %v", ticks, arrived)
	}
	w.EndFaults()
	if !p.Now().Equal(slept) || len(p.parked) != 0 {
		t.Errorf("it slept at %v and wakes at %v, with %d events parked", slept, p.Now(), len(p.parked))
	}
	pass(w, 12*time.Second)
	if ticks != 4 || !arrived {
		t.Errorf("awake, it has ticked %d times, want 4; its mail arrived: %v", ticks, arrived)
	}
}

// A process may be stopped between any two of its steps, in the middle of what it does.
func TestAProcessIsStoppedBetweenTwoSteps(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	defer p.Kill()
	var first, second time.Duration
	p.Go(func() {
		first = w.now
		p.freeze(time.Minute, false)
		p.Preempt()
		second = w.now
	})
	w.Settle(p)
	pass(w, time.Hour)
	if first != 0 || second != time.Minute {
		t.Errorf("its two steps were at %v and %v", first, second)
	}
}

func TestAKilledProcessDoesNothingMore(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	unwound, went := false, false
	p.Go(func() {
		defer func() {
			unwound = true
			p.Wait(time.Second, scheduler.Signals{}) // must not block the world
			went = true
		}()
		p.Wait(time.Second, scheduler.Signals{})
		went = true
	})
	p.AfterFunc(time.Second, func() { went = true })
	w.Settle(p)
	p.Kill()
	p.Go(func() { went = true })
	pass(w, time.Minute)
	if !unwound || went {
		t.Errorf("unwound %v, went on %v", unwound, went)
	}
}

func TestAContextEndsAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	defer p.Kill()
	var over, stopped error
	p.Go(func() {
		ctx, cancel := p.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Wait(scheduler.Forever, scheduler.Signals{ctx.Done()})
		over = ctx.Err()
	})
	p.Go(func() {
		ctx, cancel := p.WithTimeout(context.Background(), time.Second)
		cancel()
		stopped = ctx.Err()
	})
	w.Settle(p)
	pass(w, time.Minute)
	if !errors.Is(over, context.DeadlineExceeded) || !errors.Is(stopped, context.Canceled) {
		t.Errorf("after its limit a context says %v, after its cancel %v", over, stopped)
	}
}

func TestAStoppedAfterFuncNeverRuns(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.NewProcess(nil, 1)
	defer p.Kill()
	ran := 0
	stop := p.AfterFunc(time.Second, func() { ran++ })
	p.AfterFunc(time.Second, func() { ran += 10 })
	stop()
	pass(w, time.Minute)
	if ran != 10 {
		t.Errorf("what was stopped ran, or what was not did not: %d", ran)
	}
}
