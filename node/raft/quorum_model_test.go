package raft

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
)

// group is a set of voters out of 1 to n: bit i stands for voter i+1.
type group uint16

func (g group) has(id NodeID) bool { return g&(1<<(id-1)) != 0 }

func (g group) within(other group) bool { return g&^other == 0 }

// quorumsOf computes the quorums of n voters from their definition: the smallest size at which any two groups have a
// voter in common, and every group that is at least as large.
func quorumsOf(n int) []group {
	all := make([]group, 0, 1<<n)
	for g := range group(1) << n {
		all = append(all, g)
	}
	for size := 1; ; size++ {
		large := slices.DeleteFunc(slices.Clone(all), func(g group) bool { return bits.OnesCount16(uint16(g)) < size })
		apart := func(a group) bool {
			return slices.ContainsFunc(large, func(b group) bool { return a&b == 0 })
		}
		if !slices.ContainsFunc(large, apart) {
			return large
		}
	}
}

// eachSize runs a test of the arithmetic for every cluster size.
func eachSize(t *testing.T, test func(t *testing.T, voters Voters, quorums []group)) {
	t.Helper()
	for n := 1; n <= 9; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var voters Voters
			for id := NodeID(1); id <= NodeID(n); id++ {
				voters = append(voters, id)
			}
			test(t, voters, quorumsOf(n))
		})
	}
}

// holdsQuorum reports whether a group contains a quorum.
func holdsQuorum(quorums []group, g group) bool {
	return slices.ContainsFunc(quorums, func(q group) bool { return q.within(g) })
}

func TestAgreeAsTheModel(t *testing.T) {
	t.Parallel()
	eachSize(t, func(t *testing.T, voters Voters, quorums []group) {
		for yes := range group(1) << len(voters) {
			wantEqual(t, fmt.Sprintf("agreement of %b", yes), voters.Agree(yes.has), holdsQuorum(quorums, yes))
		}
		for _, q := range quorums {
			if size := bits.OnesCount16(uint16(q)); size < voters.Quorum() {
				t.Errorf("%b is a quorum of %d, but Quorum returns %d", q, size, voters.Quorum())
			}
		}
	})
}

// Every voter granted, refused, or did not answer: won if the granted votes hold a quorum, lost if the voters that
// may still grant theirs do not add up to one, and undecided otherwise.
func TestTallyAsTheModel(t *testing.T) { // T2
	t.Parallel()
	eachSize(t, func(t *testing.T, voters Voters, quorums []group) {
		holds := make([]bool, 1<<len(voters))
		for g := range holds {
			holds[g] = holdsQuorum(quorums, group(g))
		}
		for answered := range group(1) << len(voters) {
			for yes := answered; ; yes = (yes - 1) & answered { // every group within it
				ballots := map[NodeID]bool{99: true} // 99 is no voter and does not count
				for _, id := range voters {
					if answered.has(id) {
						ballots[id] = yes.has(id)
					}
				}
				may := yes | (1<<len(voters)-1)&^answered
				want := undecided
				switch {
				case holds[yes]:
					want = won
				case !holds[may]:
					want = lost
				}
				wantEqual(t, fmt.Sprintf("tally of %b in %b", yes, answered), voters.tally(ballots), want)
				if yes == 0 {
					break
				}
			}
		}
	})
}

// The commit index is the highest index that all of some quorum have reached. Each voter is at one of few places, in
// every combination.
func TestCommitIndexAsTheModel(t *testing.T) { // paper 5.3
	t.Parallel()
	eachSize(t, func(t *testing.T, voters Voters, quorums []group) {
		const places = 3
		match := make([]Index, len(voters))
		for {
			var reached [places]group // the voters that reached at least that place
			for i, at := range match {
				for place := range at + 1 {
					reached[place] |= 1 << i
				}
			}
			want := Index(places - 1)
			for !holdsQuorum(quorums, reached[want]) {
				want--
			}
			got := voters.CommitIndex(func(id NodeID) Index { return match[id-1] })
			wantEqual(t, fmt.Sprintf("commit index of %v", match), got, want)
			if !nextCombination(match, places) {
				return
			}
		}
	})
}

// nextCombination counts up with one digit per voter. It returns false after the last.
func nextCombination(digits []Index, base Index) bool {
	for i := range digits {
		if digits[i]++; digits[i] < base {
			return true
		}
		digits[i] = 0
	}
	return false
}
