package raft

import (
	"errors"
	"testing"
)

// differing returns three nodes that have written and cut their logs; node 2 requests a snapshot, which is
// lost, and the leader is node 1.
func differing(t *testing.T) *network {
	t.Helper()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.propose(leader, "a", "b", "c", "d")
	net.settle()
	net.tick(testHeartbeatTicks)
	net.compact(2, 3)
	net.nodes[2].RequestSnapshot()
	net.drop = isSnapshot
	net.tick(testHeartbeatTicks)
	return net
}

// isSnapshot reports whether what is sent is a snapshot.
func isSnapshot(m Message) bool { return m.Type == 0 }

// The state of a follower is replaced although it has applied as much as the leader. What follows the snapshot in its
// log stays, and its acknowledgements count meanwhile (trap T32).
func TestASnapshotThatIsRequested(t *testing.T) {
	t.Parallel()
	net := differing(t)
	leader, follower := net.nodes[1], net.nodes[2]
	net.crash(3)
	last := net.propose(leader, "e")
	net.settle()
	wantEqual(t, "commit index while the state differs", leader.log.commit, last)
	wantEqual(t, "progress", leader.progressOf(2).label(), "snapshot")
	wantEqual(t, "differs", follower.Differs(), true)
	net.drop = nil
	net.tick(2 * testElectionTicks)
	wantEqual(t, "differs after a snapshot", follower.Differs(), false)
	wantEqual(t, "progress", leader.progressOf(2).label(), "replicate")
	wantEqual(t, "last index", follower.log.last(), leader.log.last())
	wantEqual(t, "snapshots on their way", len(net.snapshots), 0)
}

// A snapshot that ends before the follower's log begins would leave a gap, and a node that requested none accepts none
// that is not newer.
func TestAnEarlySnapshotThatIsRequested(t *testing.T) { // T32
	t.Parallel()
	net := differing(t)
	follower := net.nodes[2]
	start := func(i Index) LogStart {
		d := net.nodes[1].disk
		return d.positionAt(i)
	}
	for end, want := range map[Index]bool{1: false, 2: false} {
		if installed, err := follower.Restore(1, start(end)); err != nil || installed != want {
			t.Errorf("a snapshot of entry %d: installed %v, %v", end, installed, err)
		}
	}
	if installed, err := net.nodes[3].Restore(1, start(4)); err != nil || installed {
		t.Errorf("a snapshot that was not requested: installed %v, %v", installed, err)
	}
	if installed, err := follower.Restore(1, start(3)); err != nil || !installed {
		t.Errorf("a snapshot where the log begins: installed %v, %v", installed, err)
	}
	wantEqual(t, "commit index", follower.log.commit, net.nodes[1].log.commit)
	wantEqual(t, "applied again by the core", follower.HasReady(), false)
	follower.RequestSnapshot()
	if installed, err := follower.Restore(1, start(4)); err != nil || !installed {
		t.Errorf("a snapshot of a later entry: installed %v, %v", installed, err)
	}
	wantEqual(t, "the first index that the next snapshot must reach", follower.snapshotFrom(), 4)
}

// A node whose state differs votes, but does not campaign, and gets no leadership handed over.
func TestANodeThatDiffersDoesNotLead(t *testing.T) {
	t.Parallel()
	net := differing(t)
	leader := net.nodes[1]
	if err := leader.TransferLeadership(2); !errors.Is(err, ErrBadTarget) {
		t.Errorf("a transfer to it: %v", err)
	}
	wantEqual(t, "best successor", BestSuccessor(leader.Status(), testElectionTicks), 3)
	net.crash(1)
	net.tick(8 * testElectionTicks)
	wantEqual(t, "role of node 2", net.nodes[2].role, Follower)
	wantEqual(t, "role of node 3, by the vote of node 2", net.nodes[3].role, Leader)
}

