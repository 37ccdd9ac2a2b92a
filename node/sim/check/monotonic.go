package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// monotonic: term, commit index and applied index never go back within a life, and a vote does not change within a
// term (traps T1, T18). Over all runs the same holds for the term and the vote on the disk, unless the disk was lost;
// and a node never has older ones than its disk. The commit index may be older after a restart: the disk may lag.
type monotonic struct{ disks perNode[raft.HardState] }

func (c *monotonic) invariant() string { return "monotonic term, vote, commit and applied" }

func (c *monotonic) step(_ *Watch, l *Step) error {
	before, now, id := &l.Before, &l.Now, l.node.ID()
	if !l.NewLife() {
		switch {
		case now.State.Commit < before.State.Commit:
			return fmt.Errorf("node %d: the commit index went from %d to %d", id, before.State.Commit, now.State.Commit)
		case now.Applied < before.Applied:
			return fmt.Errorf("node %d: the applied index went from %d to %d", id, before.Applied, now.Applied)
		case now.Published < before.Published:
			return fmt.Errorf("node %d: the published applied index went from %d to %d", id, before.Published, now.Published)
		}
		if err := follows(before.State, now.State); err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
	}
	saved := c.disks.of(id)
	durable, _ := l.node.Durable()
	if !l.wiped(*saved, durable) {
		if err := follows(*saved, durable); err != nil {
			return fmt.Errorf("node %d: on the disk %w", id, err)
		}
	}
	*saved = durable
	if err := follows(durable, now.State); err != nil {
		return fmt.Errorf("node %d: from the disk to the memory %w", id, err)
	}
	return nil
}

// follows reports whether a state can come after another one.
func follows(before, now raft.HardState) error {
	switch {
	case now.Term < before.Term:
		return fmt.Errorf("the term went from %d to %d", before.Term, now.Term)
	case now.Term == before.Term && before.Vote != 0 && now.Vote != before.Vote:
		return fmt.Errorf("the vote in term %d went from node %d to node %d", now.Term, before.Vote, now.Vote)
	}
	return nil
}
