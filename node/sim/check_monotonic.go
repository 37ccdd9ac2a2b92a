package sim

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// monotonic: term, commit index and applied index never go back within a life, and a vote does not change within a
// term (traps T1, T18). Over all lives the same holds for the term and the vote on the disk, unless the disk was lost;
// and a node never knows less of them than its disk. The commit index may be older after a restart: the disk may lag.
type monotonic struct{ disks perNode[raft.HardState] }

func (c *monotonic) promise() string { return "monotonic term, vote, commit and applied" }

func (c *monotonic) step(_ *World, l *look) error {
	before, now, id := &l.before, &l.now, l.machine.id
	if !l.newLife() {
		switch {
		case now.state.Commit < before.state.Commit:
			return fmt.Errorf("node %d: the commit index went from %d to %d", id, before.state.Commit, now.state.Commit)
		case now.applied < before.applied:
			return fmt.Errorf("node %d: the applied index went from %d to %d", id, before.applied, now.applied)
		}
		if err := follows(before.state, now.state); err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
	}
	saved := c.disks.of(id)
	durable, _ := l.machine.disk.durable()
	if !l.wiped(*saved, durable) {
		if err := follows(*saved, durable); err != nil {
			return fmt.Errorf("node %d: on the disk %w", id, err)
		}
	}
	*saved = durable
	if err := follows(durable, now.state); err != nil {
		return fmt.Errorf("node %d: from the disk to the memory %w", id, err)
	}
	return nil
}

// follows tells whether a state can come after another one.
func follows(before, now raft.HardState) error {
	switch {
	case now.Term < before.Term:
		return fmt.Errorf("the term went from %d to %d", before.Term, now.Term)
	case now.Term == before.Term && before.Vote != 0 && now.Vote != before.Vote:
		return fmt.Errorf("the vote in term %d went from node %d to node %d", now.Term, before.Vote, now.Vote)
	}
	return nil
}
