package raft

import (
	"math/rand/v2"
	"testing"
	"testing/quick"
)

// ballot is a random cluster with the response and the index of each member, for testing/quick.
type ballot struct {
	voters  Voters
	ballots map[NodeID]bool // of some voters, and of some that are no voters
	match   map[NodeID]Index
}

func randomBallot(rng *rand.Rand) ballot {
	b := ballot{ballots: map[NodeID]bool{}, match: map[NodeID]Index{}}
	for id := NodeID(1); id <= 12; id++ {
		if rng.IntN(2) == 0 && len(b.voters) < 11 {
			b.voters = append(b.voters, id)
		}
		if rng.IntN(4) > 0 {
			b.ballots[id] = rng.IntN(2) == 0
		}
		b.match[id] = Index(rng.IntN(6))
	}
	return b
}

// A group of voters is a quorum if every other group without a common member is smaller. This counts instead of
// dividing.
func isMajority(voters Voters, group func(NodeID) bool) bool {
	in, out := 0, 0
	for _, id := range voters {
		if group(id) {
			in++
		} else {
			out++
		}
	}
	return in > out
}

func quickCheck(t *testing.T, property func(b ballot) bool) {
	t.Helper()
	err := quick.Check(func(seed uint64) bool {
		return property(randomBallot(rand.New(rand.NewPCG(seed, 0))))
	}, &quick.Config{MaxCount: 5000})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQuickAgree(t *testing.T) {
	t.Parallel()
	quickCheck(t, func(b ballot) bool {
		yes := func(id NodeID) bool { return b.ballots[id] }
		return b.voters.Agree(yes) == isMajority(b.voters, yes)
	})
}

// The commit index is the highest index that a majority has reached.
func TestQuickCommitIndex(t *testing.T) {
	t.Parallel()
	quickCheck(t, func(b ballot) bool {
		want := Index(0)
		for i := Index(1); i < 10; i++ {
			if isMajority(b.voters, func(id NodeID) bool { return b.match[id] >= i }) {
				want = i
			}
		}
		return b.voters.CommitIndex(func(id NodeID) Index { return b.match[id] }) == want
	})
}

// An election is won if a majority granted its vote, lost if no further responses can add up to one, and undecided
// otherwise.
func TestQuickTally(t *testing.T) {
	t.Parallel()
	quickCheck(t, func(b ballot) bool {
		yes := func(id NodeID) bool { return b.ballots[id] }
		yesOrMissing := func(id NodeID) bool {
			vote, answered := b.ballots[id]
			return vote || !answered
		}
		want := undecided
		if isMajority(b.voters, yes) {
			want = won
		} else if !isMajority(b.voters, yesOrMissing) {
			want = lost
		}
		return b.voters.tally(b.ballots) == want
	})
}

// Any two quorums share a voter, and no smaller group is a quorum.
func TestQuickQuorumsIntersect(t *testing.T) {
	t.Parallel()
	quickCheck(t, func(b ballot) bool {
		n := len(b.voters)
		return n == 0 || 2*b.voters.Quorum() > n && 2*(b.voters.Quorum()-1) <= n
	})
}

func TestCommitIndexDoesNotAllocate(t *testing.T) {
	voters := Voters{1, 2, 3, 4, 5}
	match := [6]Index{0, 5, 4, 3, 2, 1}
	allocations := testing.AllocsPerRun(100, func() {
		if voters.CommitIndex(func(id NodeID) Index { return match[id] }) != 3 {
			t.Fatal("wrong commit index")
		}
	})
	wantEqual(t, "allocations", allocations, 0)
}
