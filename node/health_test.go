package node

import (
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// fsyncs is a series of saves: count of them, one every so often, of which the first few take long.
type fsyncs struct {
	count, slow int
	every       time.Duration
	took        time.Duration // the slow ones; the others take 1 ms
}

func TestADiskIsSlowOnlyIfEnoughFsyncsSaySo(t *testing.T) {
	t.Parallel()
	const (
		ms   = time.Millisecond
		long = 150 * ms
	)
	for name, c := range map[string]struct {
		fsyncs
		want bool
	}{
		"sixteen writes after one slow first fsync": {fsyncs{16, 1, 2 * time.Second, 3 * long}, false},
		"a burst after a stall":                     {fsyncs{300, 9, ms, long}, false},
		"nothing but one slow fsync":                {fsyncs{1, 1, time.Second, long}, false},
		"nine slow ones":                            {fsyncs{9, 9, 3 * time.Second, long}, false},
		"one of a hundred":                          {fsyncs{100, 1, 250 * ms, long}, false},
		"three of a hundred":                        {fsyncs{100, 3, 250 * ms, long}, true},
		"most of a few":                             {fsyncs{12, 7, 2 * time.Second, long}, true},
		"a slow first half minute":                  {fsyncs{900, 300, 60 * ms, long}, true},
	} {
		now := time.Time{}.Add(time.Hour)
		m := Metrics{now: func() time.Time { return now }}
		for i := range c.count {
			took := time.Millisecond
			if i < c.slow {
				took = c.took
			}
			m.fsyncs.add(took, now)
			now = now.Add(c.every)
		}
		if got := m.slowDisk(); got != c.want {
			t.Errorf("%s: got %v, want %v; %+v over %v", name, got, c.want, m.fsyncs.quantiles(now), m.fsyncs.covered())
		}
		now = now.Add(10 * time.Minute)
		if m.slowDisk() {
			t.Errorf("%s: the disk is still slow after ten minutes without an fsync", name)
		}
	}
}

// The verdict of the node itself counts; its figures only explain it.
func TestTheClusterIsDegradedByASlowDisk(t *testing.T) {
	t.Parallel()
	status := func(fsync api.Quantiles, slow bool) api.Health {
		c := api.ClusterStatus{LeaderID: 1, Observer: 1, Config: api.Membership{Members: make([]api.ConfigMember, 1)}}
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

func TestDifferingMembersAreNamed(t *testing.T) {
	t.Parallel()
	members := func(addresses ...string) []identity.Member {
		var list []identity.Member
		for i, a := range addresses {
			if a != "" {
				list = append(list, identity.Member{ID: raft.NodeID(i + 1), Address: a})
			}
		}
		return list
	}
	for want, two := range map[string][]identity.Member{
		"": members("http://A:7080/", "http://b.:7080", "http://[0:0::1]:7080"),
		"member 2 is at http://b:7080 in the data and at http://x:7080 in the flag": members("http://a:7080", "http://x:7080",
			"http://[::1]:7080"),
		"member 3 is only in the data, at http://[::1]:7080": members("http://a:7080", "http://b:7080"),
		"member 4 is only in the flag, at http://d:7080": members("http://a:7080", "http://b:7080", "http://[::1]:7080",
			"http://d:7080"),
		"member 1 is only in the data, at http://a:7080; member 2 is only in the data, at http://b:7080; " +
			"member 3 is only in the data, at http://[::1]:7080; 2 more differ": members("", "", "", "http://d:1", "http://e:1"),
	} {
		one := members("http://a:7080", "http://b:7080", "http://[::1]:7080")
		if got := identity.Difference(one, "the data", two, "the flag"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
