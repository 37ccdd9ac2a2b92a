package raft

import "testing"

func TestHeartbeatEveryInterval(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	count := 0
	for range 10 * testHeartbeatTicks {
		count += len(heartbeats(s.ticks(1), 2))
		s.progressOf(2).answeredNow(0)
	}
	wantEqual(t, "heartbeats in ten intervals", count, 10)
}

// Ticks that pile up while the disk is slow make one heartbeat.
func TestHeartbeatsDoNotPileUp(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	for range 3 * testHeartbeatTicks {
		s.Tick()
	}
	wantEqual(t, "heartbeats", len(heartbeats(s.take(), 2)), 1)
}

// A heartbeat may overtake appends on its own connection, so it carries only what the follower acknowledged.
func TestHeartbeatCarriesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1, 1))
	noop := s.lead()
	m := the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "previous index, nothing known", m.PrevLogIndex, 0)
	wantEqual(t, "previous term", m.PrevLogTerm, 0)
	wantEqual(t, "commit index", m.LeaderCommit, 0)

	s.step(success(the(t, appends(noop, 2))))
	s.replicate("1", "2")
	m = the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "previous index", m.PrevLogIndex, 3)
	wantEqual(t, "previous term", m.PrevLogTerm, 2)
	wantEqual(t, "commit index", m.LeaderCommit, 3)
	m = the(t, heartbeats(s.ticks(testHeartbeatTicks), 3))
	wantEqual(t, "commit index for one that is behind", m.LeaderCommit, 0)
}

// A heartbeat's success does not answer a probe, and its match index never moves one back.
func TestHeartbeatAnswerIsNoAnswerToAProbe(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1, 1))
	noop := the(t, appends(s.lead(), 2))
	beat := the(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "sent on its answer", len(appends(s.step(success(beat)), 2)), 0)
	p := s.progressOf(2)
	wantEqual(t, "state", p.state, probing)
	wantEqual(t, "in flight", len(p.inflight), 1)
	s.step(success(noop))
	s.step(success(beat))
	wantEqual(t, "match", p.match, 3)
	wantEqual(t, "state", p.state, replicating)
}

func TestHeartbeatRestartsTheElectionTimer(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	for range 20 {
		s.ask(Message{Type: MsgAppendEntries, Term: 1})
		s.ticks(testElectionTicks - 1)
		wantEqual(t, "role", s.role, Follower)
		wantEqual(t, "ticks since the last message of the leader", s.Status().LeaderContactTicks, testElectionTicks-1)
	}
}

func TestHeartbeatOfAnOldLeaderDoesNotRestartTheElectionTimer(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2}, nil)
	for range 2 * testElectionTicks {
		if s.role == Follower {
			s.ask(Message{Type: MsgAppendEntries, Term: 1})
			s.ticks(1)
		}
	}
	wantEqual(t, "role", s.role, PreCandidate)
}

func TestFailureOfTheLeaderIsDetected(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 5)
	old := net.elect(1)
	net.tick(testElectionTicks)
	net.crash(1)
	ticks := 0
	for ; net.leader() == nil; ticks++ {
		net.tick(1)
		if ticks > 6*testElectionTicks {
			t.Fatal("no new leader")
		}
	}
	if ticks < testElectionTicks-testHeartbeatTicks {
		t.Fatalf("a new leader after %d ticks: it was not waited for the old one", ticks)
	}
	wantEqual(t, "term is newer", net.leader().term > old.term, true)
}

func TestFailureOfAFollowerChangesNothing(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 5)
	leader := net.elect(1)
	net.crash(4)
	net.crash(5)
	net.tick(10 * testElectionTicks)
	wantEqual(t, "leader", net.leader(), leader)
	wantEqual(t, "term", leader.term, 1)
	net.propose(leader, "x")
	net.settle()
	wantEqual(t, "commit index", leader.log.commit, 2)
	status := leader.Status()
	wantEqual(t, "node 3 is active", status.Progress[1].Active, true)
	wantEqual(t, "node 4 is active", status.Progress[2].Active, false)

	net.restart(4)
	net.tick(2 * testElectionTicks)
	wantSlice(t, "applied by the one that came back", net.nodes[4].commands(), []string{"x"})
}

func TestPartitionedLeaderStepsDown(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 5)
	old := net.elect(1)
	net.drop = func(m Message) bool { return (m.From <= 2) != (m.To <= 2) }
	net.propose(old, "lost")
	net.tick(2 * testElectionTicks)
	wantEqual(t, "role of the old leader", old.role, Follower)
	net.tick(4 * testElectionTicks)
	leader := net.leader()
	net.propose(leader, "kept")
	net.settle()
	net.heal()
	net.tick(3 * testElectionTicks)
	for _, id := range net.ids() {
		wantSlice(t, "applied", net.nodes[id].commands(), []string{"kept"})
	}
}

func TestLeaderWithAMajorityStays(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 5)
	leader := net.elect(1)
	net.isolate(4, 5)
	net.tick(20 * testElectionTicks)
	wantEqual(t, "leader", net.leader(), leader)
	wantEqual(t, "reason", leader.Status().Reason, "elected by 1 2 3")
}

// The commit index is sent with the next append or heartbeat, and costs no message of its own.
func TestFollowersLearnTheCommitIndexByHeartbeat(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.settle()
	sent := 0
	net.drop = func(Message) bool { sent++; return false }
	net.propose(leader, "x")
	net.settle()
	wantEqual(t, "messages for one entry to two followers and back", sent, 4)
	wantEqual(t, "commit index of the leader", leader.log.commit, 2)
	net.tick(testHeartbeatTicks)
	wantEqual(t, "commit index of a follower", net.nodes[2].log.commit, 2)
}
