package check

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

func TestCoreOrder(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &coreOrder{} }), []tale{
		{"a node that applied what it committed", 1, func(s *stage) string {
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *engine.Observed) { now.Applied = 2 })
		}, false},
		{"the commit index is beyond the log", 1, func(s *stage) string {
			return s.boot(1, in(2, 2), logOf(1, 2), func(now *engine.Observed) { now.State.Commit = 3 })
		}, true},
		{"something was applied before it was committed", 1, func(s *stage) string {
			return s.boot(1, in(2, 1), logOf(1, 2), func(now *engine.Observed) { now.Applied = 2 })
		}, true},
		{"an entry comes from the future", 1, func(s *stage) string {
			return s.boot(1, in(2, 1), logOf(1, 2), func(now *engine.Observed) { now.State.Term = 1 })
		}, true},
		{"a leader appends its no-op and a proposal", 1, func(s *stage) string {
			elected := s.boot(1, in(2, 0), logOf(1, 2), leading)
			s.becomes(1, in(2, 0), logOf(1, 2, 2))
			return all(elected, s.sees(1, leading))
		}, false},
		{"a leader has no no-op", 1, func(s *stage) string { // T38
			return s.boot(1, in(2, 0), logOf(1), leading)
		}, true},
		{"a leader drops an entry", 1, func(s *stage) string {
			elected := s.boot(1, in(2, 0), logOf(1, 2, 2), leading)
			s.becomes(1, in(2, 0), logOf(1, 2))
			return all(elected, s.sees(1, leading))
		}, true},
		{"a leader writes over its log", 1, func(s *stage) string {
			elected := s.boot(1, in(3, 0), logOf(1, 1, 3), leading)
			s.becomes(1, in(3, 0), logOf(1, 1, 2, 3))
			return all(elected, s.sees(1, leading))
		}, true},
		{"a leader appends an entry of an older term", 1, func(s *stage) string {
			elected := s.boot(1, in(3, 0), logOf(3), leading)
			s.becomes(1, in(3, 0), logOf(3, 3))
			s.actor(1).seen.State.Term = 4
			return all(elected, s.sees(1, leading, func(now *engine.Observed) { now.State.Term, now.LastTerm = 4, 4 }))
		}, true},
	})
}

func TestMonotonic(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &monotonic{} }), []tale{
		{"a node goes forward, crashes and goes on from its disk", 1, func(s *stage) string {
			first := s.boot(1, in(1, 1), logOf(1, 1))
			s.save(1, voted(2, 1), logOf(1, 1))
			s.becomes(1, raft.HardState{Term: 2, Vote: 1, Commit: 2}, logOf(1, 1))
			second := s.sees(1)
			return all(first, second, s.wake(1, voted(2, 1), logOf(1, 1)))
		}, false},
		{"the commit index goes back", 1, func(s *stage) string { // T18
			first := s.boot(1, in(1, 2), logOf(1, 1))
			s.becomes(1, in(1, 1), logOf(1, 1))
			return all(first, s.sees(1))
		}, true},
		{"the applied index goes back", 1, func(s *stage) string {
			first := s.boot(1, in(1, 2), logOf(1, 1), func(now *engine.Observed) { now.Applied = 2 })
			return all(first, s.sees(1, func(now *engine.Observed) { now.Applied = 1 }))
		}, true},
		{"the published applied index goes back", 1, func(s *stage) string {
			first := s.boot(1, in(1, 2), logOf(1, 1), func(now *engine.Observed) { now.Applied, now.Published = 2, 2 })
			return all(first, s.sees(1, func(now *engine.Observed) { now.Applied, now.Published = 2, 1 }))
		}, true},
		{"the term goes back", 1, func(s *stage) string {
			first := s.boot(1, in(2, 0), nil)
			s.becomes(1, in(1, 0), nil)
			return all(first, s.sees(1))
		}, true},
		{"the vote changes within a term", 3, func(s *stage) string {
			first := s.boot(1, in(2, 0), nil)
			s.becomes(1, voted(2, 2), nil)
			second := s.sees(1)
			s.becomes(1, voted(2, 3), nil)
			return all(first, second, s.sees(1))
		}, true},
		{"a start forgets the vote on the disk", 3, func(s *stage) string { // T1
			first := s.boot(1, voted(2, 2), nil)
			return all(first, s.wake(1, in(2, 0), nil))
		}, true},
		{"the term on the disk goes back", 3, func(s *stage) string {
			first := s.boot(1, in(3, 0), nil)
			s.save(1, in(2, 0), nil)
			return all(first, s.sees(1))
		}, true},
		{"a lost disk starts from nothing", 3, func(s *stage) string {
			first := s.boot(1, voted(2, 2), logOf(1))
			s.wipe(1)
			return all(first, s.wake(1, in(0, 0), nil))
		}, false},
	})
}

