package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// arrivals sends so many things over a link, a moment apart, and returns the order in which they arrived.
func arrivals(w *World, count int) []int {
	var order []int
	for i := range count {
		w.After(time.Duration(i)*time.Microsecond, nil, func() {
			w.Network.carry(Link{1, 2}, Spike, func(*Process) { order = append(order, i) })
		})
	}
	pass(w, w.now+time.Minute)
	return order
}

func TestALinkKeepsTheOrderUnlessItReorders(t *testing.T) {
	t.Parallel()
	w := quiet()
	if order := arrivals(w, 200); len(order) != 200 || !slices.IsSorted(order) {
		t.Errorf("a healthy link delivered %v", order)
	}
	w.Mix[Reorder] = 0.3
	if order := arrivals(w, 200); len(order) != 200 || slices.IsSorted(order) {
		t.Errorf("a link that reorders delivered %v", order)
	}
	w.Mix[Loss] = 0.3
	if order := arrivals(w, 200); len(order) == 200 || len(order) == 0 {
		t.Errorf("a link that loses a third delivered %d of 200", len(order))
	}
}

func TestACutStopsWhatIsOnItsWayAndOneDirectionOnly(t *testing.T) {
	t.Parallel()
	w := quiet()
	arrived := map[Link]int{}
	send := func(l Link) { w.Network.carry(l, Spike, func(*Process) { arrived[l]++ }) }
	send(Link{1, 2})
	w.Network.Hold([]Link{{1, 2}}, time.Second)
	w.Network.Hold([]Link{{1, 2}}, 2*time.Second) // two faults: open when both are over
	send(Link{1, 2})
	send(Link{2, 1})
	pass(w, 1500*time.Millisecond)
	send(Link{1, 2})
	pass(w, 3*time.Second)
	if arrived[Link{1, 2}] != 0 || arrived[Link{2, 1}] != 1 {
		t.Errorf("while 1->2 was cut, %v arrived", arrived)
	}
	send(Link{1, 2})
	pass(w, 4*time.Second)
	if arrived[Link{1, 2}] != 1 {
		t.Error("a link that healed delivers nothing")
	}
}

func TestWhatArrivesAtAFrozenProcessWaits(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.Machine(2)
	m.Process = w.NewProcess(m, 1)
	defer m.Process.Kill()
	m.Freeze(10 * time.Second)
	var at time.Duration
	w.Network.carry(Link{1, 2}, Spike, func(*Process) { at = w.now })
	pass(w, time.Minute)
	if at != 10*time.Second {
		t.Errorf("it arrived at %v, and the process was frozen until 10s", at)
	}
}

// What a stopped process has not read yet is lost when it is killed: the connections break.
func TestWhatArrivesAtAFrozenProcessIsRefusedWhenItDies(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.Machine(2)
	m.Process = w.NewProcess(m, 1)
	m.Freeze(10 * time.Second)
	calls := 0
	w.Network.carry(Link{1, 2}, Spike, func(p *Process) {
		if calls++; p != nil {
			t.Error("it arrived in a process that was killed")
		}
	})
	pass(w, time.Second)
	m.Down()
	pass(w, time.Minute)
	if calls != 1 {
		t.Errorf("it came to an end %d times, want 1", calls)
	}
}

// A call whose caller gives up ends at the other side too: the connection is closed, and the handler's context ends.
func TestACallEndsAtTheOtherSideWhenTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	w := quiet()
	defer w.Close()
	caller, other := w.NewProcess(w.Machine(1), 1), w.NewProcess(nil, 1)
	w.Machine(1).Process, w.Machine(2).Process = caller, other
	other.Node = new(node.Node) // it listens
	var gaveUp, ended time.Duration
	caller.Go(func() {
		ctx, cancel := caller.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := call(ctx, caller, 2, func(ctx context.Context, _ *node.Node) bool {
			other.Wait(scheduler.Forever, scheduler.Signals{ctx.Done()})
			ended = w.now
			return true
		})
		if gaveUp = w.now; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller is told %v", err)
		}
	})
	w.Settle(caller)
	pass(w, time.Minute)
	if gaveUp != time.Second || ended != gaveUp+w.Network.latency {
		t.Errorf("the caller gave up at %v, and the other side ended at %v", gaveUp, ended)
	}
}
