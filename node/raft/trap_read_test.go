package raft

import (
	"testing"
)

// read starts a read and fails the test if that is refused.
func (s *solo) read() ReadToken {
	s.t.Helper()
	token, err := s.ReadIndex()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// leadAndCommit leads with the no-op committed by node 2.
func (s *solo) leadAndCommit() {
	s.t.Helper()
	s.step(success(the(s.t, appends(s.lead(), 2))))
	wantEqual(s.t, "commit index", s.log.commit, s.log.last())
}

func TestNoReadBeforeTheNoOpCommits(t *testing.T) { // T38
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, logOf(1, 1, 1))
	noop := the(t, appends(s.lead(), 2))
	token := s.read()
	sent := append(s.take(), s.ticks(testHeartbeatTicks)...)
	for _, m := range sent {
		wantEqual(t, "read round", m.ReadSeq, 0)
		s.step(success(m))
	}
	wantEqual(t, "reads before the no-op committed", len(s.reads), 0)

	for _, m := range s.step(success(noop)) {
		s.step(success(m))
	}
	wantEqual(t, "reads", len(s.reads), 1)
	wantEqual(t, "read", s.reads[0], ReadState{Token: token, Index: 4})
}

func TestOneRoundConfirmsAllReadsThatWait(t *testing.T) { // T39, thesis 6.4
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	first, second := s.read(), s.read()
	round := s.take()
	wantEqual(t, "heartbeats", len(heartbeats(round, 2)), 1)
	late := s.read()
	wantEqual(t, "messages of a round that waits", len(s.take()), 0)

	next := s.step(success(the(t, heartbeats(round, 2))))
	wantEqual(t, "reads", len(s.reads), 2)
	wantEqual(t, "first token", s.reads[0].Token, first)
	wantEqual(t, "second token", s.reads[1].Token, second)
	wantEqual(t, "the late one waits for a round of its own", len(heartbeats(next, 2)), 1)
	s.step(success(the(t, heartbeats(next, 3))))
	wantEqual(t, "late token", s.reads[2].Token, late)
}

func TestTokensAreUniqueAndOldRoundsConfirmNothing(t *testing.T) { // T39
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	seen := map[ReadToken]bool{}
	var old Message
	for i := range 3 {
		token := s.read()
		if seen[token] || token.Term != 1 {
			t.Fatalf("token %+v in term 1", token)
		}
		seen[token] = true
		question := the(t, heartbeats(s.take(), 2))
		if i > 0 {
			s.step(success(old)) // a repeated response to the round before
			wantEqual(t, "reads", len(s.reads), i)
		}
		s.step(success(question))
		wantEqual(t, "reads", len(s.reads), i+1)
		old = question
	}

	// The next term of the same node counts from one again, with another term in the token.
	s.step(Message{Type: MsgAppendEntriesResponse, From: 3, Term: 2})
	s.lead()
	if token := s.read(); seen[token] {
		t.Fatalf("token %+v again", token)
	}
}

// Any response of the current term to a message of the round or later shows that its sender accepts this leader, even
// if its log differs.
func TestRejectionsAndAppendsConfirmReadsToo(t *testing.T) { // T39
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	s.read()
	s.step(rejection(the(t, heartbeats(s.take(), 3)), 1, 0))
	wantEqual(t, "reads after a rejection", len(s.reads), 1)

	s.read()
	m := the(t, appends(s.replicate("1"), 2))
	wantEqual(t, "the append carries the round", m.ReadSeq, 2)
	s.step(success(m))
	wantEqual(t, "reads after an append", len(s.reads), 2)
	wantEqual(t, "its index is of the time when it was asked", s.reads[1].Index, 1)
}

// A read round that was lost is sent again with the next heartbeat.
func TestLostReadRoundIsRepeated(t *testing.T) { // T39
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	s.read()
	s.take() // lost
	for _, m := range s.ticks(testHeartbeatTicks) {
		s.step(success(m))
	}
	wantEqual(t, "reads", len(s.reads), 1)
}

// The change of leader and a confirmed read happen in the same pass: the change wins.
func TestChangeOfLeaderBeatsAReadThatIsReady(t *testing.T) { // T40
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	ready := s.read()
	answer := success(the(t, heartbeats(s.take(), 2)))
	answer.To = 1
	waiting := s.read()
	if err := s.Step(answer); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "confirmed", len(s.confirmed), 1)
	s.step(Message{Type: MsgAppendEntries, From: 3, Term: 2})
	wantEqual(t, "reads", len(s.reads), 0)
	wantEqual(t, "dropped", len(s.dropped), 2)
	wantEqual(t, "dropped", s.dropped[0], waiting)
	wantEqual(t, "dropped", s.dropped[1], ready)
}