func TestElectionSafety(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &electionSafety{} }), []tale{
		{"each term has its leader", 3, func(s *stage) string {
			return all(s.boot(1, in(1, 0), logOf(1), leading), s.boot(2, in(2, 0), logOf(2), leading), s.sees(1, leading))
		}, false},
		{"two nodes lead one term", 3, func(s *stage) string {
			return all(s.boot(1, in(2, 0), logOf(2), leading), s.boot(2, in(2, 0), logOf(2), leading))
		}, true},
		{"a node leads the same term in two lives", 3, func(s *stage) string {
			return all(s.boot(1, in(2, 0), logOf(2), leading), s.boot(1, in(2, 0), logOf(2), leading))
		}, true},
	})
}

// vote is a real vote, granted.
func vote(from, to raft.NodeID, term raft.Term) raft.Message {
	return raft.Message{Type: raft.MsgRequestVoteResponse, From: from, To: to, Term: term, VoteGranted: true}
}

func TestMajorityElects(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &majorityElects{} }), []tale{
		{"a leader has its own vote and another", 3, func(s *stage) string {
			return all(s.hears(vote(2, 1, 5)), s.boot(1, voted(5, 1), logOf(5), leading))
		}, false},
		{"one node is enough for one", 1, func(s *stage) string {
			return s.boot(1, voted(5, 1), logOf(5), leading)
		}, false},
		{"a vote was counted twice", 5, func(s *stage) string { // T2
			return all(s.hears(vote(2, 1, 5)), s.hears(vote(2, 1, 5)), s.boot(1, voted(5, 1), logOf(5), leading))
		}, true},
		{"a vote of an older term was counted", 3, func(s *stage) string { // T2
			return all(s.hears(vote(2, 1, 4)), s.boot(1, voted(5, 1), logOf(5), leading))
		}, true},
		{"a pre-vote was counted", 3, func(s *stage) string { // T5
			preVote := vote(2, 1, 5)
			preVote.PreVote = true
			return all(s.hears(preVote), s.boot(1, voted(5, 1), logOf(5), leading))
		}, true},
		{"a refusal was counted", 3, func(s *stage) string { // T4
			refusal := vote(2, 1, 5)
			refusal.VoteGranted = false
			return all(s.hears(refusal), s.boot(1, voted(5, 1), logOf(5), leading))
		}, true},
		{"its own vote is not on its disk", 3, func(s *stage) string { // T1
			s.save(1, in(4, 0), nil)
			return all(s.hears(vote(2, 1, 5)), s.wake(1, voted(5, 1), logOf(5), leading))
		}, true},
	})
}

