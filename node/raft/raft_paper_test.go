package raft

import (
	"fmt"
	"slices"
	"testing"
)

// Each test here covers a few sentences of the paper, "In Search of an Understandable Consensus Algorithm", extended
// version, and quotes their section.

// "If one server's current term is smaller than the other's, then it updates its current term to the larger value.
// If a candidate or leader discovers that its term is out of date, it immediately reverts to follower state."
func TestPaperHigherTermMakesFollowers(t *testing.T) { // 5.1
	t.Parallel()
	start := map[Role]func(s *solo){
		Follower: func(*solo) {}, PreCandidate: (*solo).campaign, Candidate: (*solo).stand,
		Leader: func(s *solo) { s.lead() },
	}
	messages := []Message{
		{Type: MsgAppendEntries},
		{Type: MsgAppendEntriesResponse},
		{Type: MsgRequestVote, Transfer: true},
		{Type: MsgRequestVoteResponse},
		{Type: MsgRequestVoteResponse, PreVote: true},
		{Type: MsgTimeoutNowResponse},
	}
	for role, begin := range start {
		for _, m := range messages {
			s := newSolo(t, 3, HardState{}, nil)
			begin(s)
			wantEqual(t, "role before", s.role, role)
			m.Term = 8
			s.step(m)
			wantEqual(t, "role", s.role, Follower)
			wantEqual(t, "term", s.term, 8)
			wantEqual(t, "saved term", s.disk.state.Term, 8)
		}
	}
}

// "If a server receives a request with a stale term number, it rejects the request."
func TestPaperStaleRequestsAreRejected(t *testing.T) { // 5.1
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 5}, logOf(1))
	for _, m := range []Message{
		{Type: MsgRequestVote, Term: 4, LastLogIndex: 9, LastLogTerm: 3},
		{Type: MsgRequestVote, Term: 4, LastLogIndex: 9, LastLogTerm: 3, PreVote: true},
		{Type: MsgAppendEntries, Term: 4, Entries: logOf(4), LeaderCommit: 1},
		{Type: MsgTimeoutNow, Term: 4},
	} {
		r := s.ask(m)
		wantEqual(t, "term of the answer", r.Term, 5)
		wantEqual(t, "success", r.Success || r.VoteGranted, false)
	}
	wantEqual(t, "role", s.role, Follower)
	wantEqual(t, "log", s.terms(), "[1]")
	wantEqual(t, "commit index", s.log.commit, 0)
}

// "When servers start up, they begin as followers."
func TestPaperServersStartAsFollowers(t *testing.T) { // 5.2
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 3, Vote: 1}, logOf(1, 3))
	wantEqual(t, "role", s.role, Follower)
	wantEqual(t, "leader", s.leader, 0)
}

// "Leaders send periodic heartbeats (AppendEntries RPCs that carry no log entries) to all followers."
func TestPaperLeaderSendsHeartbeats(t *testing.T) { // 5.2
	t.Parallel()
	s := newSolo(t, 5, HardState{}, nil)
	s.lead()
	for range 3 {
		wantEqual(t, "heartbeats before the time", len(s.ticks(testHeartbeatTicks-1)), 0)
		sent := s.ticks(1)
		for id := NodeID(2); id <= 5; id++ {
			wantEqual(t, "heartbeats", len(heartbeats(sent, id)), 1)
		}
	}
}

// "To begin an election, a follower increments its current term and transitions to candidate state. It then votes
// for itself and issues RequestVote RPCs in parallel to each of the other servers." (Here after the pre-vote.)
func TestPaperElectionBegins(t *testing.T) { // 5.2
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 4}, logOf(2, 4))
	s.campaign()
	wantEqual(t, "term while asking for pre-votes", s.term, 4)
	yes := Message{Type: MsgRequestVoteResponse, Term: 5, PreVote: true, VoteGranted: true}
	requests := ofType(s.step(yes), MsgRequestVote)
	wantEqual(t, "role", s.role, Candidate)
	wantEqual(t, "saved", s.disk.state, HardState{Term: 5, Vote: 1})
	wantEqual(t, "requests", len(requests), 2)
	for i, m := range requests {
		want := Message{Type: MsgRequestVote, From: 1, To: NodeID(2 + i), Term: 5, LastLogIndex: 2, LastLogTerm: 4}
		wantEqual(t, "request", fmt.Sprint(m), fmt.Sprint(want))
	}
}

