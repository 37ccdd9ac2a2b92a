package observation

import (
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// clusterOf is what node 1 sees of a cluster of so many members, which it leads, if nothing is wrong but for change.
func clusterOf(members int, change func(c *api.ClusterStatus)) api.ClusterStatus {
	c := api.ClusterStatus{Observer: 1, LeaderID: 1}
	progress := map[uint64]api.Progress{}
	for id := range uint64(members) {
		s := api.NodeStatus{Healthy: true, Status: api.Status{
			ID: id + 1, LifeCycle: api.StateMember, Founders: "f", UptimeSeconds: 100, LastContactMs: 10, CommitIndex: 5000,
		}}
		for seat := range uint64(members) {
			s.SeenMembers = append(s.SeenMembers, seat+1)
		}
		c.Config.Members = append(c.Config.Members, api.ConfigMember{ID: id + 1})
		c.Nodes = append(c.Nodes, s)
		progress[id+1] = api.Progress{State: "replicate"}
	}
	leader := &c.Nodes[0]
	leader.LastContactMs, leader.LeaderForSeconds, leader.Progress = 0, 100, progress
	change(&c)
	return c
}

// fail makes members not answer.
func fail(c *api.ClusterStatus, ids ...uint64) {
	for _, id := range ids {
		c.Nodes[id-1].Error = "no answer in time"
	}
}

// unseat takes the seats of members away, and from what every member reports.
func unseat(c *api.ClusterStatus, ids ...uint64) {
	seated := false
	for i := range c.Nodes {
		s := &c.Nodes[i]
		s.SeenMembers = slices.DeleteFunc(s.SeenMembers, func(id uint64) bool { return slices.Contains(ids, id) })
	}
	for _, id := range ids {
		c.Nodes[id-1].Seated = &seated
	}
}

func TestTheVerdictOnACluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members              int
		change               func(c *api.ClusterStatus)
		state                api.HealthState
		reachable, tolerates int
		reasons              string // a part of them; empty: there are none
	}{
		"nothing is wrong": {3, func(*api.ClusterStatus) {}, api.Healthy, 3, 1, ""},
		"none answers":     {3, func(c *api.ClusterStatus) { fail(c, 2, 3) }, api.NoQuorum, 1, 0, "1 of 3 voters answer"},
		"one does not":     {3, func(c *api.ClusterStatus) { fail(c, 3) }, api.Degraded, 2, 0, "node 3 cannot be reached"},
		"a majority":       {5, func(c *api.ClusterStatus) { fail(c, 2, 3) }, api.Degraded, 3, 0, "node 2 cannot be reached"},
		"half of four":     {4, func(c *api.ClusterStatus) { fail(c, 2, 3) }, api.NoQuorum, 2, 0, "writes need 3"},
		"no leader": {
			3, func(c *api.ClusterStatus) { c.LeaderID = 0 }, api.NoLeader, 3, 1, "an election is in progress",
		},
		"no leader of a majority": {
			3, func(c *api.ClusterStatus) { c.LeaderID = 0; fail(c, 3) }, api.NoLeader, 2, 0, "an election is in progress",
		},
		"never seen": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].AgeMs = -1 }, api.Degraded, 2, 0, "node 2 was not seen yet",
		},
		"no member yet": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].LifeCycle = api.StateEmpty }, api.Degraded, 2, 0,
			"node 2 takes no part yet",
		},
		"no seat": {3, func(c *api.ClusterStatus) { unseat(c, 2) }, api.Degraded, 2, 0, "node 2 has no seat yet"},
		"too few seats, and as many away as are missing": {
			5, func(c *api.ClusterStatus) { unseat(c, 4, 5); fail(c, 3) }, api.NoQuorum, 2, 0,
			"the seated disks of node 3 must come back, 1 of 1",
		},
		"too few seats, and one more away than is missing": {
			5, func(c *api.ClusterStatus) { unseat(c, 5); fail(c, 2, 3, 4) }, api.NoQuorum, 1, 0,
			"the seated disks of nodes 2, 3 and 4 must come back, 2 of 3",
		},
		"the leader gets no answer": {3, func(c *api.ClusterStatus) {
			c.Nodes[0].Progress[2] = api.Progress{Unreachable: true}
		}, api.Degraded, 2, 0, "the leader, gets no answer from it"},
		"an older version": {3, func(c *api.ClusterStatus) {
			c.Nodes[0].Progress[2] = api.Progress{State: "probe", OldVersion: true}
		}, api.Degraded, 2, 0, "node 2 runs an older version"},
		"a disk hangs": {3, func(c *api.ClusterStatus) {
			c.Nodes[0].Progress[2] = api.Progress{Unreachable: true}
			c.Nodes[1].Disk.UnsyncedMs = 5000
		}, api.Degraded, 2, 0, "node 2 runs, but its disk has not finished a save for 5000 ms"},
		"a disk lost data": {3, func(c *api.ClusterStatus) {
			c.Nodes[0].Progress[2] = api.Progress{State: "refuses"}
		}, api.Degraded, 2, 0, "its disk lost data"},
		"no contact with the leader yet": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].LastContactMs = -1 }, api.Degraded, 2, 0, "receives nothing from node 1",
		},
		"no contact with the leader for long": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].LastContactMs = 10_001 }, api.Degraded, 2, 0, "receives nothing",
		},
		"contact with the leader": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].LastContactMs = 10_000 }, api.Healthy, 3, 1, "",
		},
		"a new leader": {3, func(c *api.ClusterStatus) {
			c.Nodes[1].LastContactMs, c.Nodes[0].LeaderForSeconds = -1, 3
		}, api.Healthy, 3, 1, ""},
		"a new process": {3, func(c *api.ClusterStatus) {
			c.Nodes[1].LastContactMs, c.Nodes[1].UptimeSeconds = -1, 3
		}, api.Healthy, 3, 1, ""},
		"another founding": {3, func(c *api.ClusterStatus) {
			c.Nodes[1].Founders = "g"
		}, api.Degraded, 2, 0, "belongs to another founding of the cluster than node 1"},
		"two foundings, and the leader's is not known": {3, func(c *api.ClusterStatus) {
			c.Nodes[0].Founders, c.Nodes[1].Founders = "", "g"
		}, api.Degraded, 3, 1, "this cluster was founded twice: node 2 and node 3"},
		"a founding that is not known": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].Founders = "" }, api.Healthy, 3, 1, "",
		},
		"behind": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].CommitIndex = 3999 }, api.Degraded, 3, 1, "node 2 lags 1001 entries",
		},
		"not far behind": {3, func(c *api.ClusterStatus) { c.Nodes[1].CommitIndex = 4000 }, api.Healthy, 3, 1, ""},
		"ahead of what is known of the leader": {
			3, func(c *api.ClusterStatus) { c.Nodes[1].CommitIndex = 9000 }, api.Healthy, 3, 1, "",
		},
		"one that does not answer does not lag": {
			3, func(c *api.ClusterStatus) { c.Nodes[0].CommitIndex = 9000; fail(c, 2) }, api.Degraded, 2, 0,
			"node 2 cannot be reached: no answer in time\nnode 3 lags 4000 entries",
		},
		"a slow disk, without a quorum": {
			3, func(c *api.ClusterStatus) { c.Nodes[0].Disk.Slow = true; fail(c, 2, 3) }, api.NoQuorum, 1, 0, "a slow disk",
		},
	} {
		h := judgeHealth(clusterOf(c.members, c.change))
		reasons := strings.Join(h.Reasons, "\n")
		if h.State != c.state || h.Reachable != c.reachable || h.Tolerates != c.tolerates ||
			!strings.Contains(reasons, c.reasons) || c.reasons == "" && len(h.Reasons) > 0 {
			t.Errorf("%s: %+v, want %s, %d reachable, %d tolerated, %q", name, h, c.state, c.reachable, c.tolerates, c.reasons)
		}
		if h.Voters != c.members || h.Quorum != c.members/2+1 {
			t.Errorf("%s: a quorum of %d of %d", name, h.Quorum, h.Voters)
		}
	}
}

