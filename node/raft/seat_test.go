package raft

import (
	"slices"
	"testing"
)

// foundedBy makes members 1 to n the founders. Each disk has an incarnation of its own.
func foundedBy(n NodeID) func(*Config) {
	return func(cfg *Config) {
		cfg.Incarnation = incarnationOf(cfg.ID)
		cfg.Founders = []Seat{}
		for id := NodeID(1); id <= n; id++ {
			cfg.Founders = append(cfg.Founders, Seat{Member: id, Incarnation: incarnationOf(id)})
		}
	}
}

func incarnationOf(id NodeID) Incarnation { return Incarnation(100 * id) }

// wipe replaces a crashed node's disk by an empty one with another incarnation, and starts it.
func (net *network) wipe(id NodeID) *testNode {
	net.t.Helper()
	old := net.nodes[id]
	delete(net.down, id)
	old.cfg.Incarnation++
	old.cfg.Seated = false
	return net.add(old.cfg, HardState{}, nil)
}

// seats counts the entries that assign seats in a node's log.
func (node *testNode) seats() int {
	count := 0
	for _, e := range node.log.entries {
		if e.Type == EntrySeat {
			count++
		}
	}
	return count
}

func TestANodeWithoutASeatNeitherVotesNorCampaigns(t *testing.T) { // T28
	t.Parallel()
	s := newSolo(t, 5, HardState{}, nil, foundedBy(4), func(cfg *Config) { cfg.ID, cfg.Incarnation = 5, 500 })
	wantEqual(t, "messages of a silent time", len(s.ticks(10*testElectionTicks)), 0)
	for _, m := range []Message{
		{Type: MsgRequestVote, From: 2, Term: 3},
		{Type: MsgRequestVote, From: 2, Term: 3, PreVote: true},
		{Type: MsgRequestVote, From: 2, Term: 3, Transfer: true},
	} {
		wantEqual(t, "vote granted", s.ask(m).VoteGranted, false)
	}
	r := s.ask(Message{Type: MsgAppendEntries, From: 2, Term: 3, Entries: logOf(3), LeaderCommit: 1})
	wantEqual(t, "entries taken", r.Success, true)
	wantEqual(t, "incarnation that asks for a seat", r.Incarnation, 500)
	s.ask(Message{Type: MsgTimeoutNow, From: 2, Term: 3})
	wantEqual(t, "role after being asked to campaign", s.role, Follower)
}

func TestAcknowledgementsOfANodeWithoutASeatDoNotCount(t *testing.T) { // T28
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, foundedBy(2))
	sent := s.lead()
	answer := success(the(t, appends(sent, 3)))
	answer.Incarnation = 300
	s.step(answer)
	wantEqual(t, "commit index", s.log.commit, 0)
	wantEqual(t, "seats proposed", s.seatEntries(), 1)

	s.step(success(the(t, appends(sent, 2))))
	wantEqual(t, "commit index with a seated follower", s.log.commit, 1)
	answer.MatchIndex = s.log.last()
	s.step(answer)
	wantEqual(t, "commit index with its own seat", s.log.commit, 1)

	answer.Incarnation = 0 // its seat is committed in its log
	s.step(answer)
	wantEqual(t, "commit index when it is seated", s.log.commit, 2)
}

// The entry of a seat would delay the transfer. The disk asks again, and is seated after the transfer.
func TestNoSeatIsGivenWhileLeadershipIsTransferred(t *testing.T) { // T11, T28
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, foundedBy(2))
	answer := success(the(t, appends(s.lead(), 3)))
	answer.Incarnation = 300
	if err := s.TransferLeadership(2); err != nil {
		t.Fatal(err)
	}
	s.step(answer)
	wantEqual(t, "seats proposed during the transfer", s.seatEntries(), 0)
	for s.Core.lead.transfer.target != 0 {
		s.ticks(1)
	}
	s.step(answer)
	wantEqual(t, "seats proposed after it", s.seatEntries(), 1)
}

func (s *solo) seatEntries() int { return (&testNode{Core: s.Core}).seats() }

