package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// oneVote: a node votes for at most one candidate in a term, over all its runs, and no vote leaves before it is on
// the disk (paper 5.2, trap T1). A vote is what was sent or stands on the disk: one that a crash took away before
// either was never given. That holds for a member over all its disks: one whose disk was lost has lost its
// votes, so it must not vote in a term in which it may have voted (trap T28).
type oneVote struct{ nodes perNode[votes] }

// votes are those of one node.
type votes struct {
	cast  map[raft.Term]raft.NodeID
	saved raft.HardState // what the disk had last
}

func (c *oneVote) invariant() string { return "one vote per term" }

func (c *oneVote) step(_ *Watch, l *Step) error {
	v := c.nodes.of(l.node.ID())
	durable, _ := l.node.Durable()
	if durable.Term == v.saved.Term && durable.Vote == v.saved.Vote {
		return nil
	}
	v.saved = durable
	if durable.Vote == 0 {
		return nil
	}
	return v.give(l.node.ID(), durable.Term, durable.Vote)
}

func (c *oneVote) leaves(_ *Watch, from Node, m *raft.Message) error {
	_, candidate, is := voteIn(m)
	if !is {
		return nil
	}
	durable, _ := from.Durable()
	// A node that has gone on to a later term meanwhile, on its disk, cannot vote in this one again.
	if durable.Term < m.Term || durable.Term == m.Term && durable.Vote != candidate {
		return fmt.Errorf("node %d votes for node %d in term %d, but its disk has term %d with a vote for node %d",
			from.ID(), candidate, m.Term, durable.Term, durable.Vote)
	}
	return c.nodes.of(from.ID()).give(from.ID(), m.Term, candidate)
}

// give notes a vote.
func (v *votes) give(voter raft.NodeID, term raft.Term, candidate raft.NodeID) error {
	if other, is := v.cast[term]; is && other != candidate {
		return fmt.Errorf("node %d votes for node %d in term %d, after it voted for node %d",
			voter, candidate, term, other)
	}
	if v.cast == nil {
		v.cast = map[raft.Term]raft.NodeID{}
	}
	v.cast[term] = candidate
	return nil
}
