package raft

import "testing"

// beat is a heartbeat of the leader, node 2, that returns a stamp.
func beat(stamp, age uint64, commit Index) Message {
	return Message{Type: MsgAppendEntries, Term: 1, Stamp: stamp, QuorumAge: age, CommitIndex: commit}
}

// A follower counts from its own stamp, less the time from the leader's last round to the arrival of the stamp.
func TestAFollowerIsAsOldAsItsStamp(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.SetClock(1000)
	first := s.ask(beat(0, 0, 0)).Stamp
	wantEqual(t, "moment before a stamp returned", s.Freshness(9), 0)
	s.SetClock(5000)
	second := s.ask(beat(first, 300, 0)).Stamp
	wantEqual(t, "moment", s.Freshness(0), 700)
	if second == first || second == 0 {
		t.Fatalf("the stamp after %d is %d", first, second)
	}
	s.SetClock(6000)
	third := s.ask(beat(first, 0, 0)).Stamp // late, or twice
	wantEqual(t, "moment after an old stamp", s.Freshness(0), 700)
	wantEqual(t, "stamp until it returns", third, second)
	s.ask(beat(second, 6000, 0))
	wantEqual(t, "moment before the clock began", s.Freshness(0), 700)
}

// The leader's commit index counts once it is applied here, and no sooner.
func TestAFollowerThatCatchesUpIsOld(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	stamp := uint64(0)
	for i := range uint64(5) {
		s.SetClock(1000 * (i + 1))
		stamp = s.ask(beat(stamp, 0, Index(10*i))).Stamp
	}
	for applied, want := range map[Index]uint64{0: 0, 9: 0} {
		wantEqual(t, "moment", s.Freshness(applied), want)
	}
	wantEqual(t, "moment with 10 applied", s.Freshness(10), 1000)
	wantEqual(t, "moment with 39 applied", s.Freshness(39), 3000)
	wantEqual(t, "moment with 40 applied", s.Freshness(40), 4000)
	wantEqual(t, "the leader's commit index", s.Status().LeaderCommit, 40)
	s.ask(beat(stamp, 0, 0))
	wantEqual(t, "the leader's commit index after a message without it", s.Status().LeaderCommit, 40)
}

func TestClaimsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	stamp := uint64(0)
	for i := range uint64(1000) {
		s.SetClock(1000 * (i + 1))
		stamp = s.ask(beat(stamp, 0, Index(i+1))).Stamp
	}
	wantEqual(t, "claims", len(s.fresh.claims), maxClaims)
	wantEqual(t, "moment with a few applied", s.Freshness(5), 4000)
	wantEqual(t, "moment with all applied", s.Freshness(1000), 999_000)
}

// A stamp of an earlier run does not match.
func TestAStampFromBeforeARestartIsIgnored(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.SetClock(1)
	old := s.ask(beat(0, 0, 0)).Stamp
	again := newSolo(t, 3, HardState{Term: 1}, nil, func(cfg *Config) { cfg.Rand = testConfig(1, nil, 99).Rand })
	again.SetClock(1_000_000)
	again.ask(beat(0, 0, 0))
	again.ask(beat(old, 0, 0))
	wantEqual(t, "moment", again.Freshness(0), 0)
}

// A leader counts from the last round that a quorum answered; one response of two followers is enough for three
// nodes.
func TestALeaderIsAsOldAsItsLastQuorum(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.SetClock(1000)
	sent := s.lead()
	wantEqual(t, "moment before its no-op is committed", s.Freshness(0), 0)
	s.SetClock(2000)
	s.step(success(the(t, appends(sent, 2))))
	wantEqual(t, "commit index", s.log.commit, 1)
	wantEqual(t, "moment before it is applied", s.Freshness(0), 0)
	wantEqual(t, "moment", s.Freshness(1), 1000)
	s.SetClock(7000)
	sent = s.ticks(testHeartbeatTicks)
	wantEqual(t, "moment without an answer", s.Freshness(1), 1000)
	s.SetClock(9000)
	s.step(success(last(t, heartbeats(sent, 3))))
	wantEqual(t, "moment after an answer", s.Freshness(1), 7000)
	wantRefused(t, s, Message{Type: MsgAppendEntriesResponse, From: 2, To: 1, Term: 1, Success: true, SentAt: 9001})
}

// Entries that a new leader does not count as committed may be. So a round counts only once its own no-op is
// committed.
func TestANewLeadersAgeIsUnknownUntilItsNoopIsCommitted(t *testing.T) { // T38
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1}, logOf(1))
	s.SetClock(1000)
	answer := success(the(t, appends(s.lead(), 2)))
	answer.MatchIndex = 1 // without the no-op
	s.step(answer)
	wantEqual(t, "moment after a round", s.Freshness(1), 0)
	answer.MatchIndex = 2
	s.step(answer)
	wantEqual(t, "moment with the no-op", s.Freshness(2), 1000)
}

func TestALoneLeaderIsNeverOld(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 1, HardState{}, nil)
	s.SetClock(1000)
	s.ticks(3 * testElectionTicks)
	wantEqual(t, "moment before its no-op is applied", s.Freshness(0), 0)
	wantEqual(t, "moment", s.Freshness(1), Always)
}

// A leader returns a stamp with the time from its last round to the stamp's arrival, and not before it may read.
func TestALeaderReturnsStamps(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil)
	s.SetClock(1000)
	sent := s.lead()
	answer := success(the(t, appends(sent, 2)))
	answer.Stamp, answer.MatchIndex = 77, 0 // it does not hold the no-op yet
	s.SetClock(1500)
	s.step(answer)
	m := last(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "stamp before the no-op is committed", m.Stamp, 0)
	answer.MatchIndex = 1
	s.SetClock(2500)
	s.step(answer)
	s.SetClock(4000)
	m = last(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "stamp", m.Stamp, 77)
	wantEqual(t, "from the round to the stamp", m.QuorumAge, 500)
	wantEqual(t, "commit index", m.CommitIndex, 1)
	wantEqual(t, "made at", m.SentAt, 4000)
	answer.SentAt = 400 // a round before it, whose answer was overtaken
	s.step(answer)
	m = last(t, heartbeats(s.ticks(testHeartbeatTicks), 2))
	wantEqual(t, "from the round to the stamp, after an overtaken answer", m.QuorumAge, 500)
}

// last returns the last of some messages.
func last(t *testing.T, messages []Message) Message {
	t.Helper()
	if len(messages) == 0 {
		t.Fatal("nothing was sent")
	}
	return messages[len(messages)-1]
}