func TestALeaderSeatsAMemberThatStartsLate(t *testing.T) { // T28
	t.Parallel()
	net := newNetwork(t, 5, foundedBy(4))
	net.crash(5)
	leader := net.elect(1)
	net.propose(leader, `"x"`)
	net.settle()
	late := net.restart(5)
	net.tick(3 * testElectionTicks)
	wantEqual(t, "seated", late.Seated(), true)
	wantEqual(t, "seats given", leader.seats(), 1)
	wantSlice(t, "what it applied", late.commands(), []string{`"x"`})

	// From now on it counts: with it, three of five are a quorum.
	net.crash(1)
	net.crash(2)
	net.propose(net.elect(5), `"y"`)
	net.tick(testHeartbeatTicks)
	wantSlice(t, "what node 3 applied", net.nodes[3].commands(), []string{`"x"`, `"y"`})
}

func TestASeatCountsOnlyWhenAQuorumWithoutItsMemberHasIt(t *testing.T) { // T28
	t.Parallel()
	net := newNetwork(t, 5, foundedBy(3))
	net.crash(4)
	net.crash(5)
	leader := net.elect(1)
	net.crash(3)
	five := net.restart(5)
	leader.ReportUnreachable(5) // its first append was lost
	net.propose(leader, `"y"`)
	net.tick(2 * testHeartbeatTicks)
	wantEqual(t, "seats in its log", five.seats(), 1)
	wantEqual(t, "entries of node 5", five.log.last(), leader.log.last())
	wantEqual(t, "seated", five.Seated(), false)
	wantEqual(t, "commit index of the leader", leader.log.commit, 1)

	net.restart(3)
	net.tick(3 * testElectionTicks)
	wantEqual(t, "seated with a quorum of founders", five.Seated(), true)
	wantEqual(t, "seats given", leader.seats(), 1)
}

func TestASecondDiskOfAMemberIsNeverSeated(t *testing.T) { // T28
	t.Parallel()
	net := newNetwork(t, 5, foundedBy(4))
	leader := net.elect(1)
	net.tick(3 * testHeartbeatTicks)
	wantEqual(t, "node 5 is seated", net.nodes[5].Seated(), true)
	for _, id := range []NodeID{4, 5} { // a founder, and one with a seat from the log
		net.crash(id)
		lost := net.wipe(id)
		wantEqual(t, "a founder's loss shows at once", lost.SeatLost(), id == 4)
		net.tick(3 * testHeartbeatTicks)
		wantEqual(t, "seated", lost.Seated(), false)
		wantEqual(t, "the loss shows", lost.SeatLost(), true)
	}
	wantEqual(t, "seats given", leader.seats(), 1)
	wantEqual(t, "role of the leader", leader.role, Leader)
	net.crash(3) // two lost and one stopped of five: nothing commits
	commit := leader.log.commit
	net.propose(leader, `"x"`)
	net.settle()
	wantEqual(t, "commit index", leader.log.commit, commit)
}

func TestADiskThatWasLostBeforeItsSeatStartsAnew(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, 5, foundedBy(4))
	net.crash(5)
	leader := net.elect(1)
	leader.ReportUnreachable(5)
	five := net.restart(5)
	net.isolate(2, 3, 4) // the seat of node 5 cannot be committed
	net.propose(leader, `"x"`)
	net.tick(testHeartbeatTicks + 2)
	if five.log.last() == 0 {
		t.Fatal("node 5 has taken no entries")
	}
	net.crash(5)
	five = net.wipe(5)
	net.tick(testHeartbeatTicks)
	wantEqual(t, "entries of the second disk", five.log.last(), leader.log.last())
	wantEqual(t, "the leader counts it for data loss", leader.progressOf(5).refuses, false)
}

func TestASeatThatIsReplacedInTheLogIsGone(t *testing.T) { // T28
	t.Parallel()
	seat := seatEntry(2, 1, Seat{Member: 5, Incarnation: 500})
	s := newSolo(t, 5, HardState{Term: 1}, append(logOf(1), seat), foundedBy(4))
	if _, found := s.seatOf(5); !found {
		t.Fatal("the seat in the log is not noticed at the start")
	}
	wantEqual(t, "seats for good", len(s.Seats()), 4)
	s.ask(Message{Type: MsgAppendEntries, From: 2, Term: 2, PrevLogIndex: 1, PrevLogTerm: 1, Entries: entriesFrom(2, 2)})
	if _, found := s.seatOf(5); found {
		t.Error("the seat outlives its entry")
	}
}

