package forward

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

func TestForwardsAreBoundedInBytesAndInNumber(t *testing.T) { // H4
	t.Parallel()
	for what, c := range map[string]struct{ mostItems, mostBytes int }{
		"bytes": {1000, 8000},
		"items": {8, 1 << 20},
	} {
		b := NewBatches(t.Context(), Config[int]{
			Scheduler: &scheduler.Machine{}, Limit: time.Second, MostItems: c.mostItems, MostBytes: c.mostBytes,
			Size: func(size int) int { return size },
			Send: func(context.Context, raft.NodeID, []int) { t.Error("a batch was sent") },
		})
		l := &lane[int]{running: maxBatches} // as if the leader hung
		b.lanes[1] = l
		for range 8 {
			if !b.Put(1, []int{1000}) {
				t.Fatalf("%s: an item within the bound is refused", what)
			}
		}
		if b.Put(1, []int{1000}) {
			t.Errorf("%s: an item beyond the bound waits", what)
		}
		for len(b.take(l)) > 0 {
		}
		if b.bytes != 0 || b.count != 0 {
			t.Errorf("%s: %d items of %d bytes are counted though nothing waits", what, b.count, b.bytes)
		}
	}
}

// What waits for a leader that was deposed goes back, and what was sent to it is given up after a while.
func TestALeaderThatIsDeposedIsGivenUp(t *testing.T) { // T49
	t.Parallel()
	var notSent []int
	sent, gaveUp := make(chan int), make(chan error)
	b := NewBatches(t.Context(), Config[int]{
		Scheduler: &scheduler.Machine{}, Limit: time.Hour, MostItems: 100, MostBytes: 100,
		Size: func(int) int { return 1 },
		Send: func(ctx context.Context, _ raft.NodeID, batch []int) {
			sent <- batch[0]
			<-ctx.Done()
			gaveUp <- ctx.Err()
		},
		NotSent: func(item int) { notSent = append(notSent, item) },
	})
	for item := range maxBatches {
		b.Put(1, []int{item})
		<-sent
	}
	b.Put(1, []int{7, 8})
	b.LeaderChanged(1, 2, time.Millisecond)
	if len(notSent) != 2 || notSent[0] != 7 {
		t.Errorf("%v went back, want 7 and 8", notSent)
	}
	for range maxBatches {
		if err := <-gaveUp; err != context.Canceled {
			t.Errorf("a batch ended with %v, want it canceled", err)
		}
	}
}

// crew has Batches whose requests end when the test lets them, or their context ends.
type crew struct {
	*Batches[int]
	sent    [][]int           // in the order in which they left
	ctxs    []context.Context // of what was sent
	answers []chan struct{}   // of what was sent; closed by answer
	leaders []raft.NodeID     // to which it was sent
	notSent []int
}

// newCrew returns a crew for items of so many bytes each. It belongs to a bubble, whose goroutines take turns.
func newCrew(t *testing.T, mostItems, mostBytes, size int) *crew {
	c := &crew{}
	c.Batches = NewBatches(t.Context(), Config[int]{
		Scheduler: &scheduler.Machine{}, Limit: time.Hour, MostItems: mostItems, MostBytes: mostBytes,
		Size: func(int) int { return size },
		Send: func(ctx context.Context, leader raft.NodeID, batch []int) {
			c.mu.Lock()
			answer := make(chan struct{})
			c.sent, c.ctxs, c.answers = append(c.sent, batch), append(c.ctxs, ctx), append(c.answers, answer)
			c.leaders = append(c.leaders, leader)
			c.mu.Unlock()
			select {
			case <-answer:
			case <-ctx.Done():
			}
		},
		NotSent: func(item int) { c.notSent = append(c.notSent, item) },
	})
	return c
}

// put queues items one by one, each before the next, and waits until all is sent that may be.
func (c *crew) put(t *testing.T, leader raft.NodeID, items ...int) {
	t.Helper()
	for _, item := range items {
		if !c.Put(leader, []int{item}) {
			t.Fatalf("item %d is refused", item)
		}
		synctest.Wait()
	}
}

// answer ends the request that left as the nth.
func (c *crew) answer(n int) {
	close(c.answers[n])
	synctest.Wait()
}

// Few requests are in flight to one leader, and what waits meanwhile leaves in its order, as soon as one is answered.
func TestBatchesLeaveOneBehindTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 100, 100, 1)
		c.put(t, 1, 0, 1, 2, 3, 4)
		if len(c.sent) != maxBatches {
			t.Fatalf("%v are in flight, want %d requests", c.sent, maxBatches)
		}
		c.put(t, 2, 9) // a leader of its own
		if len(c.sent) != maxBatches+1 || c.leaders[maxBatches] != 2 {
			t.Errorf("%v left to %v, want 9 to the other leader", c.sent, c.leaders)
		}
		c.answer(1)
		c.put(t, 1, 5)
		if last := c.sent[len(c.sent)-1]; !slices.Equal(last, []int{2, 3, 4}) {
			t.Errorf("%v left next, want what waited", last)
		}
		for n := 0; n < len(c.answers); n++ {
			if n != 1 {
				c.answer(n)
			}
			if c.ctxs[n].Err() == nil {
				t.Errorf("request %d is answered, and its context has not ended", n)
			}
		}
		c.put(t, 1, 6) // after nothing was in flight
		if got := slices.Concat(c.sent[len(c.sent)-2:]...); !slices.Equal(got, []int{5, 6}) {
			t.Errorf("%v left last, want 5 and 6", got)
		}
		c.answer(len(c.answers) - 1)
		if c.count != 0 || c.bytes != 0 || len(c.notSent) != 0 {
			t.Errorf("%d of %d bytes are counted, %v went back; want none", c.count, c.bytes, c.notSent)
		}
	})
}

