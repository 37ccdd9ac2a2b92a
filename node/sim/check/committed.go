package check

import (
	"bytes"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Committed is what the cluster has committed so far: the entry that any node committed first at each index. It only
// grows. stateMachineSafety writes it, every checker may read it.
type Committed struct {
	entries []raft.Entry // from index 1 on, without a gap
	terms   []raft.Term  // beside each: the term of the node that committed it first, when it did
	// applied is when a node first published that it has applied each index, from 1 on. recentReads writes it.
	applied []time.Duration
}

// Last is the highest index that was ever committed.
func (c *Committed) Last() raft.Index { return raft.Index(len(c.entries)) }

// at returns the entry that was committed at an index.
func (c *Committed) at(i raft.Index) *raft.Entry { return &c.entries[i-1] }

// add notes entries that follow the last one, committed by a node in some term.
func (c *Committed) add(entries []raft.Entry, term raft.Term) {
	c.entries = append(c.entries, entries...)
	for range entries {
		c.terms = append(c.terms, term)
	}
}

// AppliedBefore returns the last index that a node had published as applied before a moment.
func (c *Committed) AppliedBefore(moment time.Duration) raft.Index {
	i := len(c.applied)
	for i > 0 && c.applied[i-1] >= moment {
		i--
	}
	return raft.Index(i)
}

// SameEntry reports whether two entries are equal to the byte.
func SameEntry(a, b *raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Timestamp == b.Timestamp && bytes.Equal(a.Command, b.Command)
}

// Forged are the positions at which logs may differ, because an entry was forged there.
type Forged struct{ positions map[position]bool }

// position is an index and the term of the entry there.
type position struct {
	index raft.Index
	term  raft.Term
}

// Add notes that an entry is forged.
func (f *Forged) Add(index raft.Index, term raft.Term) {
	if f.positions == nil {
		f.positions = map[position]bool{}
	}
	f.positions[position{index, term}] = true
}

// isForged reports whether two entries differ only because one of them was forged.
func (f *Forged) isForged(a, b *raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && f.positions[position{a.Index, a.Term}]
}

// Differs reports whether the log on the disk of a node holds another entry than the committed one, or an entry that
// was forged of which is not decided yet whether it is the right one.
func (w *Watch) Differs(id raft.NodeID) bool {
	_, log := w.node(id).Durable()
	for p := range w.Forged.positions {
		e := log.Entry(p.index)
		if e == nil || e.Term != p.term {
			continue
		}
		if p.index > w.Committed.Last() || !SameEntry(w.Committed.at(p.index), e) {
			return true
		}
	}
	return false
}

// differsUpTo reports whether the log on the disk of a node holds another entry than the committed one up to an index.
func (w *Watch) differsUpTo(n Node, i raft.Index) bool {
	_, log := n.Durable()
	for p := range w.Forged.positions {
		e := log.Entry(p.index)
		if p.index <= min(i, w.Committed.Last()) && e != nil && !SameEntry(w.Committed.at(p.index), e) {
			return true
		}
	}
	return false
}