// Two members may report to lead: the one with the newer term does, wherever it stands in the list.
func TestTheLeaderIsTheOneOfTheNewestTerm(t *testing.T) {
	t.Parallel()
	at := func(id, term uint64, state string, healthy bool) api.NodeStatus {
		return api.NodeStatus{Healthy: healthy, Status: api.Status{ID: id, CurrentTerm: term, State: state}}
	}
	for name, c := range map[string]struct {
		nodes        []api.NodeStatus
		leader, term uint64
	}{
		"none": {[]api.NodeStatus{at(1, 7, "FOLLOWER", true), at(2, 6, "CANDIDATE", true)}, 0, 7},
		"the first": {
			[]api.NodeStatus{at(1, 7, "LEADER", true), at(2, 6, "LEADER", true), at(3, 8, "FOLLOWER", true)}, 1, 8,
		},
		"the last":        {[]api.NodeStatus{at(1, 6, "LEADER", true), at(2, 7, "LEADER", true)}, 2, 7},
		"one that failed": {[]api.NodeStatus{at(1, 6, "FOLLOWER", true), at(2, 7, "LEADER", false)}, 0, 6},
	} {
		if leader, term := leaderOf(c.nodes); leader != c.leader || term != c.term {
			t.Errorf("%s: node %d leads term %d, want %d and %d", name, leader, term, c.leader, c.term)
		}
	}
}

