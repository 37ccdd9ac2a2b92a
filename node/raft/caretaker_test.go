package raft

import (
	"fmt"
	"testing"
)

// withoutState returns three nodes whose logs are cut, of which the given ones start again without a state. No snapshot
// arrives.
func withoutState(t *testing.T, ids ...NodeID) *network {
	t.Helper()
	net := newNetwork(t, 3)
	leader := net.elect(3)
	net.propose(leader, "a", "b", "c", "d")
	net.settle()
	net.tick(testHeartbeatTicks)
	for _, id := range []NodeID{1, 2, 3} {
		net.compact(id, 2)
	}
	for _, id := range ids {
		net.restart(id).RequestSnapshot()
	}
	net.drop = isSnapshot
	net.tick(testHeartbeatTicks)
	return net
}

// untilCaretaker ticks until a node leads, which has no state.
func (net *network) untilCaretaker() *testNode {
	net.t.Helper()
	for range 20 * deferredElections * testElectionTicks {
		net.tick(1)
		if l := net.leader(); l != nil && l.Differs() {
			return l
		}
	}
	net.t.Fatal("no node without a state leads")
	return nil
}

// A node received a snapshot, and is elected as a caretaker while it verifies that. It may be the only state that is
// left, so the node takes it, steps down, and leads again with a state.
func TestACaretakerTakesTheSnapshotThatItReceived(t *testing.T) { // T32, T54
	t.Parallel()
	net := withoutState(t, 1, 2)
	sender := net.nodes[3]
	sender.disk.checkpoint = sender.applied
	received := sender.disk.snapshot()
	net.crash(3)
	caretaker := net.untilCaretaker()
	last := caretaker.log.last()
	if installed, err := caretaker.restore(3, received); err != nil || !installed {
		t.Fatalf("installed: %v, %v", installed, err)
	}
	wantEqual(t, "role", caretaker.role, Follower)
	wantEqual(t, "reason", caretaker.reason, "its state is replaced")
	wantEqual(t, "differs", caretaker.Differs(), false)
	wantEqual(t, "last index", caretaker.log.last(), last)
	net.drop = nil
	net.tick(8 * testElectionTicks)
	for _, id := range []NodeID{1, 2} {
		wantEqual(t, fmt.Sprintf("node %d differs, in the end", id), net.nodes[id].Differs(), false)
	}
	if net.leader() == nil {
		t.Error("no node leads in the end")
	}
}

// A leader that has its state takes no snapshot.
func TestALeaderTakesNoSnapshot(t *testing.T) { // T32
	t.Parallel()
	net := withoutState(t)
	leader := net.leader()
	leader.disk.checkpoint = leader.applied
	if installed, err := leader.restore(1, leader.disk.snapshot()); err != nil || installed {
		t.Errorf("installed: %v, %v", installed, err)
	}
	wantEqual(t, "role", leader.role, Leader)
}

// Node 3 has a state, and its log ends before that of node 2 begins. Of the nodes without a state, which have the
// latest entries, only node 1 can send it these: whichever is elected, node 1 leads in the end, and all are repaired.
func TestACaretakerPassesOnToAnEarlierLog(t *testing.T) { // T54
	t.Parallel()
	for seed := uint64(1); seed <= 20; seed++ {
		net := newNetwork(t, 3, func(cfg *Config) { cfg.Rand = testConfig(cfg.ID, nil, seed).Rand })
		leader := net.elect(1)
		net.propose(leader, "a", "b", "c", "d")
		net.settle()
		net.tick(testHeartbeatTicks)
		net.crash(3)
		last := net.propose(leader, "e", "f", "g", "h") + 3
		net.settle()
		net.tick(testHeartbeatTicks)
		net.compact(1, 2) // it kept what node 3 lacks
		net.compact(2, 7)
		for _, id := range []NodeID{1, 2} {
			net.crash(id)
			net.restart(id).RequestSnapshot()
		}
		net.restart(3)
		net.drop = func(m Message) bool { return isSnapshot(m) && net.nodes[m.From].Differs() } // it has none to send
		net.tick(20 * deferredElections * testElectionTicks)
		if l := net.leader(); l == nil || l.Differs() || l.log.commit < last {
			t.Errorf("seed %d: the leader is %+v", seed, l)
		}
		for _, id := range []NodeID{1, 2} {
			wantEqual(t, fmt.Sprintf("seed %d: node %d differs", seed, id), net.nodes[id].Differs(), false)
		}
	}
}

