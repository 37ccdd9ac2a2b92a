package raft

import "slices"

// Voters is a set of members whose majority decides, in ascending order. All quorum arithmetic is in this file and
// takes the set as an argument, because it changes while the core runs.
type Voters []NodeID

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

// quorums are the sets of voters that decide: a majority of the incoming ones and, if there are any, one of the
// outgoing ones (paper, section 6).
type quorums struct{ incoming, outgoing Voters }

// Contains reports whether a member is a voter of either set.
func (q quorums) Contains(id NodeID) bool { return q.incoming.Contains(id) || q.outgoing.Contains(id) }

// Agree reports whether yes is true for a quorum of each set.
func (q quorums) Agree(yes func(NodeID) bool) bool {
	return q.incoming.Agree(yes) && (len(q.outgoing) == 0 || q.outgoing.Agree(yes))
}

// CommitIndex returns the highest index that a quorum of each set has reached.
func (q quorums) CommitIndex(match func(NodeID) Index) Index {
	index := q.incoming.CommitIndex(match)
	if len(q.outgoing) > 0 {
		index = min(index, q.outgoing.CommitIndex(match))
	}
	return index
}

// tally returns the state of an election, which must be won in each set.
func (q quorums) tally(ballots map[NodeID]bool) electionResult {
	result := q.incoming.tally(ballots)
	if len(q.outgoing) == 0 {
		return result
	}
	switch other := q.outgoing.tally(ballots); {
	case result == lost || other == lost:
		return lost
	case result == won && other == won:
		return won
	}
	return undecided
}

// union returns the voters of both sets.
func (q quorums) union() Voters {
	all := slices.Concat(q.incoming, q.outgoing)
	slices.Sort(all)
	return slices.Compact(all)
}
