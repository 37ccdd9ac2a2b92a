package raft

import (
	"fmt"
	"testing"
)

// Rounds of thesis 4.2.1: a round is what the log held when it began.
func TestRoundsOfALearner(t *testing.T) {
	t.Parallel()
	var u catchUp
	u.acknowledged(0, 100, 5)
	wantEqual(t, "first round", fmt.Sprint(u), fmt.Sprint(catchUp{target: 100, began: 5}))
	u.acknowledged(99, 140, 20)
	wantEqual(t, "round not complete", u.rounds, 0)
	u.acknowledged(100, 150, 30)
	wantEqual(t, "second round", fmt.Sprint(u), fmt.Sprint(catchUp{target: 150, began: 30, took: 25, rounds: 1}))
	u.acknowledged(150, 150, 33)
	wantEqual(t, "third round", fmt.Sprint(u), fmt.Sprint(catchUp{target: 150, began: 33, took: 3, rounds: 2}))
}

// soloLearner returns a leader of three voters with learner 4, which has caught up.
func soloLearner(t *testing.T, auto bool) *solo {
	t.Helper()
	s := soloLeader(t, 3)
	learner := memberAt(4)
	learner.AutoPromote = auto
	sent := s.change(Change{Add: []Member{learner}})
	s.acknowledge(2)
	s.step(success(the(t, appends(sent, 4))))
	s.acknowledge(4)
	return s
}

func TestALearnerIsPromotedWhenItHasCaughtUp(t *testing.T) { // thesis 4.2.1
	t.Parallel()
	for what, c := range map[string]struct {
		spoil func(*solo, *progress)
		good  bool
	}{
		"caught up":             {func(*solo, *progress) {}, true},
		"without a seat":        {func(_ *solo, p *progress) { p.unseated = true }, false},
		"silent":                {func(_ *solo, p *progress) { p.ackTicks = testElectionTicks }, false},
		"no answer in the term": {func(_ *solo, p *progress) { p.answeredTerm = false }, false},
		"needs a snapshot":      {func(_ *solo, p *progress) { p.requested = 1 }, false},
		"probing":               {func(_ *solo, p *progress) { p.state = probing }, false},
		"no room":               {func(_ *solo, p *progress) { p.disk = DiskLow }, false},
		"no round yet":          {func(_ *solo, p *progress) { p.catchUp.rounds = 0 }, false},
		"a round took long":     {func(_ *solo, p *progress) { p.catchUp.took = testElectionTicks + 1 }, false},
		"just enough of the log": {func(s *solo, p *progress) {
			s.fill(maxLag)
			s.acknowledge(2)
		}, true},
		"lacks too much": {func(s *solo, p *progress) {
			s.fill(maxLag + 1)
			s.acknowledge(2)
		}, false},
	} {
		s := soloLearner(t, false)
		c.spoil(s, s.progressOf(4))
		wantEqual(t, what+": shown", s.Status().Progress[2].CaughtUp, c.good)
		_, _, err := s.ProposeChange(Change{Expected: 2, Promote: []NodeID{4}, Force: true})
		if c.good && err != nil {
			t.Errorf("%s: %v", what, err)
		} else if !c.good {
			wantError(t, err, ErrNotCaughtUp)
		}
	}
}

// fill appends commands.
func (s *solo) fill(n int) {
	s.t.Helper()
	commands := make([][]byte, n)
	for i := range commands {
		commands[i] = []byte("x")
	}
	if _, _, err := s.Propose(1, commands); err != nil {
		s.t.Fatal(err)
	}
	s.take()
}

func TestTheLeaderPromotesALearnerByItself(t *testing.T) {
	t.Parallel()
	s := soloLearner(t, true)
	wantEqual(t, "quiet ticks", s.QuietTicks(), 1)
	s.ticks(1)
	wantSlice(t, "voters", s.voters(), []NodeID{1, 2, 3, 4})
	wantEqual(t, "promotion is asked for once more", s.members.current.Members[3].AutoPromote, false)

	s = soloLearner(t, false)
	s.ticks(1)
	wantSlice(t, "voters without it", s.voters(), []NodeID{1, 2, 3})
	wantEqual(t, "waits for a tick", s.membershipDue(), false)
}