// A leader whose state differs appends nothing more and hands over.
func TestALeaderThatDiffersHandsOver(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.propose(leader, "a")
	net.settle()
	leader.RequestSnapshot()
	if _, _, err := leader.Propose(1, [][]byte{[]byte("b")}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a proposal: %v", err)
	}
	if _, err := leader.ProposeCheck(); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a check: %v", err)
	}
	net.settle()
	wantEqual(t, "role", leader.role, Follower)
	if next := net.leader(); next == nil || next == leader {
		t.Fatalf("node 1 did not hand over: %+v", next)
	}
}

// A leader whose state differs steps down if its successor does not take over, or if it has none.
func TestALeaderThatDiffersStepsDown(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.drop = func(m Message) bool { return m.Type == MsgTimeoutNow }
	leader.RequestSnapshot()
	net.tick(testElectionTicks + 1)
	wantEqual(t, "role after a transfer that failed", leader.role == Leader && leader.term == 1, false)

	net = newNetwork(t, 3)
	leader = net.elect(1)
	leader.progressOf(2).requested, leader.progressOf(3).requested = 1, 1
	leader.RequestSnapshot()
	wantEqual(t, "role without a successor", leader.role, Follower)
}

// Two nodes whose states must be replaced have entries that the third one lacks. One of them is elected in the end,
// sends it these, and hands over: that repairs both.
func TestANodeThatDiffersLeadsIfItMust(t *testing.T) { // T54
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.propose(leader, "a", "b", "c", "d")
	net.settle()
	net.tick(testHeartbeatTicks)
	net.compact(1, 2)
	net.compact(2, 2)
	net.crash(3)
	last := net.propose(leader, "e")
	net.settle()
	net.crash(1)
	net.crash(2)
	for _, id := range []NodeID{1, 2} {
		net.restart(id).RequestSnapshot()
	}
	net.restart(3)
	net.drop = func(m Message) bool { return isSnapshot(m) && net.nodes[m.From].Differs() } // it has no state to send
	net.tick(4 * testElectionTicks)
	if early := net.leader(); early != nil {
		t.Fatalf("node %d leads before the others could be elected", early.id)
	}
	net.tick(20 * deferredElections * testElectionTicks)
	next := net.leader()
	if next == nil || next.id != 3 || next.log.commit < last {
		t.Fatalf("the leader is %+v", next)
	}
	for id, node := range net.nodes {
		if node.Differs() {
			t.Errorf("node %d is not repaired", id)
		}
	}
}

// A caretaker accepts nothing, and leads on as long as the state of every other node must be replaced as well.
func TestACaretakerLeadsOnAndAcceptsNothing(t *testing.T) { // T54
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.propose(leader, "a", "b", "c", "d")
	net.settle()
	net.tick(testHeartbeatTicks)
	for _, id := range []NodeID{1, 2, 3} {
		net.compact(id, 2)
		net.restart(id).RequestSnapshot()
	}
	net.drop = isSnapshot // none has a state to send
	net.tick(4 * deferredElections * testElectionTicks)
	caretaker := net.leader()
	if caretaker == nil {
		t.Fatal("no node leads")
	}
	term := caretaker.term
	net.tick(20 * testElectionTicks)
	wantEqual(t, "the term, after a while", net.leader().term, term)
	if _, _, err := caretaker.Propose(1, [][]byte{[]byte("b")}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a proposal: %v", err)
	}
	if _, err := caretaker.ProposeCheck(); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a check: %v", err)
	}
}

// A check entry is appended as the core's own entries are.
func TestACheckEntry(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	index, err := leader.ProposeCheck()
	if err != nil {
		t.Fatal(err)
	}
	net.settle()
	for id, node := range net.nodes {
		e := node.disk.whole().Entry(index)
		if e == nil || e.Type != EntryCheck || string(e.Command) != "check" {
			t.Errorf("node %d has %+v", id, e)
		}
	}
	if _, err := net.nodes[2].ProposeCheck(); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a check on a follower: %v", err)
	}
	if err := leader.TransferLeadership(2); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.ProposeCheck(); !errors.Is(err, ErrTransferring) {
		t.Errorf("a check during a transfer: %v", err)
	}
}
