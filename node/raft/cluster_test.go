package raft

import (
	"fmt"
	"testing"
)

func TestClusterElectsAndReplicates(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 4, 5, 7} {
		net := newNetwork(t, size)
		net.tick(5 * testElectionTicks)
		leader := net.leader()
		if leader == nil {
			t.Fatalf("%d nodes elect no leader", size)
		}
		net.propose(leader, `"a"`, `"b"`)
		net.propose(leader, `"c"`)
		net.tick(testHeartbeatTicks)
		for _, id := range net.ids() {
			wantSlice(t, "applied", net.nodes[id].commands(), []string{`"a"`, `"b"`, `"c"`})
		}
	}
}

// The seed determines the run completely: the same seed produces the same messages, in the same order.
func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		net := newNetwork(t, 5, func(cfg *Config) { cfg.Rand = testConfig(cfg.ID, cfg.Initial.Voters(), seed).Rand })
		var trace []Message
		net.drop = func(m Message) bool { trace = append(trace, m); return len(trace)%7 == 0 }
		for i := range 10 {
			net.tick(testElectionTicks)
			if leader := net.leader(); leader != nil {
				net.propose(leader, fmt.Sprint(i))
			}
		}
		return fmt.Sprint(trace)
	}
	first, second := run(3), run(3)
	wantEqual(t, "same seed, same run", first == second, true)
	wantEqual(t, "other seed, same run", first == run(4), false)
}