// A new member gets a seat for its disk, and is promoted only then: without one it would not vote.
func TestANewMemberIsSeatedBeforeItIsPromoted(t *testing.T) { // T28, T8
	t.Parallel()
	net := newNetwork(t, 3, foundedBy(3))
	leader := net.elect(1)
	four := net.join(4, foundedBy(3))
	learner := memberAt(4)
	learner.AutoPromote = true
	net.change(leader, Change{Add: []Member{learner}})
	net.tick(4 * testElectionTicks)
	wantSlice(t, "voters", leader.voters(), []NodeID{1, 2, 3, 4})
	wantEqual(t, "seated", four.Seated(), true)
	wantEqual(t, "seats given", leader.seats(), 1)
	net.crash(1)
	net.elect(4)
}

// The disk of a node that is no member, or was removed, gets no seat.
func TestNoSeatForANodeThatIsNoMember(t *testing.T) { // T28
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, foundedBy(3))
	sent := s.lead()
	s.step(success(the(t, appends(sent, 2))))
	s.step(success(the(t, appends(sent, 3))))
	sent = s.change(Change{Add: []Member{memberAt(4)}})
	s.acknowledge(2)
	s.change(Change{Remove: []NodeID{4}})
	answer := success(the(t, appends(sent, 4)))
	answer.Incarnation = 400
	s.step(answer)
	wantEqual(t, "seats proposed", s.seatEntries(), 0)
}

// Whatever is decided, learners do not count: commits, check-quorum, reads, the age of the state, full disks.
func TestLearnersDoNotCount(t *testing.T) {
	t.Parallel()
	s := soloLeader(t, 3)
	s.change(Change{Add: []Member{memberAt(4), memberAt(5), memberAt(6)}})
	learners := []NodeID{4, 5, 6}
	for _, id := range learners {
		s.acknowledge(id)
	}
	wantEqual(t, "commit index", s.log.commit, 1)
	s.acknowledge(2)
	wantEqual(t, "commit index with a voter", s.log.commit, 2)

	s.SetClock(1000)
	s.read()
	s.take()
	for _, id := range learners {
		s.step(Message{
			Type: MsgAppendEntriesResponse, From: id, Term: 1, Success: true, MatchIndex: 2, ReadSeq: 1, SentAt: 1000,
			Disk: DiskFull,
		})
	}
	wantEqual(t, "reads", len(s.reads), 0)
	wantEqual(t, "moment", s.quorumMoment(), 0)
	wantEqual(t, "disks", s.QuorumTakes(DiskOK), true)
	_, ok := s.ReadIndexFor(4, 1)
	wantEqual(t, "a question of a learner is a confirmation", ok, false)

	for range 2 * testElectionTicks {
		s.ticks(1)
		for _, id := range learners {
			if s.role == Leader {
				s.acknowledge(id)
			}
		}
	}
	wantEqual(t, "role without a voter", s.role, Follower)
	wantEqual(t, "successor", BestSuccessor(Status{ID: 1, Progress: []ProgressStatus{
		{ID: 4, Member: Learner, Match: 9, Active: true}, {ID: 5, Member: Leaving, Match: 9, Active: true},
	}}, 3), 0)
}

// While only the windows of voters are full, a proposal would wait in the log, whatever learners could take.
func TestLearnersOpenNoWindow(t *testing.T) {
	t.Parallel()
	s := soloLearner(t, false)
	for id := NodeID(2); id <= 3; id++ {
		s.acknowledge(id)
		s.progressOf(id).state = replicating
	}
	s.fill(1)
	s.step(Message{Type: MsgAppendEntriesResponse, From: 4, Term: 1, Success: true, MatchIndex: 3})
	wantEqual(t, "proposals are taken", s.TakesProposals(), false)
}

func TestAChangeThatEndangersTheQuorumIsRefused(t *testing.T) {
	t.Parallel()
	s := soloLeader(t, 3)
	for range testElectionTicks {
		s.ticks(1)
		s.acknowledge(2)
	}
	change := Change{Remove: []NodeID{2}}
	_, _, err := s.ProposeChange(change)
	wantError(t, err, ErrQuorumAtRisk)
	wantEqual(t, "text", err.Error(), "raft: too few voters would respond: of the voters [1 3], these have not responded "+
		"within an election timeout: [3]")
	_, _, err = s.ProposeChange(Change{Remove: []NodeID{3}})
	wantError(t, err, nil)
	s.acknowledge(2)
	_, _, err = s.ProposeChange(Change{Expected: 2, Remove: []NodeID{2}})
	wantError(t, err, nil)

	s = soloLeader(t, 3)
	s.ticks(testElectionTicks)
	change.Force = true
	_, _, err = s.ProposeChange(change)
	wantError(t, err, nil)
}

