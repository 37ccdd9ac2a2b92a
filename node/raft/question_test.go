package raft

import "testing"

// The follower that asks and the leader that answers are a quorum of three: no round is needed.
func TestFollowersQuestionConfirmsALeaderOfThree(t *testing.T) { // T38, T43, thesis 6.4
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	_, ok := leader.ReadIndexFor(2, leader.term)
	wantEqual(t, "answered once the no-op is committed", ok, true)
	last := net.propose(leader, "1")
	net.settle()
	index, ok := leader.ReadIndexFor(3, leader.term)
	wantEqual(t, "answered", ok, true)
	wantEqual(t, "index", index, last)
}

func TestFollowersQuestionNeedsARoundOtherwise(t *testing.T) { // T38, T43
	t.Parallel()
	five := newNetwork(t, 5)
	leader := five.elect(1)
	_, ok := leader.ReadIndexFor(2, leader.term)
	wantEqual(t, "answered with two of five", ok, false)

	three := newNetwork(t, 3)
	leader = three.elect(1)
	_, ok = leader.ReadIndexFor(2, leader.term-1)
	wantEqual(t, "answered to a question of an older term", ok, false)
	_, ok = leader.ReadIndexFor(2, leader.term+1)
	wantEqual(t, "answered to a question of a later term", ok, false)
	_, ok = leader.ReadIndexFor(9, leader.term)
	wantEqual(t, "answered to an unknown sender", ok, false)
	_, ok = three.nodes[2].ReadIndexFor(3, leader.term)
	wantEqual(t, "answered by a follower", ok, false)

	fresh := newSolo(t, 3, HardState{Term: 1}, logOf(1, 1))
	fresh.lead()
	_, ok = fresh.ReadIndexFor(2, fresh.term)
	wantEqual(t, "answered before the no-op is committed", ok, false)
}
