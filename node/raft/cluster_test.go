package raft

import (
	"testing"
)

func TestClusterElectsAndReplicates(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 4, 5, 7} {
		net := newNetwork(t, size)
		net.tick(5 * testElectionTicks)
		leader := net.leader()
		if leader == nil {
			t.Fatalf("%d nodes elect nobody", size)
		}
		net.propose(leader, `"a"`, `"b"`)
		net.propose(leader, `"c"`)
		net.tick(testHeartbeatTicks)
		for _, id := range net.ids() {
			wantSlice(t, "applied", net.nodes[id].commands(), []string{`"a"`, `"b"`, `"c"`})
		}
	}
}
