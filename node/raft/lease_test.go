package raft

import "testing"

const testHold = 10_000 // microseconds

// withLeases makes nodes hold their votes, and leaders count on a tenth less.
func withLeases(cfg *Config) { cfg.VoteHold, cfg.ClockDrift = testHold, 0.1 }

// holding is the response of a follower that accepted an AppendEntries and holds its vote.
func holding(m Message) Message {
	r := success(m)
	r.VoteHold = testHold
	return r
}

// leadAt leads, with the no-op sent at a time and acknowledged at once by node 2.
func (s *solo) leadAt(micros uint64) {
	s.t.Helper()
	s.SetClock(micros)
	s.step(holding(the(s.t, appends(s.lead(), 2))))
	wantEqual(s.t, "commit index", s.log.commit, s.log.last())
}

// leadOfFive leads four followers of an older version, of which three have acknowledged the no-op.
func leadOfFive(t *testing.T) *solo {
	t.Helper()
	s := newSolo(t, 5, HardState{}, nil, withLeases)
	s.SetClock(1000)
	noop := s.lead()
	for id := NodeID(2); id <= 4; id++ {
		s.step(success(the(t, appends(noop, id))))
	}
	wantEqual(t, "commit index", s.log.commit, 1)
	return s
}

// beatAt sends a round of heartbeats at a time, and returns the one to a follower.
func (s *solo) beatAt(micros uint64, to NodeID) Message {
	s.t.Helper()
	s.SetClock(micros)
	return heartbeats(s.ticks(testHeartbeatTicks), to)[0]
}

// A lease counts from when its round was sent, however long the responses take: the followers count from when it
// arrived, which may have been at once.
func TestALeaseBeginsWhenItsRoundIsSent(t *testing.T) { // T42
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, withLeases)
	s.leadAt(1000)
	wantEqual(t, "lease", s.Lease(), Lease{Term: 1, End: 10_000, Index: 1})

	m := s.beatAt(5000, 3)
	s.SetClock(9000)
	s.step(holding(m))
	wantEqual(t, "end, of a round that was sent at 5000", s.Lease().End, 14_000)
	s.step(holding(s.beatAt(9000, 2)))
	s.step(holding(m))
	wantEqual(t, "end after a late response", s.Lease().End, 18_000)
}

// An elected leader has no lease before an entry of its own term is committed: its commit index may be behind.
func TestAnElectedLeaderHasNoLease(t *testing.T) { // T42, T38
	t.Parallel()
	s := newSolo(t, 3, HardState{Term: 1, Commit: 1}, logOf(1, 1), withLeases)
	s.SetClock(20_000)
	s.SetClock(40_000) // it has held its vote long enough to campaign
	noop := the(t, appends(s.lead(), 2))
	wantEqual(t, "lease on election", s.Lease(), Lease{})
	s.step(holding(s.beatAt(41_000, 3)))
	wantEqual(t, "lease with a quorum that has not committed", s.Lease(), Lease{})
	s.step(holding(noop))
	wantEqual(t, "index", s.Lease().Index, 3)
}

// A lease ends with the hold of the follower that completes the quorum, and a follower of an older version, which
// states no hold, completes none.
func TestALeaseRestsOnAQuorum(t *testing.T) { // T42
	t.Parallel()
	s := leadOfFive(t)
	s.step(success(s.beatAt(2000, 4)))
	s.step(holding(s.beatAt(2000, 2)))
	wantEqual(t, "lease on one follower of four", s.Lease(), Lease{})
	s.step(holding(s.beatAt(3000, 3)))
	wantEqual(t, "end", s.Lease().End, 11_000)
}

// In a joint configuration a lease rests on a quorum of each set.
func TestALeaseRestsOnBothSetsOfVoters(t *testing.T) { // T42, T24
	t.Parallel()
	s := leadOfFive(t)
	s.members.voters = quorums{incoming: Voters{1, 2, 3}, outgoing: Voters{1, 4, 5}}
	s.step(holding(s.beatAt(2000, 2)))
	wantEqual(t, "lease on the incoming voters alone", s.Lease(), Lease{})
	s.step(holding(s.beatAt(3000, 4)))
	wantEqual(t, "end", s.Lease().End, 11_000)
}

// The target of a transfer is elected although the followers hold their votes. A message that asks it to campaign may
// arrive at any time, also after this leader has given the transfer up.
func TestATransferVoidsTheLease(t *testing.T) { // T42, T11
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, withLeases)
	s.leadAt(1000)
	wantError(t, s.TransferLeadership(3), nil)
	s.ReportUnreachable(3)
	wantEqual(t, "lease while it transfers", s.Lease(), Lease{})
	wantEqual(t, "requests to campaign, to a target that lacks entries", len(ofType(s.ticks(testElectionTicks),
		MsgTimeoutNow)), 0)
	wantEqual(t, "lease after it gave up before it asked", s.Lease().Term, 1)

	wantError(t, s.TransferLeadership(2), nil)
	wantEqual(t, "requests to campaign", len(ofType(s.take(), MsgTimeoutNow)), 1)
	for _, m := range s.ticks(testElectionTicks) {
		if m.To == 2 && m.Type == MsgAppendEntries {
			s.step(holding(m))
		}
	}
	wantEqual(t, "target", s.Core.lead.transfer.target, 0)
	wantEqual(t, "lease for the rest of the term", s.Lease(), Lease{})
}

func TestALeaseEndsWithTheLeadership(t *testing.T) { // T42
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, withLeases)
	s.leadAt(1000)
	s.step(Message{Type: MsgAppendEntriesResponse, From: 3, Term: 2})
	wantEqual(t, "lease of a leader that stepped down", s.Lease(), Lease{})

	differs := newSolo(t, 3, HardState{}, nil, withLeases)
	differs.leadAt(1000)
	differs.RequestSnapshot()
	wantEqual(t, "lease of a leader whose state differs", differs.Lease(), Lease{})
}

