package raft

import (
	"fmt"
	"testing"
)

// The transitions of the paper's figure 4, with the pre-candidate of the thesis, and the reason that is recorded for
// each.

func wantState(t *testing.T, s *solo, role Role, term Term, leader NodeID, reason string) {
	t.Helper()
	got := s.Status()
	if got.Role != role || got.Term != term || got.Leader != leader || got.Reason != reason {
		t.Fatalf("got %v in term %d led by %d (%s), want %v in term %d led by %d (%s)",
			got.Role, got.Term, got.Leader, got.Reason, role, term, leader, reason)
	}
}

func TestStateStarts(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	wantState(t, s, Follower, 0, 0, "started")
	wantEqual(t, "ready", s.HasReady(), false)
	wantEqual(t, "first index", s.Status().FirstIndex, 1)
	wantEqual(t, "last index", s.Status().LastIndex, 0)
	wantEqual(t, "leader contact", s.Status().LeaderContactTicks, -1)
}

func TestStateFollowerToPreCandidate(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2}, nil)
	s.campaign()
	wantState(t, s, PreCandidate, 2, 0, "election timeout")
	wantEqual(t, "shown as", s.role.String(), "CANDIDATE")
}

func TestStatePreCandidateToCandidate(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2}, nil)
	s.stand()
	wantState(t, s, Candidate, 3, 0, "pre-vote granted by 1 2")
}

func TestStateCandidateToLeader(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 5, HardState{}, nil)
	s.lead()
	wantState(t, s, Leader, 1, 1, "elected by 1 2 3")
	wantEqual(t, "shown as", s.role.String(), "LEADER")
	wantEqual(t, "followers", len(s.Status().Progress), 4)
}

func TestStateFollowerStaysFollowerWithALeader(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	for range 10 {
		s.ask(Message{Type: MsgAppendEntries, From: 3, Term: 1})
		s.ticks(testElectionTicks - 1)
	}
	wantState(t, s, Follower, 1, 3, "started")
}

func TestStatePreCandidateToFollowerByALeader(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, nil)
	s.campaign()
	s.ask(Message{Type: MsgAppendEntries, From: 3, Term: 1})
	wantState(t, s, Follower, 1, 3, "node 3 leads term 1")
}

func TestStateCandidateToFollowerByALeader(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.stand()
	s.ask(Message{Type: MsgAppendEntries, From: 3, Term: 1})
	wantState(t, s, Follower, 1, 3, "node 3 leads term 1")
}

func TestStateCandidateToFollowerByHigherTerm(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.stand()
	s.step(Message{Type: MsgRequestVoteResponse, From: 3, Term: 5})
	wantState(t, s, Follower, 5, 0, "higher term 5 from node 3")
}

func TestStateCandidateRetriesWithANewPreVote(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.stand()
	s.ticks(2 * testElectionTicks)
	wantEqual(t, "role", s.role, PreCandidate)
	wantEqual(t, "term", s.term, 1) // it increases only if the pre-vote is won
}

func TestStateCandidateRefusedByAMajority(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.stand()
	s.step(Message{Type: MsgRequestVoteResponse, From: 2, Term: 1})
	wantEqual(t, "role after one refusal", s.role, Candidate)
	s.step(Message{Type: MsgRequestVoteResponse, From: 3, Term: 1})
	wantState(t, s, Follower, 1, 0, "a majority refused its vote")
}

func TestStateLeaderToFollowerByHigherTerm(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	s.ask(Message{Type: MsgAppendEntries, From: 2, Term: 4})
	wantState(t, s, Follower, 4, 2, "higher term 4 from node 2")
	wantEqual(t, "progress", len(s.Status().Progress), 0)
	_, _, err := s.Propose(0, [][]byte{[]byte("1")})
	wantError(t, err, ErrNotLeader)
}

func TestStateLeaderToFollowerWithoutMajority(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.lead()
	s.ticks(2*testElectionTicks - 1)
	wantEqual(t, "role before the longest timeout is over", s.role, Leader)
	s.ticks(1)
	wantState(t, s, Follower, 1, 0, "no contact with a majority for one election timeout")
}

func TestStateFollowerToCandidateOnTimeoutNow(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	s.ask(Message{Type: MsgAppendEntries, From: 2, Term: 1})
	requests := ofType(s.step(Message{Type: MsgTimeoutNow, From: 2, Term: 1}), MsgRequestVote)
	wantState(t, s, Candidate, 2, 0, "node 2 hands over")
	wantEqual(t, "requests", len(requests), 2)
	wantEqual(t, "on the leader's order", requests[0].Transfer, true)
}

