package raft

import (
	"errors"
	"testing"
)

// The traps are mistakes that well-known implementations made; each number is in DESIGN.md.

// A vote is sent only with, and after, the save of its term and vote.
func TestVoteLeavesAfterItIsSaved(t *testing.T) { // T1
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	if err := s.Step(Message{Type: MsgRequestVote, From: 2, To: 1, Term: 4}); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	wantEqual(t, "messages before the save", len(rd.Messages), 0)
	wantEqual(t, "must save", rd.MustSave, true)
	wantEqual(t, "saved with it", rd.HardState, HardState{Term: 4, Vote: 2})
	wantEqual(t, "granted", the(t, rd.AfterSave).VoteGranted, true)
}

// A candidate's requests wait for the save of its own vote, and its own vote counts only then: otherwise a crash lets
// it vote for another candidate in a term in which it was elected.
func TestCandidateCountsItselfAfterTheSave(t *testing.T) { // T1
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.campaign()
	grant := Message{Type: MsgRequestVoteResponse, From: 2, To: 1, Term: 1, PreVote: true, VoteGranted: true}
	if err := s.Step(grant); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	wantEqual(t, "messages before the save", len(rd.Messages), 0)
	wantEqual(t, "saved", rd.HardState, HardState{Term: 1, Vote: 1})
	wantEqual(t, "requests after it", len(ofType(rd.AfterSave, MsgRequestVote)), 2)

	// A response that arrives before the save is finished makes two of three, but one of them is not saved yet.
	grant.PreVote = false
	if err := s.Step(grant); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "role before the save", s.role, Candidate)
	s.Advance(rd)
	wantEqual(t, "role after the save", s.role, Leader)
}

func TestVotesCountOncePerVoterAndTerm(t *testing.T) { // T2
	t.Parallel()
	s := newSolo(t, 5, HardState{}, nil)
	s.stand()
	grant := Message{Type: MsgRequestVoteResponse, From: 2, Term: 1, VoteGranted: true}
	for range 5 {
		s.step(grant)
	}
	wantEqual(t, "role after one vote, five times", s.role, Candidate)

	// A new election of the same node starts without votes.
	s.stand()
	wantEqual(t, "term", s.term, 2)
	grant.From = 3
	s.step(grant)
	grant.From = 4
	s.step(grant)
	wantEqual(t, "role after votes of an older term", s.role, Candidate)

	// A pre-vote is no vote.
	s.step(Message{Type: MsgRequestVoteResponse, From: 4, Term: 2, PreVote: true, VoteGranted: true})
	s.step(Message{Type: MsgRequestVoteResponse, From: 5, Term: 2, PreVote: true, VoteGranted: true})
	wantEqual(t, "role after late pre-votes", s.role, Candidate)

	s.step(Message{Type: MsgRequestVoteResponse, From: 2, Term: 2, VoteGranted: true})
	s.step(Message{Type: MsgRequestVoteResponse, From: 5, Term: 2, VoteGranted: true})
	wantEqual(t, "role after two votes and its own", s.role, Leader)
}

func TestVoteAnswerCarriesTheAdoptedTermAndMayBeRepeated(t *testing.T) { // T2
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	request := Message{Type: MsgRequestVote, Term: 6}
	for range 2 {
		r := s.ask(request)
		wantEqual(t, "granted", r.VoteGranted, true)
		wantEqual(t, "term of the answer", r.Term, 6)
	}
	request.From = 3
	wantEqual(t, "granted to another one", s.ask(request).VoteGranted, false)
}

func TestUpToDateComparesTermFirst(t *testing.T) { // T3, paper 5.4.1
	t.Parallel()
	for _, c := range []struct {
		lastTerm  Term
		lastIndex Index
		granted   bool
	}{
		{3, 3, true},
		{3, 4, true},
		{4, 1, true},
		{4, 9, true},
		{3, 2, false},
		{2, 9, false},
		{2, 3, false},
		{0, 0, false},
	} {
		s := newSolo(t, 3, HardState{Term: 4}, logOf(1, 2, 3))
		r := s.ask(Message{Type: MsgRequestVote, Term: 5, LastLogTerm: c.lastTerm, LastLogIndex: c.lastIndex})
		if r.VoteGranted != c.granted {
			t.Errorf("candidate's log ends in (%d, term %d), ours in (3, term 3): granted %v",
				c.lastIndex, c.lastTerm, r.VoteGranted)
		}
	}
}

