package storage

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestALongOperationLeavesTheProcessorToOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share      share
		took, want time.Duration
	}{
		{checkpointShare, leastPart - 1, 0},    // too little to sleep for
		{verifyShare, 2 * time.Millisecond, 0}, // it would sleep for longer than half a millisecond
		{checkpointShare, leastPart, 3 * time.Millisecond},
		{copyShare, 7 * time.Millisecond, 7 * time.Millisecond},
		{verifyShare, 8 * time.Millisecond, 2 * time.Millisecond},
		{checkpointShare, time.Minute, longestPause}, // the process was stopped
	} {
		if got := (&pace{share: c.share}).after(c.took); got != c.want {
			t.Errorf("share %+v: it sleeps %v after %v, want %v", c.share, got, c.took, c.want)
		}
	}
}

// H1: others are let run after every half millisecond of work, and what they did is no work that asks for a rest.
func TestALongOperationLetsOthersRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(verifyShare)
		p.pause()
		began := p.yielded
		if began.IsZero() {
			t.Fatal("the first pause lets nothing run")
		}
		time.Sleep(yieldAfter / 2)
		if p.pause(); p.yielded != began {
			t.Error("others are let run after a quarter of a millisecond")
		}
		time.Sleep(yieldAfter / 2)
		if p.pause(); p.yielded.Sub(began) != yieldAfter {
			t.Errorf("others were let run after %v, want %v", p.yielded.Sub(began), yieldAfter)
		}
		time.Sleep(4*time.Millisecond - yieldAfter)
		before := time.Now()
		if p.pause(); time.Since(before) != time.Millisecond {
			t.Errorf("after four milliseconds it rests for %v", time.Since(before))
		}
	})
}
