package check

import (
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// recentReads: a local read with a bound on its age (max_stale) that is answered returns a state that contains
// everything that any node had published as applied before the moment that the age names. Everything acknowledged to a
// client is published first, so this is what node.Staleness reports, and a little more.
//
// The moment is compared in true time. The clocks of the node and of its leader may run slow, by as much as the slowest
// clock of the run. Nothing is added for a process that was stopped, or a machine that slept: the clock of a node goes
// on.
type recentReads struct{}

func (c *recentReads) invariant() string { return "a recent read is no older than it reports" }

// step notes when each index was first applied, and checks the age as if a read came now. The reads of clients are
// checked as they are served.
func (c *recentReads) step(w *Watch, l *Step) error {
	for raft.Index(len(w.Committed.applied)) < l.Now.Published {
		w.Committed.applied = append(w.Committed.applied, w.Now())
	}
	if l.Now.Published == raft.Index(len(w.Committed.applied)) {
		return nil
	}
	age, known := l.node.Age()
	if !known {
		return nil
	}
	return c.verify(w, l.node.ID(), l.Now.Published, w.Moment(age))
}

// verify checks that a state in which a node had applied so much contains everything from before a moment.
func (c *recentReads) verify(w *Watch, id raft.NodeID, applied raft.Index, moment time.Duration) error {
	times := w.Committed.applied
	if applied >= raft.Index(len(times)) || times[applied] >= moment {
		return nil
	}
	now := w.Now()
	return fmt.Errorf("node %d has applied %d and takes its state for one of %v ago; entry %d was applied %v ago",
		id, applied, now-moment, applied+1, now-times[applied])
}
