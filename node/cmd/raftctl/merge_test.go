package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// viewOf returns a view of a cluster of three that node 2 leads, with the members that the observer cannot reach.
func viewOf(observer uint64, missing ...uint64) api.ClusterStatus {
	v := api.ClusterStatus{ClusterID: "c", Observer: observer, LeaderID: 2, Term: 4}
	for id := uint64(1); id <= 3; id++ {
		n := api.NodeStatus{Healthy: true, Status: api.Status{ID: id, LifeCycle: "member"}}
		if slices.Contains(missing, id) {
			n.Healthy, n.Error = false, "connection refused"
		}
		v.Nodes = append(v.Nodes, n)
	}
	v.Health = api.Health{
		State: api.Healthy, Voters: 3, Quorum: 2, Reachable: 3 - len(missing), Tolerates: max(1-len(missing), 0),
	}
	if len(missing) > 0 {
		v.Health.State = api.Degraded
	}
	return v
}

func TestTheLeadersViewCountsAndNoOtherHidesWhatItMisses(t *testing.T) {
	t.Parallel()
	type views []api.ClusterStatus
	for name, c := range map[string]struct {
		views
		state           api.HealthState
		tolerates, from int
		reason          string
	}{
		"all reach all":                       {views{viewOf(1), viewOf(2), viewOf(3)}, api.Healthy, 1, 2, ""},
		"only a partitioned node reaches all": {views{viewOf(1), viewOf(2, 1), viewOf(3, 1)}, api.Degraded, 0, 2, ""},
		"two followers cannot reach each other": {
			views{viewOf(1, 3), viewOf(2), viewOf(3, 1)},
			api.Degraded, 0, 2,
			"node 1 cannot reach node 3: connection refused\nnode 3 cannot reach node 1: connection refused",
		},
		"a partitioned node reports fewer": {views{viewOf(2, 3), viewOf(3, 1, 2)}, api.Degraded, 0, 2, ""},
		"without the leader's view": {
			views{viewOf(1), viewOf(3, 1)},
			api.Degraded, 0, 1,
			"node 3 cannot reach node 1",
		},
	} {
		for range 2 {
			got := merge(c.views)
			reasons := strings.Join(got.Health.Reasons, "\n")
			for _, want := range strings.Split(c.reason, "\n") {
				if !strings.Contains(reasons, want) || c.reason == "" && reasons != "" {
					t.Errorf("%s: the reasons are %q, want %q", name, reasons, want)
				}
			}
			if got.Health.State != c.state || got.Health.Tolerates != c.tolerates || got.Observer != uint64(c.from) {
				t.Errorf("%s: got the view of node %d, %+v", name, got.Observer, got.Health)
			}
			slices.Reverse(c.views)
		}
	}
}

// A member that runs and takes no part yet was reached: it is not partitioned.
func TestAMemberThatWaitsIsNotCutOff(t *testing.T) {
	t.Parallel()
	var views []api.ClusterStatus
	for id := uint64(1); id <= 2; id++ {
		v := viewOf(id, 3)
		v.LeaderID, v.Term = 0, 0
		v.Health = api.Health{State: api.NoQuorum, Voters: 3, Quorum: 2}
		v.Nodes[2].AgeMs, v.Nodes[2].Address = -1, "http://h3:7080"
		for i := range v.Nodes[:2] {
			v.Nodes[i].Healthy, v.Nodes[i].LifeCycle = false, "empty"
			v.Nodes[i].Founding = &api.Founding{Members: 3, Needed: 3, Missing: []uint64{3}}
		}
		views = append(views, v)
	}
	got := statusTable(merge(views), false)
	for _, want := range []string{
		"!   1  waits", "!   2  waits", "x   3  ?      -            -    -    never", "next: start node 3; or, if no member",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q", got, want)
		}
	}
}

// The row of a follower that does not answer the leader has a mark.
func TestACutOffFollowerHasAMark(t *testing.T) {
	t.Parallel()
	s := viewOf(1)
	s.Health.State = api.Degraded
	s.Nodes[0].LastContactMs = -1
	s.Nodes[1].Progress = map[uint64]api.Progress{1: {Unreachable: true}, 3: {}}
	got := statusTable(s, false)
	if !strings.Contains(got, "!   1") || strings.Contains(got, "!   3") ||
		!strings.Contains(got, "next: compare the --listen-peer of node 1") {
		t.Errorf("got\n%s", got)
	}
	s.Nodes[0].Disk.UnsyncedMs = 5000
	if got := statusTable(s, false); strings.Contains(got, "--listen-peer") {
		t.Errorf("its disk hangs, and the advice is\n%s", got)
	}
}

func TestANodeWithoutAClusterIsToBeBootstrapped(t *testing.T) {
	t.Parallel()
	got := statusTable(api.ClusterStatus{Health: api.Health{State: api.NoQuorum}}, false)
	if !strings.HasPrefix(got, "no cluster  NO QUORUM") || !strings.Contains(got, "next: bootstrap the node") {
		t.Errorf("got\n%s", got)
	}
}
