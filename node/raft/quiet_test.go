package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A tick before the last of the quiet ones has no effect that anyone sees: whatever was lost, proposed, transferred or
// stopped before.
func TestQuietTicksDoNothing(t *testing.T) {
	t.Parallel()
	quietest := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		net := newNetwork(t, 1+int(seed%5))
		loss := rng.IntN(3) * 10
		net.drop = func(Message) bool { return rng.IntN(100) < loss }
		for range 600 {
			for _, id := range net.ids() {
				quietest = max(quietest, tickQuietly(t, net.nodes[id]))
			}
			net.settle()
			disturbQuiet(net, rng)
		}
	}
	if quietest != testHeartbeatTicks {
		t.Errorf("the quietest leader is quiet for %d ticks; heartbeats are %d apart", quietest, testHeartbeatTicks)
	}
}

// tickQuietly ticks a node, and returns how many ticks it called quiet if it leads. If that tick was one before the
// last of them, nothing may follow from it.
func tickQuietly(t *testing.T, node *testNode) int {
	t.Helper()
	quiet, before, waits := node.QuietTicks(), node.standing(), node.HasReady()
	node.Tick()
	if after := node.standing(); quiet > 1 && (after != before || node.HasReady() != waits) {
		t.Fatalf("%d ticks were quiet, but the first led from %s to %s (ready: %v, then %v)",
			quiet, before, after, waits, node.HasReady())
	}
	if next := node.QuietTicks(); quiet > 1 && next < quiet-1 {
		t.Fatalf("%d ticks were quiet, and one tick later only %d", quiet, next)
	}
	if role, _, _ := node.Standing(); role != Leader {
		return 0
	}
	return quiet
}

// standing describes what a tick may change.
func (node *testNode) standing() string {
	role, term, leader := node.Standing()
	return fmt.Sprint(role, term, leader)
}

// disturbQuiet now and then proposes something, transfers the leadership, or stops and starts a node.
func disturbQuiet(net *network, rng *rand.Rand) {
	leader := net.leader()
	switch {
	case rng.IntN(10) > 0 || leader == nil:
	case rng.IntN(3) > 0:
		if leader.lead.transfer.target == 0 {
			net.propose(leader, `"x"`)
		}
	case rng.IntN(2) == 0:
		_ = leader.TransferLeadership(NodeID(1 + rng.IntN(len(net.nodes)))) // refused: as good
	default:
		id := NodeID(1 + rng.IntN(len(net.nodes)))
		if net.down[id] {
			net.restart(id)
		} else if len(net.down) == 0 {
			net.crash(id)
		}
	}
}