// "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the
// same term."
func TestPaperMajorityWins(t *testing.T) { // 5.2
	t.Parallel()
	for _, c := range []struct {
		size  int
		votes []bool // of nodes 2, 3, ...
		role  Role
	}{
		{1, nil, Leader},
		{3, []bool{true}, Leader},
		{3, []bool{false, true}, Leader},
		{3, []bool{false}, Candidate},
		{3, []bool{false, false}, Follower},
		{5, []bool{true}, Candidate},
		{5, []bool{true, true}, Leader},
		{5, []bool{true, false, false}, Candidate},
		{5, []bool{false, false, false}, Follower},
		{4, []bool{true}, Candidate},
		{4, []bool{true, true}, Leader},
		{4, []bool{false, false}, Follower},
	} {
		s := newSolo(t, c.size, HardState{}, nil)
		if c.size == 1 {
			s.ticks(2 * testElectionTicks)
		} else {
			s.stand()
		}
		for i, granted := range c.votes {
			s.step(Message{Type: MsgRequestVoteResponse, From: NodeID(2 + i), Term: 1, VoteGranted: granted})
		}
		if s.role != c.role {
			t.Errorf("%d nodes, votes %v: %v, want %v", c.size, c.votes, s.role, c.role)
		}
	}
}

// "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis."
func TestPaperOneVotePerTerm(t *testing.T) { // 5.2
	t.Parallel()
	for _, c := range []struct {
		voted, asks NodeID
		granted     bool
	}{{0, 2, true}, {0, 3, true}, {2, 2, true}, {2, 3, false}, {3, 3, true}, {1, 2, false}} {
		s := newSolo(t, 3, HardState{Term: 1, Vote: c.voted}, nil)
		r := s.ask(Message{Type: MsgRequestVote, From: c.asks, Term: 1})
		if r.VoteGranted != c.granted {
			t.Errorf("voted for %d, asked by %d: granted %v", c.voted, c.asks, r.VoteGranted)
		}
	}
}

// "While waiting for votes, a candidate may receive an AppendEntries RPC from another server claiming to be leader.
// If the leader's term is at least as large as the candidate's current term, then the candidate recognizes the leader
// as legitimate and returns to follower state. If the term is smaller, the candidate continues."
func TestPaperCandidateRecognisesALeader(t *testing.T) { // 5.2
	t.Parallel()
	for term, role := range map[Term]Role{4: Candidate, 5: Follower, 6: Follower} {
		s := newSolo(t, 3, HardState{Term: 4}, nil)
		s.stand()
		s.step(Message{Type: MsgAppendEntries, From: 3, Term: term})
		if s.role != role {
			t.Errorf("a leader of term %d makes a candidate of term 5 a %v", term, s.role)
		}
	}
}

// "Election timeouts are chosen randomly from a fixed interval": over many waits every length occurs, and none
// outside the interval.
func TestPaperElectionTimeoutIsRandom(t *testing.T) { // 5.2
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	seen := map[int]int{}
	for range 100 * testElectionTicks {
		s.resetElectionTimer()
		ticks := 0
		for s.role == Follower {
			s.Tick()
			ticks++
		}
		seen[ticks]++
		s.becomeFollower(s.term, "test")
	}
	s.take()
	wantEqual(t, "different lengths", len(seen), testElectionTicks+1)
	for ticks, count := range seen {
		if ticks < testElectionTicks || ticks > 2*testElectionTicks || count < 30 {
			t.Errorf("a wait of %d ticks came %d times", ticks, count)
		}
	}
}

// "Split votes are resolved": five nodes with different seeds elect a leader in a few rounds, each time.
func TestPaperElectionsEnd(t *testing.T) { // 5.2, 9.3
	t.Parallel()
	for seed := range uint64(50) {
		net := newNetwork(t, 5, func(cfg *Config) { cfg.Rand = testConfig(cfg.ID, cfg.Initial.Voters(), seed).Rand })
		net.tick(8 * testElectionTicks)
		if net.leader() == nil {
			t.Errorf("seed %d: no leader was elected in eight timeouts", seed)
		}
	}
}

// "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel to each of
// the other servers [...] includes the index and term of the entry in its log that immediately precedes the new
// entries."
func TestPaperLeaderReplicates(t *testing.T) { // 5.3
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	for _, m := range s.lead() {
		s.step(success(m))
	}
	sent := s.replicate("a", "b")
	wantEqual(t, "messages", len(sent), 2)
	for _, m := range sent {
		wantEqual(t, "previous index", m.PrevLogIndex, 1)
		wantEqual(t, "previous term", m.PrevLogTerm, 1)
		wantEqual(t, "commit index", m.LeaderCommit, 1)
		wantEqual(t, "entries", len(m.Entries), 2)
		wantEqual(t, "first command", string(m.Entries[0].Command), "a")
	}
	wantEqual(t, "log on the disk", len(s.disk.log), 3)
}