func TestHigherTermIsNotAVote(t *testing.T) { // T4
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2}, logOf(1, 2))
	r := s.ask(Message{Type: MsgRequestVote, From: 2, Term: 7, LastLogIndex: 1, LastLogTerm: 1})
	wantEqual(t, "granted to a stale log", r.VoteGranted, false)
	wantEqual(t, "saved", s.disk.state, HardState{Term: 7, Vote: 0})
	r = s.ask(Message{Type: MsgRequestVote, From: 3, Term: 7, LastLogIndex: 2, LastLogTerm: 2})
	wantEqual(t, "granted to a good log in the same term", r.VoteGranted, true)

	// The candidate's side: responses that only carry a higher term elect no leader.
	candidate := newSolo(t, 3, HardState{}, nil)
	candidate.stand()
	candidate.step(Message{Type: MsgRequestVoteResponse, From: 2, Term: 9, VoteGranted: true})
	wantEqual(t, "role", candidate.role, Follower)
	wantEqual(t, "term", candidate.term, 9)
}

func TestPreVoteAnswerTerms(t *testing.T) { // T5
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 5}, logOf(5))
	request := Message{Type: MsgRequestVote, PreVote: true, Term: 9, LastLogIndex: 1, LastLogTerm: 5}
	r := s.ask(request)
	wantEqual(t, "granted", r.VoteGranted, true)
	wantEqual(t, "term of a yes: the request's", r.Term, 9)

	request.LastLogIndex, request.LastLogTerm = 1, 4
	r = s.ask(request)
	wantEqual(t, "granted", r.VoteGranted, false)
	wantEqual(t, "term of a no: our own", r.Term, 5)

	request.Term = 3
	request.LastLogIndex, request.LastLogTerm = 0, 0
	r = s.ask(request)
	wantEqual(t, "granted to an older term", r.VoteGranted, false)
	wantEqual(t, "pre-vote", r.PreVote, true)
	wantEqual(t, "term of the explicit no", r.Term, 5)
	wantEqual(t, "our term", s.term, 5)
}

// A node that was partitioned and returns with a higher term cannot follow the cluster's leader, and must not depose
// it by campaigning. Its responses must raise the cluster's term.
func TestNodeAheadPullsTheClusterUp(t *testing.T) { // T6
	t.Parallel()
	net := newNetwork(t, 3)
	net.elect(1)
	net.isolate(3)
	ahead := net.nodes[3]
	for range 5 { // as if it had campaigned without pre-vote
		ahead.setTerm(ahead.term + 1)
	}
	net.settle()
	net.heal()
	net.tick(10 * testElectionTicks)
	leader := net.leader()
	if leader == nil || leader.term <= 6 {
		t.Fatalf("no leader came up to the term: %+v", leader)
	}
	wantEqual(t, "leader that node 3 follows", ahead.leader, leader.id)
}

func TestPreCandidateHasNoLeader(t *testing.T) { // T6
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	s.step(Message{Type: MsgAppendEntries, From: 2, Term: 1})
	wantEqual(t, "leader", s.Status().Leader, 2)
	s.campaign()
	wantEqual(t, "leader", s.Status().Leader, 0)
	r := s.ask(Message{Type: MsgRequestVote, From: 3, PreVote: true, Term: 2})
	wantEqual(t, "a pre-candidate supports another one", r.VoteGranted, true)
}