// A read waits until its index is applied. The index is read after the read began, so it covers everything committed
// before.
func TestReadIndexCoversAllThatWasCommitted(t *testing.T) { // T41
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	s.step(success(the(t, appends(s.replicate("1"), 2))))
	s.read()
	s.step(success(the(t, heartbeats(s.take(), 2))))
	wantEqual(t, "read index", s.reads[0].Index, 2)
	wantEqual(t, "handed out to be applied no later", s.applied[len(s.applied)-1].Index, 2)
}

// A read that is not asked for under a lease needs a round of its own, however recent the contact is, so it does not
// depend on clocks.
func TestALinearizableReadDependsOnNoClock(t *testing.T) { // T42, T43
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.leadAndCommit()
	for _, m := range s.ticks(testHeartbeatTicks) {
		s.step(success(m))
	}
	s.read()
	s.take()
	wantEqual(t, "reads", len(s.reads), 0)
}

// A partitioned leader still leads its term for a while, but confirms no read.
func TestCutOffLeaderServesNoRead(t *testing.T) { // T43
	t.Parallel()
	net := newNetwork(t, 3)
	old := net.elect(1)
	net.isolate(1)
	for range testElectionTicks {
		net.nodes[2].Tick()
		net.nodes[3].Tick()
	}
	net.elect(2)
	wantEqual(t, "role of the old leader", old.role, Leader)
	token, err := old.ReadIndex()
	if err != nil {
		t.Fatal(err)
	}
	net.settle()
	net.tick(2 * testElectionTicks)
	wantEqual(t, "reads", len(old.reads), 0)
	wantEqual(t, "role of the old leader", old.role, Follower)
	wantEqual(t, "dropped", len(old.dropped), 1)
	wantEqual(t, "dropped", old.dropped[0], token)
}

func TestSingleNodeReadsAtOnce(t *testing.T) { // T38, T43
	t.Parallel()
	net := newNetwork(t, 1)
	node := net.elect(1)
	if _, err := node.ReadIndex(); err != nil {
		t.Fatal(err)
	}
	net.settle()
	wantEqual(t, "reads", len(node.reads), 1)
}

func TestOnlyALeaderReads(t *testing.T) { // T43
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	_, err := s.ReadIndex()
	wantError(t, err, ErrNotLeader)
	s.stand()
	_, err = s.ReadIndex()
	wantError(t, err, ErrNotLeader)
}

// What a deposed leader proposed may still commit, and may be lost; both happen here to proposals that look the same
// to the caller. The term that is committed at the index distinguishes them.
func TestOutcomeOfAProposalIsUnknownUntilCommitted(t *testing.T) { // T49
	t.Parallel()
	for _, reached := range []bool{true, false} {
		net := newNetwork(t, 3)
		old := net.elect(1)
		if !reached {
			net.isolate(1)
		} else { // the append arrives, its response does not
			net.drop = func(m Message) bool { return m.To == 1 }
		}
		index := net.propose(old, `"x"`)
		term := old.term
		net.settle()
		net.crash(1)
		net.heal()
		net.tick(4 * testElectionTicks)
		net.restart(1)
		net.tick(4 * testElectionTicks)
		committed := net.nodes[2].applied[index-1]
		wantEqual(t, "took effect", committed.Term == term, reached)
		wantEqual(t, "the old leader agrees", net.nodes[1].applied[index-1].Term, committed.Term)
	}
}

// A refused proposal was certainly not appended, so the caller may report that.
func TestRefusedProposalsAppendNothing(t *testing.T) { // T49
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, func(cfg *Config) { cfg.MaxUncommittedBytes = 20 })
	_, _, err := s.Propose(0, [][]byte{[]byte("1")})
	wantError(t, err, ErrNotLeader)
	s.lead()
	_, _, err = s.Propose(0, [][]byte{[]byte("1"), make([]byte, 20)})
	wantError(t, err, ErrOverloaded)
	wantEqual(t, "last index", s.log.last(), 1)
	wantError(t, s.TransferLeadership(2), nil)
	_, _, err = s.Propose(0, [][]byte{[]byte("1")})
	wantError(t, err, ErrTransferring)
	wantEqual(t, "last index", s.log.last(), 1)
}
