package check

import (
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// checkQuorum: a leader that receives no messages of a majority steps down (thesis 6.2): otherwise clients that are cut
// off together with it wait without limit.
//
// Its time is counted in its own heartbeats, because its ticks cannot be seen from outside: a leader that is frozen,
// sits in a save or whose loop is held up sends none, and its clock may run at any pace. How many it sends to a node
// since that node answered last is the node's silence. The core steps down after two election timeouts of silence; this
// requires it after four, and then some. An answer counts from when it left, and is given as long as it can take.
type checkQuorum struct {
	leaders perNode[tenure]
}

// tenure is one node's time as leader.
type tenure struct {
	life  int
	term  raft.Term
	peers perNode[silence]
}

// silence is how a leader sees one other node.
type silence struct {
	until      time.Duration // the answers that left so far have arrived by then
	heartbeats int           // since then
	counted    time.Duration // when the last of them left
}

func (c *checkQuorum) invariant() string { return "a leader without a majority steps down" }

// step does nothing: a leader that gets no answers hardly changes. What it sends shows it.
func (c *checkQuorum) step(*Watch, *Step) error { return nil }

func (c *checkQuorum) leaves(w *Watch, from Node, m *raft.Message) error {
	switch {
	case m.Type == raft.MsgAppendEntriesResponse:
		if t := c.leaders.of(m.To); t.term == m.Term {
			*t.peers.of(from.ID()) = silence{until: w.Now() + w.Reach}
		}
	case m.IsHeartbeat():
		return c.heartbeat(w, from, m)
	}
	return nil
}

// heartbeat counts a heartbeat, and the nodes that have been silent for too many of them.
func (c *checkQuorum) heartbeat(w *Watch, from Node, m *raft.Message) error {
	t := c.leaders.of(from.ID())
	if t.life != from.Life() || t.term != m.Term {
		*t = tenure{life: from.Life(), term: m.Term}
	}
	// A commit or a read round sends heartbeats of its own, which are no measure of the time that passes.
	peer := t.peers.of(m.To)
	if now := w.Now(); now > peer.until && now >= peer.counted+3*w.Heartbeat/4 {
		peer.heartbeats++
		peer.counted = now
	}
	limit, heard := c.limit(w), 1
	for _, other := range w.nodes {
		if other.ID() != from.ID() && t.peers.of(other.ID()).heartbeats <= limit {
			heard++
		}
	}
	if heard < w.quorum() {
		return fmt.Errorf("node %d still leads term %d, though only %d of %d nodes, counting itself, answered any of "+
			"its last %d heartbeats", from.ID(), m.Term, heard, len(w.nodes), limit)
	}
	return nil
}

// limit is how many heartbeats make four election timeouts, and four more for a leader's first moments.
func (c *checkQuorum) limit(w *Watch) int { return int(4*w.ElectionTimeout/w.Heartbeat) + 4 }