func TestVotesAreIgnoredWhileALeaderIsActive(t *testing.T) { // T7, thesis 4.2.3
	t.Parallel()
	for _, preVote := range []bool{false, true} {
		s := newSolo(t, 3, HardState{Term: 1}, nil)
		s.step(Message{Type: MsgAppendEntries, From: 2, Term: 1})
		s.ticks(testElectionTicks - 1)
		request := Message{Type: MsgRequestVote, From: 3, Term: 5, PreVote: preVote}
		r := s.ask(request)
		wantEqual(t, "granted", r.VoteGranted, false)
		wantEqual(t, "term", s.term, 1)

		transfer := request
		transfer.Transfer = true
		wantEqual(t, "granted for a transfer", s.ask(transfer).VoteGranted, true)
	}

	s := newSolo(t, 3, HardState{Term: 1}, nil)
	s.step(Message{Type: MsgAppendEntries, From: 2, Term: 1})
	s.leaderContact = testElectionTicks
	wantEqual(t, "granted after a silence", s.ask(Message{Type: MsgRequestVote, From: 3, Term: 5}).VoteGranted, true)
}

func TestLeaderIgnoresVoteRequests(t *testing.T) { // T7
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	r := s.ask(Message{Type: MsgRequestVote, From: 3, Term: 9, LastLogIndex: 5, LastLogTerm: 3})
	wantEqual(t, "granted", r.VoteGranted, false)
	wantEqual(t, "term of the answer", r.Term, 1)
	wantEqual(t, "role", s.role, Leader)
}

func TestNonVoterVotesButNeverCampaigns(t *testing.T) { // T8
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, func(cfg *Config) { cfg.ID = 4 })
	wantEqual(t, "messages of a silent time", len(s.ticks(10*testElectionTicks)), 0)
	wantEqual(t, "granted", s.ask(Message{Type: MsgRequestVote, Term: 3}).VoteGranted, true)
	wantEqual(t, "saved vote", s.disk.state, HardState{Term: 3, Vote: 2})
	s.ask(Message{Type: MsgTimeoutNow, From: 2, Term: 3})
	wantEqual(t, "role after being asked to campaign", s.role, Follower)
}

// Membership is fixed so far: committed and effective configuration are the same, and every member of it campaigns.
func TestEveryVoterMayCampaign(t *testing.T) { // T9
	t.Parallel()
	for id := NodeID(1); id <= 3; id++ {
		net := newNetwork(t, 3)
		net.elect(id)
		wantEqual(t, "leader", net.leader().id, id)
	}
}

// A second leader of a term is refused and changes nothing, whichever message it sends and whatever role this node
// has.
func TestASecondLeaderOfATermIsRefused(t *testing.T) { // T10
	t.Parallel()
	entry := []Entry{{Index: 1, Term: 1, Command: []byte(`"forged"`)}}
	for name, m := range map[string]Message{
		"heartbeat": {Type: MsgAppendEntries}, "entries": {Type: MsgAppendEntries, Entries: entry},
		"order to campaign": {Type: MsgTimeoutNow},
	} {
		m.From, m.To, m.Term = 3, 1, 1
		leader := newSolo(t, 3, HardState{}, nil)
		leader.lead()
		follower := newSolo(t, 3, HardState{}, nil)
		follower.step(Message{Type: MsgAppendEntries, From: 2, Term: 1})
		deposed := newSolo(t, 3, HardState{}, nil)
		deposed.lead()
		deposed.ticks(deposed.patience() + 1)
		wantEqual(t, "leads without contact to a majority", deposed.role == Leader || deposed.term != 1, false)
		for role, s := range map[string]*solo{"leader": leader, "follower": follower, "deposed": deposed} {
			t.Run(name+" to a "+role, func(t *testing.T) {
				t.Parallel()
				log := s.terms()
				wantRefused(t, s, m)
				wantError(t, s.Step(m), ErrSecondLeader)
				wantEqual(t, "log", s.terms(), log)
			})
		}
	}
}

