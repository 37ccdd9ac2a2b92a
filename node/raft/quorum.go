package raft

import (
	"errors"
	"fmt"
	"slices"
)

// Voters is a set of members whose majority decides, in ascending order. All quorum arithmetic is here and takes
// the set as an argument, because the set will change while the core runs.
type Voters []NodeID

// NewVoters makes a set of voters; it refuses an empty one, id 0, and an id that is there twice.
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

// Contains tells whether a member is a voter.
func (v Voters) Contains(id NodeID) bool { return slices.Contains(v, id) }

// Quorum is the least number of voters of which any two groups have one in common.
func (v Voters) Quorum() int { return len(v)/2 + 1 }

// Agree tells whether a quorum of the voters says yes. No voters never agree.
func (v Voters) Agree(yes func(NodeID) bool) bool {
	count := 0
	for _, id := range v {
		if yes(id) {
			count++
		}
	}
	return count >= v.Quorum()
}

// CommitIndex gives the highest index that a quorum of the voters has reached; 0 if there are none.
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

// verdict is how an election stands.
type verdict uint8

const (
	undecided verdict = iota
	won
	lost
)

// tally tells how an election stands, from the answers so far. Answers of others than the voters do not count,
// and each voter counts once (trap T2).
func (v Voters) tally(ballots map[NodeID]bool) verdict {
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
