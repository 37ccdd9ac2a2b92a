package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
)

// quiet makes a world in which nothing happens but what a test makes happen.
func quiet() *World {
	return newWorld(Config{Seed: 1, Nodes: 3, Mix: &Mix{}, Latency: time.Millisecond})
}

// pass lets a world live until a time.
func (w *World) pass(until time.Duration) {
	w.after(until-w.now, nil, func() {})
	for w.now < until && w.advance() {
	}
}

func TestOneTaskRunsAtATimeAndWaitsForItsSignal(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.newProcess(nil, 1)
	defer p.kill()
	signal, said := make(chan struct{}, 1), ""
	p.Go(func() {
		said += "waits "
		if p.Wait(node.Forever, node.Signals{nil, signal}) != 1 {
			t.Error("the wrong signal woke it")
		}
		said += "woken "
	})
	p.Go(func() { said += "other " })
	w.settle(p)
	w.pass(time.Hour)
	if said != "waits other " && said != "other waits " {
		t.Fatalf("before the signal: %q", said)
	}
	signal <- struct{}{}
	w.settle(p)
	if said[len(said)-6:] != "woken " || len(p.tasks) != 0 {
		t.Fatalf("after the signal: %q, %d tasks left", said, len(p.tasks))
	}
}

func TestTimeLimitsCountOnTheProcessesOwnClock(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.5, 1, 1.25} {
		w := quiet()
		p := w.newProcess(nil, rate)
		var woke time.Duration
		p.Go(func() {
			began := p.Now()
			if p.Wait(time.Second, node.Signals{}) != -1 {
				t.Error("a wait without signals was woken by one")
			}
			if waited := p.Now().Sub(began); waited < time.Second {
				t.Errorf("at rate %v it waited %v by its own clock", rate, waited)
			}
			woke = w.now
		})
		w.settle(p)
		w.pass(time.Minute)
		if want := time.Duration(float64(time.Second) / rate); woke != want {
			t.Errorf("at rate %v a second lasted %v, not %v", rate, woke, want)
		}
		p.kill()
	}
}

func TestAFrozenProcessGoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.newProcess(nil, 1)
	defer p.kill()
	var woke time.Duration
	p.Go(func() {
		p.Wait(time.Second, node.Signals{})
		woke = w.now
	})
	w.settle(p)
	p.frozen = 5 * time.Second
	w.pass(time.Minute)
	if woke != 5*time.Second {
		t.Errorf("it woke at %v, and was frozen until 5s", woke)
	}
}

func TestAKilledProcessDoesNothingMore(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.newProcess(nil, 1)
	unwound, went := false, false
	p.Go(func() {
		defer func() {
			unwound = true
			p.Wait(time.Second, node.Signals{}) // must not block the world
			went = true
		}()
		p.Wait(time.Second, node.Signals{})
		went = true
	})
	p.AfterFunc(time.Second, func() { went = true })
	w.settle(p)
	p.kill()
	p.Go(func() { went = true })
	w.pass(time.Minute)
	if !unwound || went {
		t.Errorf("unwound %v, went on %v", unwound, went)
	}
}

func TestAContextEndsAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.newProcess(nil, 1)
	defer p.kill()
	var over, stopped error
	p.Go(func() {
		ctx, cancel := p.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Wait(node.Forever, node.Signals{ctx.Done()})
		over = ctx.Err()
	})
	p.Go(func() {
		ctx, cancel := p.WithTimeout(context.Background(), time.Second)
		cancel()
		stopped = ctx.Err()
	})
	w.settle(p)
	w.pass(time.Minute)
	if !errors.Is(over, context.DeadlineExceeded) || !errors.Is(stopped, context.Canceled) {
		t.Errorf("after its limit a context says %v, after its cancel %v", over, stopped)
	}
}

func TestAStoppedAfterFuncNeverRuns(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.newProcess(nil, 1)
	defer p.kill()
	ran := 0
	stop := p.AfterFunc(time.Second, func() { ran++ })
	p.AfterFunc(time.Second, func() { ran += 10 })
	stop()
	w.pass(time.Minute)
	if ran != 10 {
		t.Errorf("what was stopped ran, or what was not did not: %d", ran)
	}
}

func TestAPanicOfTheCodeUnderTestIsAViolation(t *testing.T) {
	t.Parallel()
	w := quiet()
	p := w.newProcess(nil, 1)
	w.guarded(func() {
		p.Go(func() { panic("raft: invariant broken: for the test") })
		w.settle(p)
	})
	w.close()
	if w.violation == nil || w.violation.Broken != "no panic" {
		t.Errorf("it became %v", w.violation)
	}
}
