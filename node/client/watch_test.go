package client

import (
	"testing"
	"time"
)

// Waiting costs time, and leaving costs the knowledge of what became of a write (T49).
func TestWhoIsForlorn(t *testing.T) {
	t.Parallel()
	const slow = 500 * time.Millisecond
	for _, c := range []struct {
		name string
		u    unanswered
		want bool
	}{
		{"no other node leads", unanswered{waited: time.Hour, led: true, silent: true}, false},
		{"a leader that hands over", unanswered{waited: slow / 2, led: true, succeeded: true, elsewhere: true}, false},
		{"one that is silent", unanswered{waited: slow / 2, led: true, succeeded: true, silent: true}, true},
		{"one that is slow", unanswered{waited: slow, led: true, succeeded: true}, true},
		{"the same leader at another address", unanswered{waited: slow, led: true, elsewhere: true}, false},
		{"a follower that hands on", unanswered{waited: slow, elsewhere: true, succeeded: true}, false},
		{"a silent follower", unanswered{waited: slow, elsewhere: true, silent: true}, true},
		{"a follower that answered late", unanswered{waited: slow / 2, elsewhere: true, silent: true}, false},
		{"a follower that hands on without end", unanswered{waited: hopeless * slow, elsewhere: true}, true},
		{"a follower without hope of a leader", unanswered{waited: time.Hour}, false},
		{"a stale read on a slow node", unanswered{waited: time.Hour, anywhere: true, elsewhere: true}, false},
		{"a stale read on a silent node", unanswered{waited: slow, anywhere: true, silent: true}, true},
	} {
		if got := c.u.isHopeless(slow); got != c.want {
			t.Errorf("%s: isHopeless is %t", c.name, got)
		}
	}
}

func TestWhoWaitsLongLooksLessOften(t *testing.T) {
	t.Parallel()
	const slow = 500 * time.Millisecond
	for _, c := range []struct {
		u    unanswered
		want time.Duration
	}{
		{unanswered{waited: 100 * time.Millisecond}, 400 * time.Millisecond},
		{unanswered{waited: 100 * time.Millisecond, led: true, succeeded: true}, impatience},
		{unanswered{waited: 450 * time.Millisecond, led: true, succeeded: true}, 50 * time.Millisecond},
		{unanswered{waited: 500 * time.Millisecond}, askEvery},
		{unanswered{waited: 2 * time.Second}, 100 * time.Millisecond},
		{unanswered{waited: time.Minute}, time.Second},
	} {
		if got := c.u.next(slow); got != c.want {
			t.Errorf("%+v looks again after %v, want %v", c.u, got, c.want)
		}
	}
}
