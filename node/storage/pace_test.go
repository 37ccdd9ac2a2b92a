package storage

import (
	"testing"
	"time"
)

func TestALongOperationLeavesTheProcessorToOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rest, took, want time.Duration }{
		{checkpointRest, leastPart - 1, 0}, // too little to sleep for
		{checkpointRest, leastPart, 3 * time.Millisecond},
		{snapshotRest, 7 * time.Millisecond, 7 * time.Millisecond},
		{checkpointRest, time.Minute, longestPause}, // the process was stopped
	} {
		if got := (&pace{rest: c.rest}).after(c.took); got != c.want {
			t.Errorf("rest %d: it sleeps %v after %v, want %v", c.rest, got, c.took, c.want)
		}
	}
}