// To whom a caretaker passes the leadership on, whose own log begins after entry 5.
func TestBetterCaretaker(t *testing.T) { // T54
	t.Parallel()
	needy := progress{id: 2, diskKnown: true, state: awaitingSnapshot}
	gone, stateless := needy, needy
	gone.ackTicks, stateless.requested = 99, 7
	better := func(change func(*progress)) progress {
		p := progress{id: 3, diskKnown: true, state: replicating, match: 9, requested: 3}
		change(&p)
		return p
	}
	same := func(*progress) {}
	earlier := better(func(p *progress) { p.id, p.requested = 4, 2 })
	for name, test := range map[string]struct {
		followers []progress
		want      NodeID
	}{
		"one":                    {[]progress{needy, better(same)}, 3},
		"the earliest":           {[]progress{needy, better(same), earlier}, 4},
		"the earliest, first":    {[]progress{earlier, better(same), needy}, 4},
		"none needs it":          {[]progress{better(same)}, 0},
		"the needy one is gone":  {[]progress{gone, better(same)}, 0},
		"it has no state either": {[]progress{stateless, better(same)}, 0},
		"as late as its own":     {[]progress{needy, better(func(p *progress) { p.requested = 5 })}, 0},
		"it lacks an entry":      {[]progress{needy, better(func(p *progress) { p.match = 8 })}, 0},
		"its disk is full":       {[]progress{needy, better(func(p *progress) { p.disk = DiskFull })}, 0},
		"it has not answered":    {[]progress{needy, better(func(p *progress) { p.diskKnown = false })}, 0},
	} {
		net := newNetwork(t, 5)
		leader := net.elect(1)
		net.propose(leader, "b", "c", "d", "e", "f", "g", "h", "i")
		net.settle()
		net.compact(1, 5)
		wantEqual(t, "last index", leader.log.last(), 9)
		leader.lead.progress = test.followers
		wantEqual(t, name, leader.betterCaretaker(), test.want)
	}
}

// A node that a caretaker asks campaigns, and does so again after one election timeout if its requests are lost: the
// other one has stepped down by then.
func TestANodeWithoutStateTakesOverWhenAsked(t *testing.T) { // T54
	t.Parallel()
	net := withoutState(t, 1)
	net.drop = func(m Message) bool { return m.From == 1 }
	node := net.nodes[1]
	term := node.term
	if err := node.Step(Message{Type: MsgTimeoutNow, From: 3, To: 1, Term: term}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "role", node.role, Candidate)
	net.settle()
	for range 2*testElectionTicks + 1 {
		node.Tick()
	}
	wantEqual(t, "role after the next election timeout", node.role, PreCandidate)
}

// A caretaker has no state to send, and does not have its caller try.
func TestACaretakerSendsNoSnapshot(t *testing.T) { // T54, T36
	t.Parallel()
	net := withoutState(t, 1, 2, 3)
	attempts := 0
	net.drop = func(m Message) bool {
		if isSnapshot(m) {
			attempts++
		}
		return isSnapshot(m)
	}
	net.untilCaretaker()
	net.tick(20 * testElectionTicks)
	wantEqual(t, "attempts to send a snapshot", attempts, 0)
}

// A caretaker refuses proposals, so it must not hold them back until a follower has a window.
func TestACaretakerHoldsNoProposalsBack(t *testing.T) { // T54
	t.Parallel()
	net := withoutState(t, 1, 2, 3)
	caretaker := net.untilCaretaker()
	for i := range caretaker.lead.progress {
		caretaker.lead.progress[i].awaitSnapshot()
	}
	wantEqual(t, "takes proposals", caretaker.TakesProposals(), true)
}

// A caretaker hands over when the follower has the whole log: before, that could not be elected, and the caretaker
// would step down in the end.
func TestACaretakerWaitsForTheWholeLog(t *testing.T) { // T54
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.tick(testHeartbeatTicks)
	leader.differs = true
	net.drop = func(m Message) bool { return m.Type == MsgAppendEntries && len(m.Entries) > 0 } // they are slow
	leader.appendOwn(EntryNoOp, nil)
	net.tick(2 * testElectionTicks)
	wantEqual(t, "transfer", leader.lead.transfer.target, 0)
	wantEqual(t, "role while the followers lack an entry", leader.role, Leader)
	net.drop = nil
	net.tick(2 * testElectionTicks)
	if next := net.leader(); next == nil || next.id == 1 {
		t.Error("it does not hand over once they have it")
	}
}

// A node without a state counts election timeouts in a row: with each leader it begins again.
func TestElectionsAreLeftToOthersAfterEachLeader(t *testing.T) { // T54
	t.Parallel()
	net := withoutState(t, 1)
	node := net.nodes[1]
	for range deferredElections - 1 {
		wantEqual(t, "leaves the election to others", node.defers(), true)
	}
	net.tick(testHeartbeatTicks) // a message of the leader arrives
	for range deferredElections {
		wantEqual(t, "leaves the election to others after a leader", node.defers(), true)
	}
	wantEqual(t, "leaves one more to others", node.defers(), false)
}