// The entry that assigns the seat to another disk may still be replaced. Only once it is committed is this disk lost.
func TestADiskIsNotLostBeforeTheOthersSeatIsCommitted(t *testing.T) { // T28
	t.Parallel()
	seat := seatEntry(2, 1, Seat{Member: 5, Incarnation: 500})
	s := newSolo(t, 5, HardState{Term: 1}, append(logOf(1), seat), foundedBy(4), func(cfg *Config) {
		cfg.ID, cfg.Incarnation = 5, 501
	})
	m := Message{Type: MsgAppendEntries, From: 2, Term: 1, PrevLogIndex: 2, PrevLogTerm: 1, LeaderCommit: 1}
	s.ask(m)
	wantEqual(t, "lost while the seat is not committed", s.SeatLost(), false)
	m.LeaderCommit = 2
	s.ask(m)
	wantEqual(t, "lost when it is", s.SeatLost(), true)
}

func TestASeatedNodeStaysSeatedWhateverItsCommitIndex(t *testing.T) { // T28
	t.Parallel()
	seat := seatEntry(2, 1, Seat{Member: 5, Incarnation: 500})
	log := append(logOf(1), seat)
	for _, seated := range []bool{false, true} {
		s := newSolo(t, 5, HardState{Term: 1}, slices.Clone(log), foundedBy(4), func(cfg *Config) {
			cfg.ID, cfg.Incarnation, cfg.Seated = 5, 500, seated
		})
		r := s.ask(Message{Type: MsgRequestVote, From: 2, Term: 2, LastLogIndex: 2, LastLogTerm: 1})
		wantEqual(t, "vote granted", r.VoteGranted, seated)
	}
}

func TestLeadershipGoesToNoNodeWithoutASeat(t *testing.T) { // T11, T28
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, foundedBy(2))
	sent := s.lead()
	answer := success(the(t, appends(sent, 3)))
	answer.Incarnation = 300
	s.step(answer)
	wantError(t, s.TransferLeadership(3), ErrBadTarget)
	if err := s.TransferLeadership(2); err != nil {
		t.Error(err)
	}
}

// A member whose disk was lost may have voted for a later leader. A response from its empty disk confirms no read and
// no age.
func TestADiskWithoutASeatConfirmsNothing(t *testing.T) { // T28, T43
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, foundedBy(3))
	s.SetClock(1000)
	s.leadAndCommit()
	wantEqual(t, "moment", s.Freshness(s.log.commit), 1000)
	s.SetClock(2000)
	s.read()
	answer := success(last(t, heartbeats(s.take(), 3)))
	answer.MatchIndex, answer.Incarnation = 0, incarnationOf(3)+1
	s.SetClock(3000)
	s.step(answer)
	wantEqual(t, "reads", len(s.reads), 0)
	wantEqual(t, "moment after its answer", s.Freshness(s.log.commit), 1000)
	if _, ok := s.ReadIndexFor(3, s.term); ok {
		t.Error("its question is taken for a confirmation")
	}
	answer.Incarnation = 0
	s.step(answer)
	wantEqual(t, "reads after an answer of a disk with a seat", len(s.reads), 1)
	wantEqual(t, "moment after it", s.Freshness(s.log.commit), 2000)
}

// A seat counts from the moment on when its entry is committed, also where that is the last one.
func TestASeatCountsOnceItsEntryIsCommitted(t *testing.T) { // T28
	t.Parallel()
	for commit, seats := range map[Index]int{1: 4, 2: 5, 3: 5} {
		log := append(logOf(1), seatEntry(2, 1, Seat{Member: 5, Incarnation: 500}))
		log = append(log, entriesFrom(3, 1)...)
		s := newSoloFrom(t, 5, HardState{Term: 1, Commit: commit}, Log{Entries: log}, foundedBy(4))
		wantEqual(t, "seats", len(s.Seats()), seats)
	}
}