func TestOneVotePerTerm(t *testing.T) { // T1, paper 5.2
	t.Parallel()
	request := raft.Message{Type: raft.MsgRequestVote, From: 1, To: 2, Term: 5}
	play(t, alone(func() checker { return &oneVote{} }), []tale{
		{"a vote is saved, sent, and repeated in another life", 3, func(s *stage) string {
			first := s.boot(1, voted(5, 2), nil)
			sent := s.hears(vote(1, 2, 5))
			return all(first, sent, s.boot(1, voted(5, 2), nil), s.hears(vote(1, 2, 5)))
		}, false},
		{"a vote leaves late, when the disk is in a later term", 3, func(s *stage) string {
			return all(s.boot(1, voted(6, 3), nil), s.hears(vote(1, 2, 5)))
		}, false},
		{"a vote leaves before it is saved", 3, func(s *stage) string {
			return all(s.boot(1, in(5, 0), nil), s.hears(vote(1, 2, 5)))
		}, true},
		{"a candidacy leaves before it is saved", 3, func(s *stage) string {
			return all(s.boot(1, in(4, 0), nil), s.hears(request))
		}, true},
		{"the disk remembers another vote", 3, func(s *stage) string {
			return all(s.boot(1, voted(5, 3), nil), s.hears(vote(1, 2, 5)))
		}, true},
		{"a candidate votes for another one", 3, func(s *stage) string {
			candidacy := all(s.boot(1, voted(5, 1), nil), s.hears(request))
			s.save(1, voted(5, 2), nil)
			return all(candidacy, s.hears(vote(1, 2, 5)))
		}, true},
		{"two votes in two lives, of which one leaves late", 3, func(s *stage) string {
			first := all(s.boot(1, voted(5, 2), nil), s.boot(1, voted(6, 0), nil))
			return all(first, s.hears(vote(1, 3, 5)))
		}, true},
		{"a member votes again after its disk was lost", 3, func(s *stage) string {
			first := s.boot(1, voted(5, 2), nil)
			s.wipe(1)
			return all(first, s.wake(1, in(0, 0), nil), s.boot(1, voted(5, 3), nil))
		}, true},
		{"pre-votes bind no voter", 3, func(s *stage) string {
			one, other := vote(1, 2, 5), vote(1, 3, 5)
			one.PreVote, other.PreVote = true, true
			return all(s.boot(1, in(4, 0), nil), s.hears(one), s.hears(other))
		}, false},
	})
}

func TestLogMatching(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &logMatching{} }), []tale{
		{"a log is cut and takes over another one", 3, func(s *stage) string {
			first := all(s.boot(1, in(4, 0), logOf(1, 1, 2, 2)), s.boot(2, in(4, 0), logOf(1, 1, 4)))
			s.becomes(1, in(4, 0), logOf(1, 1, 4))
			return all(first, s.sees(1))
		}, false},
		{"the same entry follows different ones", 3, func(s *stage) string {
			return all(s.boot(1, in(4, 0), logOf(1, 1, 4)), s.boot(2, in(4, 0), logOf(1, 3, 4)))
		}, true},
		{"the same entry says different things", 3, func(s *stage) string {
			other := logOf(1, 1)
			other[1].Command = []byte(`{"op":"get","key":"other"}`)
			return all(s.boot(1, in(1, 0), logOf(1, 1)), s.boot(2, in(1, 0), other))
		}, true},
		{"the same entry bears different times", 3, func(s *stage) string {
			other := logOf(1, 1)
			other[1].Timestamp++
			return all(s.boot(1, in(1, 0), logOf(1, 1)), s.boot(2, in(1, 0), other))
		}, true},
		{"a log that grew differs from one that was cut long ago", 3, func(s *stage) string {
			first := s.boot(1, in(4, 0), logOf(1, 2, 3))
			s.becomes(1, in(4, 0), logOf(1, 4))
			cut := s.sees(1)
			return all(first, cut, s.boot(2, in(4, 0), logOf(1, 1, 3)))
		}, true},
		{"a change in the middle shows in the next life", 3, func(s *stage) string {
			return all(s.boot(1, in(4, 0), logOf(1, 1, 4)), s.boot(1, in(4, 0), logOf(1, 2, 4)))
		}, true},
		{"a change in the middle shows in time", 3, func(s *stage) string {
			broken := s.boot(1, in(4, 0), logOf(1, 2, 4))
			damaged := []raft.Term{1, 1, 4}
			for i := 0; broken == "" && i <= wholeEvery; i++ {
				damaged = append(damaged, 4)
				s.becomes(1, in(4, 0), logOf(damaged...))
				broken = s.sees(1)
			}
			return broken
		}, true},
	})
}

