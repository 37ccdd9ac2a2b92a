package check

import (
	"fmt"
	"math/bits"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// electionSafety: a term has at most one leader, ever (paper, figure 3). A node that leads a term also does not come
// to lead it again in another life, because it would have forgotten what it did.
type electionSafety struct{ leaders map[raft.Term]nodeLife }

// nodeLife is a node between a start and its end.
type nodeLife struct {
	id   raft.NodeID
	life int
}

func (c *electionSafety) invariant() string { return "election safety" }

func (c *electionSafety) step(_ *Watch, l *Step) error {
	if !l.Elected() {
		return nil
	}
	term := l.Now.State.Term
	me := nodeLife{l.node.ID(), l.Now.Life}
	if other, is := c.leaders[term]; is && other != me {
		return fmt.Errorf("node %d leads term %d, which node %d led before", l.node.ID(), term, other.id)
	}
	if c.leaders == nil {
		c.leaders = map[raft.Term]nodeLife{}
	}
	c.leaders[term] = me
	return nil
}

// majorityElects: the leader of a term was voted for in it by a majority, each voter counted once, and its own vote is
// on its disk (paper 5.2; traps T1, T2, T4, T5). A vote counts once it was sent, whether it arrived or not.
type majorityElects struct {
	voters map[ballot]uint64 // one bit per node
}

// ballot is a term and a candidate in it.
type ballot struct {
	term      raft.Term
	candidate raft.NodeID
}

func (c *majorityElects) invariant() string { return "a majority elects the leader" }

func (c *majorityElects) leaves(w *Watch, from Node, m *raft.Message) error {
	voter, candidate, is := voteIn(m)
	if !is {
		return nil
	}
	if voter != from.ID() || candidate < 1 || int(candidate) > len(w.nodes) {
		return fmt.Errorf("node %d sends a vote of node %d for node %d", from.ID(), voter, candidate)
	}
	if c.voters == nil {
		c.voters = map[ballot]uint64{}
	}
	c.voters[ballot{m.Term, candidate}] |= 1 << voter
	return nil
}

func (c *majorityElects) step(w *Watch, l *Step) error {
	if !l.Elected() {
		return nil
	}
	term, id := l.Now.State.Term, l.node.ID()
	if state, _ := l.node.Durable(); state.Term != term || state.Vote != id {
		return fmt.Errorf("node %d leads term %d, but its disk has term %d with a vote for node %d",
			id, term, state.Term, state.Vote)
	}
	voters := c.voters[ballot{term, id}] | 1<<id
	if count := bits.OnesCount64(voters); count < w.quorum() {
		return fmt.Errorf("node %d leads term %d with the votes of %d of %d nodes", id, term, count, len(w.nodes))
	}
	return nil
}

// voteIn returns who votes for whom with a message, in the term of the message: a real vote granted, or a request for
// one, because who asks has voted for itself.
func voteIn(m *raft.Message) (voter, candidate raft.NodeID, is bool) {
	switch {
	case m.PreVote:
	case m.Type == raft.MsgRequestVote:
		return m.From, m.From, true
	case m.Type == raft.MsgRequestVoteResponse && m.VoteGranted:
		return m.From, m.To, true
	}
	return 0, 0, false
}
