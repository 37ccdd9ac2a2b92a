package storage

import (
	"testing"
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
			t.Errorf("share %d: it sleeps %v after %v, want %v", c.share, got, c.took, c.want)
		}
	}
}