// A joint configuration needs a majority of the old voters as well.
func TestAJointChangeNeedsBothMajorities(t *testing.T) { // paper, section 6
	t.Parallel()
	s := soloLeader(t, 3)
	sent := s.change(Change{Add: []Member{memberAt(4), memberAt(5), memberAt(6)}})
	s.acknowledge(2)
	for id := NodeID(4); id <= 6; id++ {
		s.step(success(the(t, appends(sent, id))))
		s.acknowledge(id)
	}
	s.Core.lead.transfer.failed = true
	s.change(Change{Promote: []NodeID{4, 5, 6}, Remove: []NodeID{1, 2, 3}})
	for id := NodeID(4); id <= 6; id++ {
		s.acknowledge(id)
	}
	wantEqual(t, "commit index with the new voters", s.log.commit, 2)
	s.acknowledge(3)
	wantEqual(t, "commit index with both", s.log.commit, 3)
	wantSlice(t, "voters", s.voters(), []NodeID{4, 5, 6})
	wantEqual(t, "joint", s.members.current.Joint(), false)
	s.acknowledge(2)
	s.acknowledge(3)
	wantEqual(t, "commit index with the old voters", s.log.commit, 3)
}

func TestAnElectionInAJointConfigurationNeedsBothMajorities(t *testing.T) { // paper, section 6
	t.Parallel()
	joint := withRoles(initial(1, 2, 3, 4, 5), Leaving, 3)
	joint.Outgoing = []NodeID{1, 2, 3}
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, append(logOf(1), configEntry(2, 1, joint)))
	s.campaign()
	grant := func(id NodeID, pre bool) {
		term := s.term
		if pre {
			term++
		}
		s.step(Message{Type: MsgRequestVoteResponse, From: id, Term: term, PreVote: pre, VoteGranted: true})
	}
	grant(4, true)
	grant(5, true)
	wantEqual(t, "role with three of four new voters, and one of three old ones", s.role, PreCandidate)
	grant(3, true)
	wantEqual(t, "role", s.role, Candidate)
	grant(3, false)
	grant(4, false)
	wantEqual(t, "role with two of four new voters, and two of three old ones", s.role, Candidate)
	grant(2, false)
	wantEqual(t, "role", s.role, Leader)
	wantEqual(t, "reason", s.Status().Reason, "elected by 1 2 3 4")
}

// The second step is appended by the leader at the time when the first is committed.
func TestANewLeaderFinishesAJointChange(t *testing.T) { // T24, T25
	t.Parallel()
	net, leader := newLearners(t, 3, 4, 5)
	net.change(leader, Change{Promote: []NodeID{4, 5}})
	net.drop = func(m Message) bool { return m.Type == MsgAppendEntriesResponse && m.To == 1 }
	net.settle()
	wantEqual(t, "joint at node 5", net.nodes[5].members.current.Joint(), true)
	net.crash(1)
	net.heal()
	next := net.elect(4)
	net.tick(testHeartbeatTicks)
	wantSlice(t, "voters", next.voters(), []NodeID{1, 2, 3, 4, 5})
	wantEqual(t, "joint", next.members.current.Joint(), false)
	wantEqual(t, "committed", next.members.committed.Index, next.log.last())
}

// The second step would delay a transfer. It follows if that fails.
func TestNoSecondStepWhileLeadershipIsTransferred(t *testing.T) { // T11, T24
	t.Parallel()
	net, leader := newLearners(t, 3, 4, 5)
	net.change(leader, Change{Promote: []NodeID{4, 5}})
	wantError(t, leader.TransferLeadership(2), nil)
	net.drop = func(m Message) bool { return m.Type == MsgTimeoutNow }
	net.settle()
	wantEqual(t, "joint during the transfer", leader.members.current.Joint(), true)
	net.tick(testElectionTicks + 1)
	wantEqual(t, "joint after it", leader.members.current.Joint(), false)
}

// A read in flight is confirmed if the configuration that is in force now needs no more responses.
func TestAReadIsConfirmedByTheVotersThatAreLeft(t *testing.T) {
	t.Parallel()
	s := soloLeader(t, 2)
	s.read()
	s.take()
	wantEqual(t, "reads", len(s.reads), 0)
	s.change(Change{Remove: []NodeID{2}})
	wantEqual(t, "reads", len(s.reads), 1)
	wantEqual(t, "commit index", s.log.commit, 2)
}
