package raft

import "testing"

// A follower whose disk is full keeps what it has, takes nothing new, votes and answers heartbeats, and its leader
// stops sending it entries until it has room; the others go on.
func TestAFollowerWithAFullDiskTakesNoEntries(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 8} {
		net := newNetwork(t, 3, func(cfg *Config) { cfg.MaxInflightMessages, cfg.MaxMessageEntries = window, 1 })
		leader, full := net.elect(1), net.nodes[3]
		net.propose(leader, "a")
		net.settle()
		full.SetDisk(DiskFull)
		last := full.log.last()
		sent := 0
		net.drop = func(m Message) bool {
			if m.To == 3 && m.Type == MsgAppendEntries && len(m.Entries) > 0 {
				sent++
			}
			return false
		}
		for range 20 {
			net.propose(leader, "b", "c")
			net.tick(1)
		}
		net.tick(testHeartbeatTicks)
		wantEqual(t, "the end of its log", full.log.last(), last)
		wantEqual(t, "entries that the others applied", len(net.nodes[2].commands()), 41)
		wantEqual(t, "appends to it are few", sent <= 2*window, true)
		wantEqual(t, "a quorum takes entries", leader.QuorumTakes(DiskLow), true)
		wantEqual(t, "its commit index", full.log.commit, last)
		wantEqual(t, "it follows", full.leader, 1)

		full.SetDisk(DiskLow)
		net.tick(3 * testHeartbeatTicks)
		wantEqual(t, "entries that it applied with room", len(full.commands()), 41)
		wantEqual(t, "its disk in the leader's progress", leader.progressOf(3).disk, DiskLow)
	}
}

// What it holds already it acknowledges, also if its disk is full: entries that a new leader sends again.
func TestAFullDiskAcknowledgesWhatItHolds(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, logOf(1, 1, 1))
	s.SetDisk(DiskFull)
	for _, c := range []struct {
		entries []Entry
		match   Index
	}{
		{logOf(1, 1, 1)[1:], 3}, {logOf(1, 1, 1, 2)[1:], 3}, {logOf(1, 1, 2, 2)[1:], 2}, {nil, 1},
	} {
		r := s.ask(Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, Entries: c.entries})
		if !r.Success || r.MatchIndex != c.match || r.Disk != DiskFull || r.MatchDigest != s.log.digest(c.match) {
			t.Errorf("%d entries: %+v", len(c.entries), r)
		}
	}
	wantEqual(t, "the end of its log", s.log.last(), 3) // a conflicting suffix stays until there is room
	r := s.ask(Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 5, PrevLogTerm: 2, Entries: entriesFrom(6, 2)})
	wantEqual(t, "an append behind its log", r.Success, false)
	wantEqual(t, "where to try next", r.ConflictIndex, 4)
	r = s.ask(Message{Type: MsgRequestVote, Term: 3, LastLogIndex: 9, LastLogTerm: 2, Transfer: true})
	wantEqual(t, "vote granted", r.VoteGranted, true)
}

// The leader does not wait for appends that a full disk did not take.
func TestAFullDiskEndsTheWindow(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	noop := s.lead()
	answer := success(the(t, appends(noop, 2)))
	s.step(answer)
	s.replicate("a")
	answer.MatchIndex, answer.Disk = 1, DiskFull
	s.step(answer)
	wantEqual(t, "appends that wait for an answer", len(s.progressOf(2).inflight), 0)
	wantEqual(t, "progress", s.progressOf(2).label(), "probe")
}

func TestTheLeaderKnowsHowManyHaveRoom(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	wantEqual(t, "on a follower", s.QuorumTakes(DiskOK), true)
	noop := s.lead()
	s.SetDisk(DiskLow)
	answer := success(the(t, appends(noop, 2)))
	wantEqual(t, "before any answer", s.QuorumTakes(DiskOK), true)
	wantEqual(t, "a successor, before any answer", SuccessorWithRoom(s.Status(), 30), 0)
	answer.Disk = DiskLow
	s.step(answer)
	wantEqual(t, "two are low", s.QuorumTakes(DiskOK), false)
	wantEqual(t, "two are low, and take entries", s.QuorumTakes(DiskLow), true)
	wantEqual(t, "a successor, if the one that answers is low", SuccessorWithRoom(s.Status(), 30), 0)
	answer = success(the(t, appends(noop, 3)))
	s.step(answer)
	wantEqual(t, "a successor", SuccessorWithRoom(s.Status(), 30), 3)
	s.SetDisk(DiskOK)
	wantEqual(t, "one is low", s.QuorumTakes(DiskOK), true)
}

// A leader's followers are sent no snapshot that they have no room for, and none of them gets the leadership.
func TestAFullDiskGetsNoSnapshotAndNoLeadership(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader, away := net.elect(1), net.nodes[3]
	net.isolate(3)
	net.propose(leader, "a", "b", "c")
	net.tick(testHeartbeatTicks)
	net.compact(1, leader.log.commit)
	net.compact(2, leader.log.commit)
	leader.log.dropUpTo(leader.log.commit - 1) // an entry to probe with stays
	away.SetDisk(DiskFull)
	net.heal()
	net.tick(10 * testElectionTicks)
	wantEqual(t, "what it applied", len(away.commands()), 0)
	wantError(t, leader.TransferLeadership(3), ErrBadTarget)
	away.SetDisk(DiskOK)
	net.tick(10 * testElectionTicks)
	wantEqual(t, "its commit index with room", away.log.commit, leader.log.commit)
}

// A leader whose disk is low hands over only to a follower that answered lately, and reported room.
func TestASuccessorWithRoomAnsweredLately(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		follower ProgressStatus
		want     NodeID
	}{
		"with room":        {ProgressStatus{ID: 2, Active: true, DiskKnown: true, AckTicks: 30}, 2},
		"low":              {ProgressStatus{ID: 2, Active: true, DiskKnown: true, Disk: DiskLow}, 0},
		"has not answered": {ProgressStatus{ID: 2, Active: true}, 0},
		"silent":           {ProgressStatus{ID: 2, Active: true, DiskKnown: true, AckTicks: 31}, 0},
	} {
		wantEqual(t, name, SuccessorWithRoom(Status{ID: 1, Progress: []ProgressStatus{test.follower}}, 30), test.want)
	}
}

func TestAnUnknownDiskStateIsRefused(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	answer := success(the(t, appends(s.lead(), 2)))
	answer.To, answer.Disk = 1, DiskFull+1
	wantRefused(t, s, answer)
}
