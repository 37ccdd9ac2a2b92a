package main

import (
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
