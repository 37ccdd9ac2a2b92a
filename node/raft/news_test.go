package raft

import "testing"

// A read on a follower waits for the commit index. On an idle cluster it must not wait for a whole heartbeat
// interval.
func TestIdleFollowerLearnsOfACommitWithinTwoTicks(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.tick(2 * testHeartbeatTicks)
	index := net.propose(leader, "1")
	net.settle()
	net.tick(2)
	for _, id := range []NodeID{2, 3} {
		wantEqual(t, "the follower's commit index", net.nodes[id].Status().Commit, index)
	}
}

// Once every follower has the commit index, only heartbeats are sent.
func TestNoNewsNoMessage(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.propose(leader, "1")
	net.settle()
	net.tick(2 * testHeartbeatTicks)
	count := 0
	net.drop = func(m Message) bool {
		if m.Type == MsgAppendEntries {
			count++
		}
		return false
	}
	net.tick(4 * testHeartbeatTicks)
	wantEqual(t, "requests in four intervals to two followers", count, 8)
}

func TestFollowerThatLostItsDiskIsShown(t *testing.T) { // T19, T28
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.propose(leader, "1")
	net.tick(2 * testHeartbeatTicks)
	net.crash(2)
	net.nodes[2].disk = disk{state: HardState{Term: leader.term}}
	net.restart(2)
	net.tick(2 * testHeartbeatTicks)
	for _, p := range leader.Status().Progress {
		want := "replicate"
		if p.ID == 2 {
			want = "refuses"
		}
		wantEqual(t, "state of its progress", p.State, want)
	}
}