// A disk without a seat grants no votes and confirms nothing.
func TestADiskWithoutASeatHoldsNoVote(t *testing.T) { // T42, T28
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, withLeases)
	s.SetClock(1000)
	s.step(success(the(t, appends(s.lead(), 2))))
	m := holding(s.beatAt(2000, 2))
	m.Incarnation = 7
	s.step(m)
	wantEqual(t, "lease", s.Lease(), Lease{})
}

// A cluster of one has a lease for as long as it leads.
func TestASingleNodeHasALease(t *testing.T) { // T42
	t.Parallel()
	s := newSolo(t, 1, HardState{}, nil, withLeases)
	s.SetClock(1000)
	s.ticks(2 * testElectionTicks)
	wantEqual(t, "lease", s.Lease(), Lease{Term: 1, End: Always, Index: 1})
}

// heldFollower is a follower of node 2 in term 1 that received a heartbeat at 1000.
func heldFollower(t *testing.T) *solo {
	t.Helper()
	s := newSolo(t, 3, HardState{}, nil, withLeases)
	s.SetClock(1000)
	r := s.ask(Message{Type: MsgAppendEntries, Term: 1, SentAt: 77})
	wantEqual(t, "hold that the acknowledgement states", r.VoteHold, testHold)
	wantEqual(t, "time of the leader that it echoes", r.SentAt, 77)
	return s
}

// A process that was stopped may count many ticks at once: only the clock shows how long ago it received its leader.
func TestAVoterHoldsItsVoteByTheClock(t *testing.T) { // T42
	t.Parallel()
	for _, pre := range []bool{true, false} {
		s := heldFollower(t)
		s.leaderContact = 10 * testElectionTicks // counted in a burst
		s.SetClock(1000 + testHold - 1)
		request := Message{Type: MsgRequestVote, From: 3, Term: 2, PreVote: pre}
		wantEqual(t, "vote within the hold", s.ask(request).VoteGranted, false)
		wantEqual(t, "term", s.term, 1)
		s.SetClock(1000 + testHold)
		wantEqual(t, "vote after it", s.ask(request).VoteGranted, true)
	}
}

// A higher term makes a node forget its leader, and not what it has acknowledged.
func TestAHigherTermDoesNotEndTheHold(t *testing.T) { // T42, T6
	t.Parallel()
	s := heldFollower(t)
	s.step(Message{Type: MsgRequestVoteResponse, From: 3, Term: 5})
	wantEqual(t, "term", s.term, 5)
	wantEqual(t, "leader", s.leader, 0)
	for _, term := range []Term{5, 6} {
		r := s.ask(Message{Type: MsgRequestVote, From: 3, Term: term})
		wantEqual(t, "vote within the hold", r.VoteGranted, false)
	}
	s.SetClock(1000 + testHold)
	wantEqual(t, "vote after it", s.ask(Message{Type: MsgRequestVote, From: 3, Term: 6}).VoteGranted, true)
}

// The vote that a candidate gives itself is one too.
func TestAVoterDoesNotCampaignWithinItsHold(t *testing.T) { // T42
	t.Parallel()
	s := heldFollower(t)
	s.ticks(10 * testElectionTicks) // in a burst
	wantEqual(t, "role within the hold", s.role, Follower)
	wantEqual(t, "ticks until the next attempt", s.QuietTicks(), 1)
	s.SetClock(1000 + testHold)
	s.ticks(1)
	wantEqual(t, "role after it", s.role, PreCandidate)
}

// A transfer does not wait: the leader that began it has no lease.
func TestATransferIsExemptFromTheHold(t *testing.T) { // T42, T7
	t.Parallel()
	s := heldFollower(t)
	r := s.ask(Message{Type: MsgRequestVote, From: 3, Term: 2, Transfer: true})
	wantEqual(t, "vote for the target of a transfer", r.VoteGranted, true)
	s = heldFollower(t)
	s.step(Message{Type: MsgTimeoutNow, Term: 1})
	wantEqual(t, "role of the target", s.role, Candidate)
}

// A voter that restarts has no record of what it acknowledged just before, so it withholds its vote for as long as a
// lease may rest on it. One that never had a term acknowledged nothing: the first election of a cluster does not wait.
func TestARestartedVoterWithholdsItsVote(t *testing.T) { // T42
	t.Parallel()
	request := Message{Type: MsgRequestVote, From: 3, Term: 2, PreVote: true}
	s := newSolo(t, 3, HardState{Term: 1}, nil, withLeases)
	s.SetClock(1)
	wantEqual(t, "vote at the start", s.ask(request).VoteGranted, false)
	s.SetClock(testHold)
	wantEqual(t, "vote within the hold", s.ask(request).VoteGranted, false)
	s.SetClock(1 + testHold)
	wantEqual(t, "vote after it", s.ask(request).VoteGranted, true)

	transfer := newSolo(t, 3, HardState{Term: 1}, nil, withLeases)
	transfer.SetClock(1)
	wantEqual(t, "vote for the target of a transfer",
		transfer.ask(Message{Type: MsgRequestVote, From: 3, Term: 2, Transfer: true}).VoteGranted, true)
	first := newSolo(t, 3, HardState{}, nil, withLeases)
	first.SetClock(1)
	wantEqual(t, "vote of a new cluster", first.ask(request).VoteGranted, true)
}

func TestAHoldWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 3, HardState{}, nil, withLeases)
	s.leadAt(1000)
	m := holding(s.beatAt(2000, 2))
	m.To, m.VoteHold = 1, maxNumber+1
	wantRefused(t, s, m)
}