// A learner counts for nothing, and a joint configuration needs a majority of both sets of voters.
func TestTheVerdictFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	learners := func(c *api.ClusterStatus, ids ...uint64) {
		for _, id := range ids {
			c.Config.Members[id-1].Role, c.Nodes[id-1].State = api.RoleLearner, api.StateLearner
		}
	}
	joint := func(c *api.ClusterStatus, outgoing ...uint64) {
		c.Config.Outgoing = outgoing
		c.Config.Members[0].Role = api.RoleLeaving
	}
	for name, c := range map[string]struct {
		members                      int
		change                       func(c *api.ClusterStatus)
		state                        api.HealthState
		voters, reachable, tolerates int
		reasons                      string
	}{
		"a learner": {4, func(c *api.ClusterStatus) { learners(c, 4) }, api.Healthy, 3, 3, 1, ""},
		"a learner that does not answer": {
			4, func(c *api.ClusterStatus) { learners(c, 4); fail(c, 4) }, api.Healthy, 3, 3, 1, "node 4 cannot be reached",
		},
		"a learner in the place of a voter": {
			4, func(c *api.ClusterStatus) { learners(c, 4); fail(c, 2, 3) }, api.NoQuorum, 3, 1, 0, "1 of 3 voters answer",
		},
		"a learner that is behind": {
			4, func(c *api.ClusterStatus) { learners(c, 4); c.Nodes[3].CommitIndex = 1 }, api.Healthy, 3, 3, 1, "",
		},
		"joint": {4, func(c *api.ClusterStatus) { joint(c, 1, 2) }, api.Healthy, 2, 2, 0, ""},
		"joint, without one that is outgoing only": {
			4, func(c *api.ClusterStatus) {
				c.Config.Outgoing, c.Config.Members[2].Role = []uint64{1, 2, 3}, api.RoleLeaving
				fail(c, 3)
			}, api.Degraded, 3, 2, 0, "node 3 cannot be reached",
		},
		"joint, without the outgoing voters": {
			4, func(c *api.ClusterStatus) { joint(c, 1, 2); fail(c, 2) }, api.NoQuorum, 2, 1, 0, "1 of 2 voters answer",
		},
		"joint, without the incoming voters": {
			4, func(c *api.ClusterStatus) { joint(c, 1, 2); fail(c, 3, 4) }, api.NoQuorum, 3, 1, 0, "1 of 3 voters answer",
		},
		"a lost disk": {3, func(c *api.ClusterStatus) {
			c.Nodes[2].LifeCycle, c.Nodes[2].Founders = api.StateEmpty, ""
		}, api.Degraded, 3, 2, 0, "raftctl member replace 3 --with URL"},
	} {
		h := judgeHealth(clusterOf(c.members, c.change))
		reasons := strings.Join(h.Reasons, "\n")
		if h.State != c.state || h.Voters != c.voters || h.Reachable != c.reachable || h.Tolerates != c.tolerates ||
			!strings.Contains(reasons, c.reasons) || c.reasons == "" && len(h.Reasons) > 0 {
			t.Errorf("%s: %+v, want %+v", name, h, c)
		}
	}
	removed := clusterOf(3, func(c *api.ClusterStatus) { c.Nodes[0].LifeCycle = api.StateRemoved })
	if h := judgeHealth(removed); h.State != api.NoQuorum || !strings.Contains(h.Reasons[0], "was removed from") {
		t.Errorf("for a node that was removed: %+v", h)
	}
}
