package node

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// A node that led, followed and leads again has a lease that proves nothing about what it read before.
func TestALeaseOfALaterTermConfirmsNoEarlierRead(t *testing.T) { // T42
	t.Parallel()
	r := &reader{}
	r.started = time.Now()
	r.now = func() time.Time { return r.started }
	r.slept = func() time.Duration { return 0 }
	r.lease.Store(&raft.Lease{Term: 3, End: raft.Always, Index: 9})
	if !r.holdsLease(3) {
		t.Error("a read of the term of the lease is not confirmed")
	}
	if r.holdsLease(1) {
		t.Error("the lease of term 3 confirms a read that began under that of term 1")
	}
}