// "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers."
func TestPaperMajorityCommits(t *testing.T) { // 5.3
	t.Parallel()
	for size, needed := range map[int]int{2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3} {
		s := newSolo(t, size, HardState{}, nil)
		sent := s.lead()
		for i, m := range sent {
			wantEqual(t, fmt.Sprintf("committed by %d answers of %d nodes", i, size), s.log.commit == 1, i >= needed)
			s.step(success(m))
		}
	}
}

// "Once a follower learns that a log entry is committed, it applies the entry to its local state machine (in log
// order)."
func TestPaperFollowerAppliesInOrder(t *testing.T) { // 5.3
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	s.ask(Message{Type: MsgAppendEntries, Term: 1, Entries: logOf(1, 1, 1), LeaderCommit: 2})
	wantEqual(t, "applied", len(s.applied), 2)
	s.ask(Message{Type: MsgAppendEntries, Term: 1, PrevLogIndex: 3, PrevLogTerm: 1, LeaderCommit: 3})
	for i, e := range s.applied {
		wantEqual(t, "index", e.Index, Index(1+i))
	}
	wantEqual(t, "applied", len(s.applied), 3)
}

// "If the follower does not find an entry in its log with the same index and term, then it refuses the new entries."
func TestPaperConsistencyCheck(t *testing.T) { // 5.3
	t.Parallel()
	for _, c := range []struct {
		prev    Index
		term    Term
		success bool
	}{{0, 0, true}, {1, 1, true}, {2, 2, true}, {1, 2, false}, {2, 1, false}, {3, 3, false}} {
		s := newSolo(t, 3, HardState{Term: 3}, logOf(1, 2))
		r := s.ask(Message{Type: MsgAppendEntries, Term: 3, PrevLogIndex: c.prev, PrevLogTerm: c.term})
		if r.Success != c.success {
			t.Errorf("after (%d, term %d): success %v", c.prev, c.term, r.Success)
		}
	}
}

// Figure 7: the leader of term 8 and six followers whose logs differ in every way. It makes each agree with its own.
func TestPaperFigure7(t *testing.T) { // 5.3
	t.Parallel()
	leader := []Term{1, 1, 1, 4, 4, 5, 5, 6, 6, 6}
	followers := [][]Term{
		{1, 1, 1, 4, 4, 5, 5, 6, 6},          // a: one missing
		{1, 1, 1, 4},                         // b: several missing
		{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},    // c: one too many
		{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, // d: of another leader
		{1, 1, 1, 4, 4, 4, 4},                // e: both
		{1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},    // f: many terms wrong
	}
	for i, terms := range followers {
		net := newNetwork(t, 3)
		cfg := net.nodes[1].cfg
		net.add(cfg, HardState{Term: 7}, logOf(leader...))
		other := net.nodes[2].cfg
		net.add(other, HardState{Term: 7}, logOf(terms...))
		net.elect(1)
		wantEqual(t, "term of the leader", net.nodes[1].term, 8)
		want := fmt.Sprint(append(slices.Clone(leader), 8))
		wantEqual(t, fmt.Sprintf("log of follower %c", 'a'+i), net.nodes[2].terms(), want)
		wantEqual(t, "log of the leader", net.nodes[1].terms(), want)
		wantEqual(t, "commit index", net.nodes[2].log.commit <= net.nodes[1].log.commit, true)
	}
}

// "A leader never overwrites or deletes entries in its own log; it only appends new entries" (Leader Append-Only).
func TestPaperLeaderAppendOnly(t *testing.T) { // 5.3
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2}, logOf(1, 1, 2))
	m := the(t, appends(s.lead(), 2))
	s.step(rejection(m, 1, 1))
	wantEqual(t, "log", s.terms(), "[1 1 2 3]")
}

