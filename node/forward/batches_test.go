package forward

import (
	"context"
	"testing"
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