// A node that followed a false leader first is free to follow the true one when the false one stops sending.
func TestAFalseLeaderIsForgottenAfterOneElectionTimeout(t *testing.T) { // T10
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.step(Message{Type: MsgAppendEntries, From: 3, Term: 1})
	wantRefused(t, s, Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1})
	s.campaign()
	wantEqual(t, "answer", s.ask(Message{Type: MsgAppendEntries, From: 2, Term: 1}).Success, true)
	wantEqual(t, "leader", s.leader, 2)
}

// A false message is refused; a second leader by this node's own action is a broken invariant.
func TestTwoLeadersByOurOwnDoingPanic(t *testing.T) { // T10
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	wantPanic(t, "nodes 1 and 2 both lead term 1", func() { s.acceptLeader(2) })
}

// Only the leader may send TimeoutNow. From any other node it is refused, without a panic.
func TestOnlyTheLeaderHandsOver(t *testing.T) { // T10, T11
	t.Parallel()
	leader := newSolo(t, 3, HardState{}, nil)
	leader.lead()
	wantRefused(t, leader, Message{Type: MsgTimeoutNow, From: 2, To: 1, Term: 1})

	follower := newSolo(t, 3, HardState{}, nil)
	follower.step(Message{Type: MsgAppendEntries, From: 2, Term: 1})
	wantRefused(t, follower, Message{Type: MsgTimeoutNow, From: 3, To: 1, Term: 1})
	follower.ask(Message{Type: MsgTimeoutNow, From: 2, Term: 1})
	wantEqual(t, "role after the leader's order", follower.role, Candidate)
}

func TestTransferOnlyFromALeaderToAnotherVoter(t *testing.T) { // T11
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	wantError(t, s.TransferLeadership(2), ErrNotLeader)
	s.stand()
	wantError(t, s.TransferLeadership(2), ErrNotLeader)
	s.step(Message{Type: MsgRequestVoteResponse, From: 2, Term: 1, VoteGranted: true})
	wantError(t, s.TransferLeadership(1), ErrBadTarget)
	wantError(t, s.TransferLeadership(4), ErrBadTarget)
	wantError(t, s.TransferLeadership(2), nil)
	wantError(t, s.TransferLeadership(2), nil)
	wantError(t, s.TransferLeadership(3), ErrTransferring)
	wantEqual(t, "target", s.Status().TransferTarget, 2)
}

func TestTransferStopsProposalsAndTimesOut(t *testing.T) { // T11
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	first := s.lead()
	wantError(t, s.TransferLeadership(2), nil)
	_, _, err := s.Propose(0, [][]byte{[]byte("1")})
	wantError(t, err, ErrTransferring)
	wantEqual(t, "asked before it has the log", len(ofType(s.take(), MsgTimeoutNow)), 0)
	sent := s.step(success(the(t, appends(first, 2))))
	wantEqual(t, "target", the(t, ofType(sent, MsgTimeoutNow)).To, 2)

	for range testElectionTicks {
		wantEqual(t, "target", s.Status().TransferTarget, 2)
		wantEqual(t, "asked again", len(ofType(s.ticks(1), MsgTimeoutNow)), 0)
		s.progressOf(3).answeredNow(0) // the other nodes answer
	}
	wantEqual(t, "target after one election timeout", s.Status().TransferTarget, 0)
	if _, _, err := s.Propose(0, [][]byte{[]byte("1")}); err != nil {
		t.Fatalf("proposals stay refused: %v", err)
	}
}

func TestTransferMovesLeadershipAtOnce(t *testing.T) { // T11, thesis 3.10
	t.Parallel()
	net := newNetwork(t, 3)
	old := net.elect(1)
	net.propose(old, `"x"`)
	wantError(t, old.TransferLeadership(3), nil)
	net.settle() // without a tick
	wantEqual(t, "role of the target", net.nodes[3].role, Leader)
	wantEqual(t, "role of the old leader", old.role, Follower)
	wantEqual(t, "reason", old.Status().Reason, "higher term 2 from node 3")
	wantEqual(t, "term", net.nodes[3].term, 2)
	wantSlice(t, "applied by the new leader", net.nodes[3].commands(), []string{`"x"`})
}

func wantError(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}
