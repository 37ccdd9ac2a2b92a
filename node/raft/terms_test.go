package raft

import (
	"fmt"
	"math"
	"testing"
)

// everyType is one message of each type, which a node in term 5 with an empty log accepts if its term is right.
func everyType(term Term) map[string]Message {
	messages := map[string]Message{
		"vote request": {Type: MsgRequestVote}, "transfer": {Type: MsgRequestVote, Transfer: true},
		"pre-vote request": {Type: MsgRequestVote, PreVote: true},
		"vote":             {Type: MsgRequestVoteResponse, VoteGranted: true}, "no vote": {Type: MsgRequestVoteResponse},
		"pre-vote":    {Type: MsgRequestVoteResponse, PreVote: true, VoteGranted: true},
		"no pre-vote": {Type: MsgRequestVoteResponse, PreVote: true},
		"heartbeat":   {Type: MsgAppendEntries}, "entries": {Type: MsgAppendEntries, Entries: logOf(1)},
		"acknowledgement": {Type: MsgAppendEntriesResponse, Success: true}, "rejection": {Type: MsgAppendEntriesResponse},
		"order to campaign": {Type: MsgTimeoutNow}, "answer to it": {Type: MsgTimeoutNowResponse},
	}
	for name, m := range messages {
		m.From, m.To, m.Term = 2, 1, term
		messages[name] = m
	}
	return messages
}

func TestImplausibleTermsAreRefused(t *testing.T) {
	t.Parallel()
	for _, term := range []Term{
		0, 5 + Term(fullTermBudget) + 1, maxNumber - 1, maxNumber, maxNumber + 1, maxTerm, maxTerm + 1, math.MaxInt64,
		math.MaxUint64 - 1, math.MaxUint64,
	} {
		for name, m := range everyType(term) {
			if term == 0 && name == "no pre-vote" {
				continue // the answer of an empty disk without a seat
			}
			t.Run(fmt.Sprintf("%s of term %d", name, term), func(t *testing.T) {
				t.Parallel()
				s := newSolo(t, 3, HardState{Term: 5}, nil)
				wantRefused(t, s, m)
				wantError(t, s.Step(m), ErrBadTerm)
			})
		}
	}
}

// A node that missed 2^32 elections is not refused, and rejoins, whichever message carries its term.
func TestANodeThatMissedManyElectionsComesBack(t *testing.T) {
	t.Parallel()
	for name, m := range everyType(5 + Term(fullTermBudget)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSolo(t, 3, HardState{Term: 5}, nil)
			s.step(m)
			wantEqual(t, "answer", s.ask(Message{Type: MsgAppendEntries, Term: max(m.Term, s.term)}).Success, true)
		})
	}
}

// However many messages arrive, they cannot use up the terms: together they raise the term as far as one can, until
// time passes.
func TestTermsCannotBeUsedUpStepByStep(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	victim := net.elect(1)
	refused := 0
	for range 1000 {
		for _, step := range []Term{Term(fullTermBudget), 1 << 20} {
			m := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: victim.term + step}
			if victim.Step(m) != nil {
				refused++
			}
			net.drain(victim)
		}
	}
	if refused < 1998 || victim.term > 2*Term(fullTermBudget) {
		t.Fatalf("%d of 2000 steps were refused, and the term is %d", refused, victim.term)
	}
	net.queue, net.refuses = nil, true // the responses go to the forger; the other nodes enter the term
	net.tick(10 * testElectionTicks)
	wantWorking(t, net)
}

// A term that an older version accepted stays on the disk: a cluster in a term of 2^53, or beyond, starts and elects.
func TestTermsOnTheDiskCanBeFollowed(t *testing.T) {
	t.Parallel()
	for _, term := range []Term{maxNumber - 1, maxNumber, maxNumber + 1, maxTerm - 8} {
		t.Run(fmt.Sprint(term), func(t *testing.T) {
			t.Parallel()
			net := newNetwork(t, 3)
			for id := NodeID(1); id <= 3; id++ {
				net.add(net.nodes[id].cfg, HardState{Term: term}, nil)
			}
			net.tick(10 * testElectionTicks)
			wantWorking(t, net)
		})
	}
}

func TestTheTermBudgetComesBackWithTime(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 5}, nil)
	far := 5 + Term(fullTermBudget)
	s.step(Message{Type: MsgAppendEntries, Term: far})
	wantRefused(t, s, Message{Type: MsgAppendEntries, From: 2, To: 1, Term: far + 1})
	s.Tick()
	wantRefused(t, s, Message{Type: MsgAppendEntries, From: 2, To: 1, Term: far + Term(termsPerTick) + 1})
	s.step(Message{Type: MsgAppendEntries, Term: far + Term(termsPerTick)})
	for range fullTermBudget/termsPerTick + 100 {
		s.budget.tick()
	}
	wantEqual(t, "budget after a long time", s.budget.left, fullTermBudget)
	wantPanic(t, "a step of 4294967297 terms was accepted", func() { s.budget.spend(Term(fullTermBudget) + 1) })
}

// One message raises a node's term to the limit, and an election by one more. The other nodes reach that within
// ticks.
func TestNoMessageCutsANodeOffTheCluster(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 3)
	victim := net.elect(1)
	if err := victim.Step(Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1 + Term(fullTermBudget)}); err != nil {
		t.Fatal(err)
	}
	net.drain(victim)
	net.queue, net.refuses = nil, true
	net.tick(10 * testElectionTicks)
	wantWorking(t, net)
	for _, id := range net.ids() {
		wantEqual(t, "term", net.nodes[id].term, net.leader().term)
	}
}

// The budget exceeds a full one only while a peer needs it.
func TestARefusedTermLeavesNoBudgetBehind(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 5}, nil)
	for range 100 {
		wantRefused(t, s, Message{Type: MsgAppendEntries, From: 2, To: 1, Term: maxNumber})
		s.budget.tick()
	}
	wantEqual(t, "budget while terms are refused", s.budget.left, fullTermBudget+100*termsPerTick)
	for range s.cfg.ElectionTicks {
		s.budget.tick()
	}
	wantEqual(t, "budget afterwards", s.budget.left, fullTermBudget)
}

// wantWorking checks that a cluster has a leader, commits a command, and applies it everywhere.
func wantWorking(t *testing.T, net *network) {
	t.Helper()
	leader := net.leader()
	if leader == nil {
		t.Fatal("the cluster has no leader")
	}
	net.propose(leader, `"works"`)
	net.settle()
	net.tick(2 * testElectionTicks)
	for _, id := range net.ids() {
		wantSlice(t, "applied", net.nodes[id].commands(), []string{`"works"`})
	}
}