func TestStateMachineSafety(t *testing.T) {
	t.Parallel()
	play(t, alone(func() checker { return &stateMachineSafety{} }), []tale{
		{"nodes commit the same, one after the other and again after a crash", 3, func(s *stage) string {
			first := all(s.boot(1, in(2, 2), logOf(1, 1, 2)), s.boot(2, in(2, 3), logOf(1, 1, 2)))
			return all(first, s.boot(1, in(2, 3), logOf(1, 1, 2, 2)))
		}, false},
		{"two nodes commit different entries", 3, func(s *stage) string { // T12, T16
			return all(s.boot(1, in(3, 2), logOf(1, 2)), s.boot(2, in(3, 2), logOf(1, 3)))
		}, true},
		{"what is not committed may differ", 3, func(s *stage) string {
			return all(s.boot(1, in(3, 1), logOf(1, 2)), s.boot(2, in(3, 2), logOf(1, 3)))
		}, false},
		{"a committed entry is replaced in a log", 3, func(s *stage) string { // T17
			first := s.boot(1, in(3, 2), logOf(1, 2))
			s.becomes(1, in(3, 2), logOf(1, 3))
			return all(first, s.sees(1))
		}, true},
		{"a committed entry was replaced between two lives", 3, func(s *stage) string {
			return all(s.boot(1, in(3, 2), logOf(1, 2, 3)), s.boot(1, in(3, 2), logOf(1, 3, 3)))
		}, true},
		{"a committed entry changes in the middle of a log", 3, func(s *stage) string {
			broken := s.boot(1, in(3, 2), logOf(1, 2, 3))
			s.becomes(1, in(3, 3), logOf(1, 3, 3))
			for i := 0; broken == "" && i < wholeEvery; i++ {
				broken = s.sees(1)
			}
			return broken
		}, true},
	})
}

func TestCommitsOwnTerm(t *testing.T) { // T12, paper 5.4.2
	t.Parallel()
	play(t, alone(func() checker { return &commitsOwnTerm{} }), []tale{
		{"an entry of its own term takes the older ones along", 3, func(s *stage) string {
			elected := s.boot(1, in(3, 0), logOf(1, 2, 3), leading)
			s.becomes(1, in(3, 3), logOf(1, 2, 3))
			return all(elected, s.sees(1, leading))
		}, false},
		{"an entry of an older term is counted", 3, func(s *stage) string {
			elected := s.boot(1, in(3, 0), logOf(1, 2, 3), leading)
			s.becomes(1, in(3, 2), logOf(1, 2, 3))
			return all(elected, s.sees(1, leading))
		}, true},
		{"a follower receives a commit index and is elected at once", 3, func(s *stage) string {
			follows := s.boot(1, in(2, 0), logOf(1, 2))
			s.becomes(1, in(3, 2), logOf(1, 2, 3))
			return all(follows, s.sees(1, leading))
		}, false},
	})
}

func TestLeaderCompleteness(t *testing.T) {
	t.Parallel()
	play(t, afterCommit(func() checker { return &leaderCompleteness{} }), []tale{
		{"a new leader has all that is committed", 3, func(s *stage) string {
			return all(s.boot(1, in(2, 2), logOf(1, 2, 2), leading), s.boot(2, in(3, 0), logOf(1, 2, 3), leading))
		}, false},
		{"a new leader lacks what was committed", 3, func(s *stage) string { // T3, T4
			return all(s.boot(1, in(2, 2), logOf(1, 2, 2), leading), s.boot(2, in(3, 0), logOf(1, 3), leading))
		}, true},
		{"an old leader may lack what a later one committed", 3, func(s *stage) string {
			return all(s.boot(2, in(3, 2), logOf(1, 3), leading), s.boot(1, in(2, 0), logOf(1, 2), leading))
		}, false},
		{"an old leader commits what a later one does not have", 3, func(s *stage) string {
			first := all(s.boot(1, in(2, 0), logOf(1, 2), leading), s.boot(2, in(3, 0), logOf(1, 3), leading))
			s.becomes(1, in(2, 2), logOf(1, 2))
			return all(first, s.sees(1, leading))
		}, true},
		{"who no longer lives owes nothing", 3, func(s *stage) string {
			first := all(s.boot(1, in(2, 0), logOf(1, 2), leading), s.boot(2, in(3, 0), logOf(1, 3), leading))
			s.kill(2)
			s.becomes(1, in(2, 2), logOf(1, 2))
			return all(first, s.sees(1, leading))
		}, false},
	})
}

