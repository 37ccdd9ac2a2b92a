package check

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// equalStates: nodes that have applied the same index hold the same state, to the byte (traps T44, T45).
//
// A digest walks the whole store, so it is not taken at each step. It is taken when a node stands at an index at which
// another one stands too, at most once in max(stateEvery, number of keys) entries of each node; and at each index that
// is a multiple of stateMarks. What was taken is kept for a while, for nodes that get there later. So the cost per
// applied entry is bounded, a difference that stays is found soon, and the calm part compares the final states.
type equalStates struct {
	nodes perNode[stateSeen]
	known [16 * stateMarks]mark // by index
}

const (
	stateEvery = 4
	stateMarks = 16
)

// stateSeen is the store of one life of a node, and the index from which on it is due.
type stateSeen struct {
	store *kv.Store
	due   raft.Index
}

// mark is the digest that a node had at an index.
type mark struct {
	index  raft.Index
	digest uint64
	node   raft.NodeID
}

func (c *equalStates) invariant() string { return "byte-equal states" }

func (c *equalStates) step(w *Watch, l *Step) error {
	me := c.nodes.of(l.node.ID())
	if l.NewLife() {
		*me = stateSeen{store: l.Store}
	}
	at := l.Now.Applied
	if at == 0 || w.Astray(l.node.ID()) || !l.NewLife() && at == l.Before.Applied {
		return nil
	}
	if at%stateMarks == 0 {
		return c.compare(l.node, at)
	}
	if at < me.due {
		return nil
	}
	other := c.besides(w, l.node, at)
	if other == nil {
		return nil
	}
	if err := c.compare(l.node, at); err != nil {
		return err
	}
	me.due = at + raft.Index(max(stateEvery, l.Store.Len()))
	return c.compare(other, at)
}

// besides finds another node that stands at an index.
func (c *equalStates) besides(w *Watch, me Node, at raft.Index) Node {
	for _, m := range w.nodes {
		if m.ID() != me.ID() && !w.Astray(m.ID()) && m.Up() && m.Seen().Applied == at {
			return m
		}
	}
	return nil
}

// compare takes the digest of a node that stands at an index, and compares it with the one that is known there.
func (c *equalStates) compare(m Node, at raft.Index) error {
	known, digest := &c.known[at%raft.Index(len(c.known))], c.nodes.of(m.ID()).store.Digest()
	switch {
	case known.index != at:
		*known = mark{at, digest, m.ID()}
	case known.digest != digest:
		return fmt.Errorf("nodes %d and %d have both applied %d entries, and hold different states",
			known.node, m.ID(), at)
	}
	return nil
}