func TestABatchIsBounded(t *testing.T) { // H4
	t.Parallel()
	for what, c := range map[string]struct{ size, want int }{
		"items":                          {1, maxItems},
		"bytes":                          {maxBytes / 4, 4},
		"bytes that do not fill a batch": {maxBytes/4 + 1, 3},
		"an item larger than a batch":    {2 * maxBytes, 1},
	} {
		b := newCrew(t, 10*maxItems, 100*maxBytes, c.size).Batches
		l := &lane[int]{running: maxBatches, waiting: make([]int, maxItems+1)}
		if got := len(b.take(l)); got != c.want {
			t.Errorf("%s: %d items in one request, want %d", what, got, c.want)
		}
	}
}

// The bounds are those of all leaders together. An item that is larger waits where nothing else does.
func TestWhatWaitsForAllLeadersIsBounded(t *testing.T) { // H4
	t.Parallel()
	for what, b := range map[string]*Batches[int]{
		"items": newCrew(t, 2, 1000, 1).Batches,
		"bytes": newCrew(t, 1000, 20, 10).Batches,
		"large": newCrew(t, 1000, 20, 999).Batches,
	} {
		for leader := range raft.NodeID(4) {
			b.lanes[leader] = &lane[int]{running: maxBatches} // as if all of them hung
		}
		fit := []bool{b.Put(1, []int{1}), b.Put(2, []int{2}), b.Put(3, []int{3})}
		if want := []bool{true, what != "large", false}; !slices.Equal(fit, want) {
			t.Errorf("%s: %v, want %v", what, fit, want)
		}
	}
}

// What went back does not count as waiting, and does not leave, nor goes back again, if that leader leads once more.
func TestWhatWentBackIsForgotten(t *testing.T) { // T49
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, 100, 1)
		c.put(t, 1, 0, 1, 2, 3)
		c.LeaderChanged(1, 2, time.Minute)
		c.LeaderChanged(2, 1, time.Minute)
		c.put(t, 1, 4, 5) // there is room again
		c.answer(0)
		c.answer(1)
		if !slices.Equal(c.notSent, []int{2, 3}) || !slices.Equal(slices.Concat(c.sent...), []int{0, 1, 4, 5}) {
			t.Errorf("%v went back and %v left, want 2 and 3, and all others", c.notSent, c.sent)
		}
	})
}

// A leader that leads again in time may answer what is in flight. The next time it has as much patience again.
func TestALeaderThatLeadsAgainIsNotGivenUp(t *testing.T) { // T49
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 100, 100, 1)
		c.put(t, 1, 0)
		c.LeaderChanged(1, 0, time.Minute)
		time.Sleep(time.Minute / 2) // fake time
		c.LeaderChanged(0, 1, time.Minute)
		c.giveUp(c.lanes[1]) // as by a timer that ran out before it could be stopped
		time.Sleep(2 * time.Minute)
		if err := c.ctxs[0].Err(); err != nil {
			t.Fatalf("it leads, and what is in flight ended with %v", err)
		}
		c.LeaderChanged(1, 2, time.Minute)
		c.LeaderChanged(2, 3, time.Minute) // does not begin the patience anew
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.ctxs[0].Err() == nil {
			t.Error("it was deposed again, and is not given up")
		}
	})
}

// The requests that are given up are those without an answer, with what came for that leader in the meantime.
func TestOnlyWhatIsInFlightIsGivenUp(t *testing.T) { // T49
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 100, 100, 1)
		c.put(t, 1, 0, 1)
		c.answer(1)
		c.put(t, 1, 2)
		c.answer(2)
		c.put(t, 1, 3)
		c.LeaderChanged(1, 2, time.Minute)
		c.put(t, 1, 4, 5) // by callers with an older view
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.ctxs[0].Err() == nil || c.ctxs[3].Err() == nil || !slices.Equal(c.notSent, []int{4, 5}) {
			t.Errorf("given up: %v and %v; went back: %v; want both, 4 and 5", c.ctxs[0].Err(), c.ctxs[3].Err(), c.notSent)
		}
	})
}

func TestARequestEndsAfterItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, began := newCrew(t, 100, 100, 1), time.Now()
		c.put(t, 1, 0)
		<-c.ctxs[0].Done()
		if time.Since(began) != time.Hour {
			t.Errorf("it ended after %v", time.Since(began))
		}
	})
}
