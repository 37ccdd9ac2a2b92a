package observation

import (
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// The verdict of the node itself counts; its figures only explain it.
func TestTheClusterIsDegradedByASlowDisk(t *testing.T) {
	t.Parallel()
	status := func(fsync api.Quantiles, slow bool) api.Health {
		c := api.ClusterStatus{LeaderID: 1, Observer: 1, Config: api.Membership{Members: []api.ConfigMember{{ID: 1}}}}
		s := api.Status{
			ID: 1, LifeCycle: api.StateMember, Latency: api.LatencySummary{Fsync: fsync}, Disk: api.Disk{Slow: slow},
		}
		c.Nodes = []api.NodeStatus{{Status: s, Healthy: true}}
		return judgeHealth(c)
	}
	few, many := api.Quantiles{P50: 120, P99: 900, Count: 12}, api.Quantiles{P50: 3, P99: 112, Count: 120}
	if h := status(few, false); h.State != api.Healthy || len(h.Reasons) != 0 {
		t.Errorf("without the verdict: %+v", h)
	}
	for want, fsync := range map[string]api.Quantiles{
		"node 1 has a slow disk: the median of its fsync is 120 ms (limit 100 ms)": few,
		"node 1 has a slow disk: the p99 of its fsync is 112 ms (limit 100 ms)":    many,
	} {
		if h := status(fsync, true); h.State != api.Degraded || strings.Join(h.Reasons, "\n") != want {
			t.Errorf("got %+v, want %s", h, want)
		}
	}
}
