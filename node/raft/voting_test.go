package raft

import "testing"

func TestVotingGrantsToAGoodCandidate(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	r := s.ask(Message{Type: MsgRequestVote, From: 3, Term: 2, LastLogIndex: 1, LastLogTerm: 1})
	wantEqual(t, "granted", r.VoteGranted, true)
	wantEqual(t, "to", r.To, 3)
	wantEqual(t, "saved", s.disk.state, HardState{Term: 2, Vote: 3})
}

func TestVotingGrantRestartsTheElectionTimer(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.ticks(testElectionTicks - 1)
	s.ask(Message{Type: MsgRequestVote, Term: 1})
	s.ticks(testElectionTicks - 1)
	wantEqual(t, "role", s.role, Follower)
}

// A candidate that cannot win must not delay the one that can.
func TestVotingRefusalDoesNotBeginANewWait(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	for range 2 * testElectionTicks {
		if s.role != Follower {
			break
		}
		s.ask(Message{Type: MsgRequestVote, Term: s.term + 1})
		s.ticks(1)
	}
	wantEqual(t, "role", s.role, PreCandidate)
}

func TestVotingSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.ask(Message{Type: MsgRequestVote, From: 2, Term: 3})
	again := newSolo(t, 3, s.disk.state, s.disk.log)
	wantEqual(t, "granted to another one", again.ask(Message{Type: MsgRequestVote, From: 3, Term: 3}).VoteGranted, false)
	wantEqual(t, "granted to the same", again.ask(Message{Type: MsgRequestVote, From: 2, Term: 3}).VoteGranted, true)
}

func TestVotingCandidatesDoNotVoteForEachOther(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.stand()
	wantEqual(t, "granted", s.ask(Message{Type: MsgRequestVote, From: 2, Term: 1}).VoteGranted, false)
	wantEqual(t, "role", s.role, Candidate)
}

func TestVotingPreVoteChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Vote: 3}, nil)
	s.ticks(testElectionTicks - 1)
	wantEqual(t, "granted", s.ask(Message{Type: MsgRequestVote, Term: 2, PreVote: true}).VoteGranted, true)
	wantEqual(t, "term", s.term, 1)
	wantEqual(t, "vote", s.vote, 3)
	wantEqual(t, "begins a new wait", s.electionElapsed, testElectionTicks-1)
}

func TestVotingPreVoteForOurOwnTerm(t *testing.T) {
	t.Parallel()
	request := Message{Type: MsgRequestVote, From: 2, Term: 4, PreVote: true}
	for voted, granted := range map[NodeID]bool{0: true, 2: true, 3: false} {
		s := newSolo(t, 3, HardState{Term: 4, Vote: voted}, nil)
		if got := s.ask(request).VoteGranted; got != granted {
			t.Errorf("voted for %d in term 4: pre-vote for term 4 granted %v", voted, got)
		}
	}
}

// Without pre-vote a partitioned node would return with a high term and depose the leader.
func TestVotingCutOffNodeDoesNotRaiseItsTerm(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	leader := net.elect(1)
	net.isolate(3)
	net.tick(20 * testElectionTicks)
	wantEqual(t, "term of the node that was cut off", net.nodes[3].term, 1)
	wantEqual(t, "its role", net.nodes[3].role, PreCandidate)
	net.heal()
	net.tick(2 * testElectionTicks)
	wantEqual(t, "leader", net.leader(), leader)
	wantEqual(t, "term", leader.term, 1)
	wantEqual(t, "role of the node that came back", net.nodes[3].role, Follower)
}

func TestVotingMinorityElectsNoLeader(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 5)
	net.crash(3)
	net.crash(4)
	net.crash(5)
	net.tick(10 * testElectionTicks)
	wantEqual(t, "leader", net.leader(), nil)
	net.restart(4)
	net.tick(5 * testElectionTicks)
	if net.leader() == nil {
		t.Fatal("three of five elected no leader")
	}
}

func TestVotingStrangersDoNotCount(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.stand()
	s.step(Message{Type: MsgRequestVoteResponse, From: 9, Term: 1, VoteGranted: true})
	s.step(Message{Type: MsgRequestVoteResponse, From: 9, Term: 7})
	wantEqual(t, "role", s.role, Candidate)
	wantEqual(t, "term", s.term, 1)
}

func TestVotingLateVotesDoNotMatter(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	s.step(Message{Type: MsgRequestVoteResponse, From: 3, Term: 1, VoteGranted: true})
	s.step(Message{Type: MsgRequestVoteResponse, From: 3, Term: 1})
	wantEqual(t, "role", s.role, Leader)
	wantEqual(t, "entries", s.log.last(), 1)
}
