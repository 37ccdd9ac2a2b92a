package sim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// arrivals sends so many things over a link, a moment apart, and tells in which order they arrived.
func arrivals(w *World, count int) []int {
	var order []int
	for i := range count {
		w.after(time.Duration(i)*time.Microsecond, nil, func() {
			w.network.carry(link{1, 2}, Spike, func(*process) { order = append(order, i) })
		})
	}
	w.pass(w.now + time.Minute)
	return order
}

func TestALinkKeepsTheOrderUnlessItReorders(t *testing.T) {
	t.Parallel()
	w := quiet()
	if order := arrivals(w, 200); len(order) != 200 || !slices.IsSorted(order) {
		t.Errorf("a healthy link delivered %v", order)
	}
	w.mix[Reorder] = 0.3
	if order := arrivals(w, 200); len(order) != 200 || slices.IsSorted(order) {
		t.Errorf("a link that reorders delivered %v", order)
	}
	w.mix[Loss] = 0.3
	if order := arrivals(w, 200); len(order) == 200 || len(order) == 0 {
		t.Errorf("a link that loses a third delivered %d of 200", len(order))
	}
}

func TestACutStopsWhatIsOnItsWayAndOneDirectionOnly(t *testing.T) {
	t.Parallel()
	w := quiet()
	arrived := map[link]int{}
	send := func(l link) { w.network.carry(l, Spike, func(*process) { arrived[l]++ }) }
	send(link{1, 2})
	w.network.hold([]link{{1, 2}}, time.Second)
	w.network.hold([]link{{1, 2}}, 2*time.Second) // two faults: open when both are over
	send(link{1, 2})
	send(link{2, 1})
	w.pass(1500 * time.Millisecond)
	send(link{1, 2})
	w.pass(3 * time.Second)
	if arrived[link{1, 2}] != 0 || arrived[link{2, 1}] != 1 {
		t.Errorf("while 1->2 was cut, %v arrived", arrived)
	}
	send(link{1, 2})
	w.pass(4 * time.Second)
	if arrived[link{1, 2}] != 1 {
		t.Error("a link that healed delivers nothing")
	}
}

func TestWhatArrivesAtAFrozenProcessWaits(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.machine(2)
	m.process = w.newProcess(m, 1)
	defer m.process.kill()
	m.freeze(10 * time.Second)
	var at time.Duration
	w.network.carry(link{1, 2}, Spike, func(*process) { at = w.now })
	w.pass(time.Minute)
	if at != 10*time.Second {
		t.Errorf("it arrived at %v, and the process was frozen until 10s", at)
	}
}

// What a stopped process has not read yet is lost when it is killed: the connections break.
func TestWhatArrivesAtAFrozenProcessIsRefusedWhenItDies(t *testing.T) {
	t.Parallel()
	w := quiet()
	m := w.machine(2)
	m.process = w.newProcess(m, 1)
	m.freeze(10 * time.Second)
	calls := 0
	w.network.carry(link{1, 2}, Spike, func(p *process) {
		if calls++; p != nil {
			t.Error("it arrived in a process that was killed")
		}
	})
	w.pass(time.Second)
	m.down(m.process)
	w.pass(time.Minute)
	if calls != 1 {
		t.Errorf("it came to an end %d times, want 1", calls)
	}
}

// A call whose caller gives up ends at the other side too: the connection is closed, and the handler's context ends.
func TestACallEndsAtTheOtherSideWhenTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	w := quiet()
	defer w.close()
	caller, other := w.newProcess(w.machine(1), 1), w.newProcess(nil, 1)
	w.machine(1).process, w.machine(2).process = caller, other
	other.node = new(node.Node) // it listens
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
	w.settle(caller)
	w.pass(time.Minute)
	if gaveUp != time.Second || ended != gaveUp+w.network.latency {
		t.Errorf("the caller gave up at %v, and the other side ended at %v", gaveUp, ended)
	}
}
