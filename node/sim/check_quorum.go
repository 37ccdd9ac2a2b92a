package sim

import (
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// checkQuorum: a leader that hears no majority steps down (thesis 6.2): else clients who are cut off together with it
// wait for ever.
//
// Its time is counted in its own heartbeats, because its ticks cannot be seen from outside: a leader that is frozen,
// sits in a save or whose loop is held up sends none, and its clock may run at any pace. How many it sends to a node
// since that node answered last is the node's silence. The core steps down after two election timeouts of silence; this
// demands it after four, and then some. An answer counts from when it left, and is given as long as it can take.
type checkQuorum struct {
	leaders perNode[tenure]
	spikes  bool // messages may take long
}

// tenure is one node's time in office.
type tenure struct {
	process *process
	term    raft.Term
	peers   perNode[silence]
}

// silence is how a leader sees one other node.
type silence struct {
	until      time.Duration // the answers that left so far have arrived by then
	heartbeats int           // since then
	counted    time.Duration // when the last of them left
}

func (c *checkQuorum) promise() string { return "a leader without a majority steps down" }

// step sees nothing: a leader whom nobody answers hardly changes. What it sends gives it away.
func (c *checkQuorum) step(*World, *look) error { return nil }

func (c *checkQuorum) leaves(w *World, from *machine, m *raft.Message) error {
	c.spikes = c.spikes || w.mix[Spike] > 0
	switch {
	case m.Type == raft.MsgAppendEntriesResponse:
		if t := c.leaders.of(m.To); t.term == m.Term {
			*t.peers.of(from.id) = silence{until: w.now + c.reach(w)}
		}
	case m.IsHeartbeat():
		return c.heartbeat(w, from, m)
	}
	return nil
}

// heartbeat counts a heartbeat, and the nodes that have been silent for too many of them.
func (c *checkQuorum) heartbeat(w *World, from *machine, m *raft.Message) error {
	t := c.leaders.of(from.id)
	if t.process != from.process || t.term != m.Term {
		*t = tenure{process: from.process, term: m.Term}
	}
	// A commit or a read round sends heartbeats of its own, which say nothing of the time that passes.
	peer := t.peers.of(m.To)
	if w.now > peer.until && w.now >= peer.counted+3*w.cfg.Heartbeat/4 {
		peer.heartbeats++
		peer.counted = w.now
	}
	limit, heard := c.limit(w), 1
	for _, other := range w.machines {
		if other != from && t.peers.of(other.id).heartbeats <= limit {
			heard++
		}
	}
	if heard < w.quorum() {
		return fmt.Errorf("node %d still leads term %d, though only %d of %d nodes, counting itself, answered any of "+
			"its last %d heartbeats", from.id, m.Term, heard, len(w.machines), limit)
	}
	return nil
}

// limit is how many heartbeats make four election timeouts, and four more for a leader's first moments.
func (c *checkQuorum) limit(w *World) int { return int(4*w.cfg.ElectionTimeout/w.cfg.Heartbeat) + 4 }

// reach is how long a message can be on its way.
func (c *checkQuorum) reach(w *World) time.Duration {
	d := 2*w.network.latency + catalogue[Reorder].longest
	if c.spikes {
		d += catalogue[Spike].longest
	}
	return d
}