func TestStateSingleNodeLeadsAlone(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 1, HardState{Term: 3, Commit: 1}, logOf(1, 3))
	s.ticks(2 * testElectionTicks)
	wantState(t, s, Leader, 4, 1, "elected by 1")
	s.replicate("1")
	wantEqual(t, "commit index", s.log.commit, 4)
	wantEqual(t, "applied", len(s.applied), 4)
}

// A restart returns every entry up to the saved commit index again, and the rest once it is committed.
func TestStateRestartReplaysTheLog(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 2, Vote: 2, Commit: 2}, logOf(1, 1, 2))
	rd := s.Ready()
	wantEqual(t, "must save", rd.MustSave, false)
	wantEqual(t, "entries to save", len(rd.Entries), 0)
	wantEqual(t, "committed", len(rd.Committed), 2)
	s.Advance(rd)
	wantEqual(t, "ready", s.HasReady(), false)
	wantEqual(t, "vote", s.Status().Vote, 2)
	s.ask(Message{Type: MsgAppendEntries, Term: 2, PrevLogIndex: 3, PrevLogTerm: 2, LeaderCommit: 3})
	wantEqual(t, "applied", len(s.applied), 1)
	wantEqual(t, "applied", s.applied[0].Index, 3)
}

// The commit index is saved with any other change, but never causes a save.
func TestCommitAloneNeedsNoSave(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	m := Message{Type: MsgAppendEntries, From: 2, To: 1, Term: 1, PrevLogIndex: 1, PrevLogTerm: 1, LeaderCommit: 1}
	if err := s.Step(m); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	wantEqual(t, "must save", rd.MustSave, false)
	wantEqual(t, "hard state", rd.HardState, HardState{Term: 1, Commit: 1})
}

func TestNewRefusesBrokenState(t *testing.T) {
	t.Parallel()
	good := testConfig(1, []NodeID{1, 2, 3}, 1)
	for name, c := range map[string]struct {
		state HardState
		log   []Entry
	}{
		"starts at 2":             {HardState{Term: 9}, entriesFrom(2, 1)},
		"gap":                     {HardState{Term: 9}, append(logOf(1), entriesFrom(3, 1)...)},
		"terms fall":              {HardState{Term: 9}, logOf(2, 1)},
		"term 0":                  {HardState{Term: 9}, logOf(0)},
		"term beyond the current": {HardState{Term: 1}, logOf(2)},
		"commit beyond the end":   {HardState{Term: 9, Commit: 2}, logOf(1)},
	} {
		if _, err := New(good, c.state, Log{Entries: c.log}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, spoil := range map[string]func(*Config){
		"no id":               func(cfg *Config) { cfg.ID = 0 },
		"no voters":           func(cfg *Config) { cfg.Initial = withRoles(initial(1, 2), Learner, 1, 2) },
		"voter twice":         func(cfg *Config) { cfg.Initial = initial(1, 1) },
		"initial with index":  func(cfg *Config) { cfg.Initial.Index = 1 },
		"joins, no founders":  func(cfg *Config) { cfg.Initial, cfg.Founders = Configuration{}, []Seat{} },
		"no heartbeat":        func(cfg *Config) { cfg.HeartbeatTicks = 0 },
		"slow heartbeat":      func(cfg *Config) { cfg.HeartbeatTicks = cfg.ElectionTicks },
		"no entries":          func(cfg *Config) { cfg.MaxMessageEntries = 0 },
		"no bytes":            func(cfg *Config) { cfg.MaxMessageBytes = 0 },
		"no window":           func(cfg *Config) { cfg.MaxInflightMessages = 0 },
		"no window in bytes":  func(cfg *Config) { cfg.MaxInflightBytes = -1 },
		"no room for entries": func(cfg *Config) { cfg.MaxUncommittedBytes = 0 },
		"no chance":           func(cfg *Config) { cfg.Rand = nil },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg, HardState{}, Log{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good, HardState{Term: 2, Commit: 2}, Log{Entries: logOf(1, 2)}); err != nil {
		t.Errorf("good state is refused: %v", err)
	}
}

func TestTermAt(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 5}, logOf(1, 4))
	wantEqual(t, "term", s.Term(), 5)
	for index, want := range map[Index]string{0: "0 true", 1: "1 true", 2: "4 true", 3: "0 false"} {
		term, ok := s.TermAt(index)
		wantEqual(t, fmt.Sprintf("term at %d", index), fmt.Sprint(term, ok), want)
	}
}