// Figure 8: an entry of term 2 is on a majority, and a leader of term 5 may still replace it (d), unless an entry of
// the leader's own term 4 stands behind it on that majority (e).
func TestPaperFigure8(t *testing.T) { // 5.4.2
	t.Parallel()
	for _, ownTermReplicated := range []bool{false, true} {
		net := newNetwork(t, 5)
		logs := map[NodeID][]Entry{1: logOf(1, 2), 2: logOf(1, 2), 3: logOf(1), 4: logOf(1), 5: logOf(1, 3)}
		for id, log := range logs {
			net.add(net.nodes[id].cfg, HardState{Term: 3, Commit: 1}, log)
		}
		// (c) S1 leads term 4 with the votes of S2 to S4, and copies the entry of term 2 to S3.
		net.drop = func(m Message) bool {
			tooMuch := len(m.Entries) > 0 && m.Entries[len(m.Entries)-1].Term == 4 && !ownTermReplicated
			return m.From == 5 || m.To == 5 || m.To == 4 && m.Type == MsgAppendEntries || tooMuch
		}
		s1 := net.elect(1)
		wantEqual(t, "term of S1", s1.term, 4)
		if !ownTermReplicated { // only the old entry arrives and is acknowledged
			for to := NodeID(2); to <= 3; to++ {
				net.deliver(Message{
					Type: MsgAppendEntries, From: 1, To: to, Term: 4, PrevLogIndex: 1, PrevLogTerm: 1,
					Entries: logOf(1, 2)[1:], LeaderCommit: 1, RequestID: 1,
				})
			}
			net.settle()
			for to := NodeID(2); to <= 3; to++ {
				wantEqual(t, "log", net.nodes[to].terms(), "[1 2]")
				wantEqual(t, "acknowledged", s1.progressOf(to).match, 2)
			}
			wantEqual(t, "commit index of S1", s1.log.commit, 1)
		} else {
			wantEqual(t, "commit index of S1", s1.log.commit, 3)
		}

		// S1 crashes; S5 campaigns.
		net.crash(1)
		net.drop = nil
		s5 := net.nodes[5]
		for range 20 * testElectionTicks {
			for id := NodeID(2); id <= 4; id++ {
				net.nodes[id].leader = 0
			}
			s5.Tick()
			net.settle()
		}
		wantEqual(t, "S5 was elected", s5.role == Leader, !ownTermReplicated)
		if !ownTermReplicated {
			wantEqual(t, "log of S3, replaced", net.nodes[3].terms(), s5.terms())
		}
	}
}

// "The voter denies its vote if its own log is more up-to-date than that of the candidate": so every elected leader has
// everything that is committed.
func TestPaperLeaderCompleteness(t *testing.T) { // 5.4.1, 5.4.3
	t.Parallel()
	net := newNetwork(t, 3)
	net.isolate(3)
	leader := net.elect(1)
	net.propose(leader, "x")
	net.settle()
	net.heal()
	net.crash(1)
	net.tick(6 * testElectionTicks)
	wantEqual(t, "leader: the one that has the entry", net.leader().id, 2)
	wantSlice(t, "applied by the one that had missed it", net.nodes[3].commands(), []string{"x"})
}

// "Followers and candidates that crash: [...] Raft RPCs are idempotent".
func TestPaperRequestsMayBeRepeated(t *testing.T) { // 5.5
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	m := Message{Type: MsgAppendEntries, Term: 1, Entries: logOf(1, 1), LeaderCommit: 1}
	first := s.ask(m)
	wantEqual(t, "second answer", fmt.Sprint(s.ask(m)), fmt.Sprint(first))
	wantEqual(t, "log", s.terms(), "[1 1]")
	wantEqual(t, "applied", len(s.applied), 1)
}

// "Raft handles this by having each leader commit a blank no-op entry into the log at the start of its term."
func TestPaperNoOpAtTheStartOfATerm(t *testing.T) { // 8
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	s.SetTime(1_700_000_000_000_001)
	for _, m := range s.lead() {
		e := m.Entries[0]
		wantEqual(t, "entries", len(m.Entries), 1)
		wantEqual(t, "type", e.Type, EntryNoOp)
		wantEqual(t, "index", e.Index, 2)
		wantEqual(t, "term", e.Term, 2)
		wantEqual(t, "time stamp", e.Timestamp, 1_700_000_000_000_001)
	}
}

// "A leader must check whether it has been deposed before processing a read-only request: [...] exchange heartbeat
// messages with a majority of the cluster before responding."
func TestPaperReadsExchangeHeartbeats(t *testing.T) { // 8
	t.Parallel()
	s := newSolo(t, 5, HardState{}, nil)
	for _, m := range s.lead() {
		s.step(success(m))
	}
	s.read()
	sent := s.take()
	wantEqual(t, "heartbeats", len(sent), 4)
	s.step(success(sent[0]))
	wantEqual(t, "reads after two of five", len(s.reads), 0)
	s.step(success(sent[2]))
	wantEqual(t, "reads after three of five", len(s.reads), 1)
}