func TestDurability(t *testing.T) {
	t.Parallel()
	play(t, afterCommit(func() checker { return &durability{} }), []tale{
		{"a majority has what is committed, and one of it is down", 3, func(s *stage) string {
			s.save(2, in(1, 0), logOf(1, 1))
			return s.boot(1, in(1, 2), logOf(1, 1))
		}, false},
		{"the leader alone has it", 3, func(s *stage) string { // T14
			s.save(2, in(1, 0), logOf(1))
			return s.boot(1, in(1, 2), logOf(1, 1))
		}, true},
		{"the leader counted itself before its save", 3, func(s *stage) string { // T13
			s.save(1, in(1, 0), logOf(1))
			s.save(2, in(1, 0), logOf(1, 1))
			return s.wake(1, in(1, 2), logOf(1, 1))
		}, true},
		{"another entry is there on the disk", 3, func(s *stage) string { // T20
			s.save(2, in(3, 0), logOf(1, 2))
			return s.boot(1, in(3, 2), logOf(1, 3))
		}, true},
		{"a follower drops what was committed", 3, func(s *stage) string { // T17
			first := all(s.boot(2, in(2, 0), logOf(1, 1)), s.boot(1, in(1, 2), logOf(1, 1)))
			s.save(2, in(2, 0), logOf(1, 2))
			s.becomes(2, in(2, 0), logOf(1, 2))
			return all(first, s.sees(2))
		}, true},
		{"a follower drops what was not", 3, func(s *stage) string {
			first := all(s.boot(2, in(2, 0), logOf(1, 1, 1)), s.boot(1, in(1, 2), logOf(1, 1)))
			s.save(2, in(2, 0), logOf(1, 1, 2))
			s.becomes(2, in(2, 0), logOf(1, 1, 2))
			return all(first, s.sees(2))
		}, false},
		{"an acknowledgement is counted whose disk was lost meanwhile", 3, func(s *stage) string {
			first := s.boot(2, in(1, 0), logOf(1, 1))
			s.kill(2)
			s.wipe(2)
			return all(first, s.boot(1, in(1, 2), logOf(1, 1)))
		}, false},
		{"a disk that was lost counts for nothing new", 3, func(s *stage) string { // T28
			first := s.boot(2, in(1, 0), logOf(1, 1))
			s.kill(2)
			s.wipe(2)
			return all(first, s.wake(2, in(0, 0), nil), s.boot(1, in(1, 3), logOf(1, 1, 1)))
		}, true},
	})
}

func TestAcknowledgedEntriesAreDurable(t *testing.T) { // T14, T15
	t.Parallel()
	ack := func(term raft.Term, match raft.Index) raft.Message {
		return raft.Message{
			Type: raft.MsgAppendEntriesResponse, From: 2, To: 1, Term: term, Success: true, MatchIndex: match,
		}
	}
	play(t, alone(func() checker { return &durableAcks{} }), []tale{
		{"what is on the disk and in the leader's log", 3, func(s *stage) string {
			return all(s.boot(1, in(3, 0), logOf(1, 3), leading), s.boot(2, in(3, 0), logOf(1, 3)), s.hears(ack(3, 2)))
		}, false},
		{"what is not on the disk", 3, func(s *stage) string {
			s.save(2, in(3, 0), logOf(1))
			return all(s.boot(1, in(3, 0), logOf(1, 3), leading), s.wake(2, in(3, 0), logOf(1, 3)), s.hears(ack(3, 2)))
		}, true},
		{"in a term that is not on the disk", 3, func(s *stage) string {
			s.save(2, in(2, 0), logOf(1, 1))
			return all(s.boot(1, in(3, 0), logOf(1, 1, 3), leading), s.wake(2, in(3, 0), logOf(1, 1)), s.hears(ack(3, 2)))
		}, true},
		{"the end of its own log, which the leader does not have", 3, func(s *stage) string {
			return all(s.boot(1, in(3, 0), logOf(1, 3), leading), s.boot(2, in(3, 0), logOf(1, 2)), s.hears(ack(3, 2)))
		}, true},
		{"late, when another leader has replaced it", 3, func(s *stage) string {
			return all(s.boot(1, in(3, 0), logOf(1, 3), leading), s.boot(2, in(4, 0), logOf(1)), s.hears(ack(3, 2)))
		}, false},
	})
}

