package raft

import (
	"errors"
	"fmt"
	"slices"
)

// Voters is a set of members whose majority decides, in ascending order. All quorum arithmetic is here and takes the
// set as an argument, because the set will change while the core runs.
type Voters []NodeID

// NewVoters returns a set of voters. It refuses an empty set, id 0, and duplicates.
func NewVoters(ids []NodeID) (Voters, error) {
	if len(ids) == 0 {
		return nil, errors.New("raft: there are no voters; at least one is needed")
	}
	voters := Voters(slices.Clone(ids))
	slices.Sort(voters)
	if voters[0] == 0 {
		return nil, errors.New("raft: 0 is among the voters; node ids are positive")
	}
	for i := 1; i < len(voters); i++ {
		if voters[i] == voters[i-1] {
			return nil, fmt.Errorf("raft: node %d is among the voters twice", voters[i])
		}
	}
	return voters, nil
}

// Contains reports whether a member is a voter.
func (v Voters) Contains(id NodeID) bool { return slices.Contains(v, id) }

// Quorum returns the smallest size of which any two groups of voters have a voter in common.
func (v Voters) Quorum() int { return len(v)/2 + 1 }

// Agree reports whether yes is true for a quorum of the voters. It returns false for an empty set.
func (v Voters) Agree(yes func(NodeID) bool) bool {
	count := 0
	for _, id := range v {
		if yes(id) {
			count++
		}
	}
	return count >= v.Quorum()
}

// CommitIndex returns the highest index that a quorum of the voters has reached; 0 for an empty set.
func (v Voters) CommitIndex(match func(NodeID) Index) Index {
	var room [9]Index // clusters are small: this keeps the hot path off the heap
	sorted := room[:0]
	for _, id := range v {
		sorted = append(sorted, match(id))
	}
	if len(sorted) == 0 {
		return 0
	}
	slices.Sort(sorted)
	return sorted[len(sorted)-v.Quorum()]
}

// electionResult is the state of an election.
type electionResult uint8

const (
	undecided electionResult = iota
	won
	lost
)

// tally returns the state of an election, from the responses so far. Only voters count, and each counts once (trap
// T2).
func (v Voters) tally(ballots map[NodeID]bool) electionResult {
	granted, missing := 0, 0
	for _, id := range v {
		vote, answered := ballots[id]
		switch {
		case !answered:
			missing++
		case vote:
			granted++
		}
	}
	switch {
	case granted >= v.Quorum():
		return won
	case granted+missing < v.Quorum():
		return lost
	}
	return undecided
}
