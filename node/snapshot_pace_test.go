package node

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// A snapshot is sent at its bandwidth, although every wait is longer than was asked for. After a stall it makes up for
// no more than snapshotSlack.
func TestASnapshotIsSentAtItsBandwidth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size, chunks, late = 64 << 10, 100, time.Millisecond
		s := snapshotStream{Node: &Node{shared: &shared{
			sched: &scheduler.Machine{}, cfg: Options{SnapshotBandwidth: 10 << 20},
		}}}
		send := func() time.Duration {
			began := time.Now()
			for range chunks {
				time.Sleep(s.pace(size) + late)
			}
			return time.Since(began)
		}
		want := time.Duration(float64(chunks*size) / (10 << 20) * float64(time.Second))
		for range 2 {
			if took := send(); took < want-snapshotSlack || took > want+late {
				t.Errorf("%d bytes took %v, want %v", chunks*size, took, want)
			}
			time.Sleep(time.Minute)
		}
	})
}