func TestEqualStates(t *testing.T) { // T44, T45
	t.Parallel()
	log := puts("a", "b")
	play(t, afterCommit(func() checker { return &equalStates{} }), []tale{
		{"two nodes apply the same", 2, func(s *stage) string {
			first := all(s.boot(1, in(1, 2), log), s.boot(2, in(1, 2), log))
			s.applies(1, log)
			s.applies(2, log)
			return all(first, s.sees(1), s.sees(2))
		}, false},
		{"a node applies something else", 2, func(s *stage) string {
			first := all(s.boot(1, in(1, 2), log), s.boot(2, in(1, 2), log))
			s.applies(1, log)
			s.applies(2, puts("a", "c"))
			return all(first, s.sees(1), s.sees(2))
		}, true},
		{"all nodes keep another history", 2, func(s *stage) string {
			first := s.boot(1, in(1, 2), log)
			s.applies(1, puts("b", "b"))
			return all(first, s.sees(1))
		}, true},
		{"a node starts with another state", 2, func(s *stage) string {
			first := s.boot(1, in(1, 2), log)
			s.applies(1, log)
			second := s.sees(1)
			s.kill(1)
			s.actor(1).lives++
			s.actor(1).runs = true
			s.applies(1, puts("a", "c"))
			return all(first, second, s.sees(1))
		}, true},
		{"a node applies what is not committed", 2, func(s *stage) string {
			first := s.boot(1, in(1, 1), log)
			s.applies(1, log)
			return all(first, s.sees(1))
		}, true},
	})
}

func TestCheckpoints(t *testing.T) { // T32, T33, T35, T44
	t.Parallel()
	log := puts("a", "b", "c")
	seat := raft.Seat{Member: 2, Incarnation: 7}
	play(t, afterCommit(func() checker { return &checkpoints{} }), []tale{
		{"a checkpoint, a later one, and a start", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.applies(1, log)
			s.savesState(1, positionOf(log[:2]), log[:2])
			second := s.sees(1)
			s.savesState(1, positionOf(log), log)
			return all(first, second, s.sees(1), s.wakeWith(1, log))
		}, false},
		{"a checkpoint of another state", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.savesState(1, positionOf(log[:2]), puts("a", "x"))
			return all(first, s.sees(1))
		}, true},
		{"a checkpoint that names another position", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.savesState(1, positionOf(puts("a", "x")), log[:2])
			return all(first, s.sees(1))
		}, true},
		{"a checkpoint with a seat that no entry assigned", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.savesState(1, positionOf(log[:2], seat), log[:2])
			return all(first, s.sees(1))
		}, true},
		{"an earlier checkpoint replaces a later one", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.savesState(1, positionOf(log), log)
			second := s.sees(1)
			s.savesState(1, positionOf(log[:2]), log[:2])
			return all(first, second, s.sees(1))
		}, true},
		{"a checkpoint of what is not committed", 1, func(s *stage) string {
			first := s.boot(1, in(1, 2), log)
			s.savesState(1, positionOf(log), log)
			return all(first, s.sees(1))
		}, true},
		{"a start goes behind the checkpoint", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.savesState(1, positionOf(log), log)
			return all(first, s.sees(1), s.wakeWith(1, log[:1]))
		}, true},
		{"a lost disk has none", 1, func(s *stage) string {
			first := s.boot(1, in(1, 3), log)
			s.savesState(1, positionOf(log), log)
			second := s.sees(1)
			s.wipe(1)
			return all(first, second, s.wake(1, in(0, 0), nil))
		}, false},
	})
}

