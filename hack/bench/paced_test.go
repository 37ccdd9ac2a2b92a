package main

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestRequestsInFlightDuringAWindowCount(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	samples := []sample{
		{at(0), at(5)},     // ends before
		{at(7), at(12)},    // ends within: 5 ms
		{at(11), at(14)},   // within: 3 ms
		{at(18), at(70)},   // begins in the first window and ends in the second, and counts once: 52 ms
		{at(30), at(40)},   // between the windows
		{at(8), at(200)},   // around both: 192 ms
		{at(100), at(101)}, // begins after
	}
	h, err := within(samples, []window{{at(10), at(20)}, {at(60), at(90)}})
	if err != nil {
		t.Fatal(err)
	}
	if h.TotalCount() != 4 || h.Min() != 3000 || h.Max() < 191_000 || h.Max() > 193_000 {
		t.Errorf("%d requests of %d to %d us", h.TotalCount(), h.Min(), h.Max())
	}
	if _, err := within(samples, []window{{at(50), at(50)}, {at(300), at(400)}}); err != nil {
		t.Error(err) // one was in flight at 50 ms
	}
	if _, err := within(samples, []window{{at(300), at(400)}}); err == nil {
		t.Error("a window without requests has latencies")
	}
}

func TestNoWriteIsDueWhileAPacedLoadIsHeld(t *testing.T) {
	t.Parallel()
	server, address := newStandIn(t)
	c := &cluster{system: kontiki{}, account: newAccount(keyCount), members: []*member{{number: 1, api: address}}}
	sessions, closeAll, err := leanDriver([]string{address}).open(t.Context(), 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	written := func() uint64 {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.revision
	}
	var held atomic.Bool
	held.Store(true)
	p := paced{cell: 1, rate: 10_000, warmUp: 20 * time.Millisecond, held: &held}
	samples, failed, err := p.run(t.Context(), c, sessions, func(ctx context.Context) error {
		if n := written(); n > 0 {
			t.Errorf("%d writes while held", n)
		}
		held.Store(false)
		return await(ctx, "no write", func() (bool, error) { return written() >= 100, nil })
	})
	if err != nil || failed.String() != "" || len(samples) < 100 {
		t.Fatalf("%d samples, %v, failed: %s", len(samples), err, failed)
	}
}