func TestCutLogs(t *testing.T) { // T33, T50
	t.Parallel()
	log := puts("a", "b", "c")
	cut := func(s *stage, checkpoint int, start raft.LogStart) string {
		first := s.boot(1, in(1, 3), log)
		s.savesState(1, positionOf(log[:checkpoint]), log[:checkpoint])
		s.actor(1).log = raft.Log{Start: start, Entries: log[start.Index:]}
		return all(first, s.sees(1))
	}
	play(t, afterCommit(func() checker { return &cutLogs{} }), []tale{
		{"up to the checkpoint", 1, func(s *stage) string { return cut(s, 2, positionOf(log[:2])) }, false},
		{"beyond the checkpoint", 1, func(s *stage) string { return cut(s, 1, positionOf(log[:2])) }, true},
		{"the start has another term", 1, func(s *stage) string {
			start := positionOf(log[:2])
			start.Term++
			return cut(s, 2, start)
		}, true},
		{"the start has a seat that no entry assigned", 1, func(s *stage) string {
			return cut(s, 2, positionOf(log[:2], raft.Seat{Member: 2, Incarnation: 7}))
		}, true},
	})
}

func TestLeaderWithoutMajorityStepsDown(t *testing.T) { // thesis 6.2
	t.Parallel()
	heartbeat := func(to raft.NodeID) raft.Message {
		return raft.Message{Type: raft.MsgAppendEntries, From: 1, To: to, Term: 3}
	}
	answer := func(from raft.NodeID, term raft.Term) raft.Message {
		return raft.Message{Type: raft.MsgAppendEntriesResponse, From: from, To: 1, Term: term}
	}
	// rounds plays heartbeats to all others, and answers by those in the list.
	rounds := func(s *stage, term raft.Term, heard ...raft.NodeID) (broken string) {
		s.boot(1, voted(3, 1), logOf(3), leading)
		for range 100 {
			s.now += 100 * time.Millisecond
			for _, m := range s.actors[1:] {
				if broken = s.hears(heartbeat(m.id)); broken != "" {
					return broken
				}
			}
			for _, from := range heard {
				s.hears(answer(from, term))
			}
		}
		return ""
	}
	play(t, alone(func() checker { return &checkQuorum{} }), []tale{
		{"one of two answers", 3, func(s *stage) string { return rounds(s, 3, 2) }, false},
		{"no follower answers", 3, func(s *stage) string { return rounds(s, 3) }, true},
		{"they answer another term", 3, func(s *stage) string { return rounds(s, 2, 2, 3) }, true},
		{"two of four answer no majority of seven", 7, func(s *stage) string { return rounds(s, 3, 2, 3) }, true},
		{"it is frozen for long", 3, func(s *stage) string {
			first := all(s.hears(heartbeat(2)), s.hears(heartbeat(3)))
			s.now += time.Hour
			return all(first, s.hears(heartbeat(2)), s.hears(heartbeat(3)))
		}, false},
	})
}

// TestEveryCheckerTakesPart: one that is not in the list would never complain, and two of one name would be taken for
// each other.
func TestEveryCheckerTakesPart(t *testing.T) {
	t.Parallel()
	takePart := map[string]int{}
	for _, c := range newCheckers() {
		takePart[c.invariant()]++
	}
	for _, c := range []checker{
		&coreOrder{}, &monotonic{}, &electionSafety{}, &oneVote{}, &majorityElects{}, &logMatching{},
		&stateMachineSafety{}, &commitsOwnTerm{}, &durability{}, &leaderCompleteness{}, &durableAcks{},
		&equalStates{}, &checkQuorum{}, &wholeHandover{}, &progressGrows{}, &answersInTerm{}, &checkpoints{}, &cutLogs{},
		&leaseExcludes{},
	} {
		if n := takePart[c.invariant()]; n != 1 {
			t.Errorf("%q takes part %d times, want once", c.invariant(), n)
		}
	}
}
