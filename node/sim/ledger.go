package sim

import (
	"bytes"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// ledger is what the cluster has committed so far, as the checkers saw it: the entry that any node committed first at
// each index. It only grows. stateMachineSafety writes it, everyone may read it.
type ledger struct {
	entries []raft.Entry // from index 1 on, without a gap
	terms   []raft.Term  // beside each: the term of the node that committed it first, when it did
	// applied is when a node first published that it has applied each index, from 1 on. recentReads writes it.
	applied []time.Duration
}

// last is the highest index that was ever committed.
func (l *ledger) last() raft.Index { return raft.Index(len(l.entries)) }

// at gives the entry that was committed at an index.
func (l *ledger) at(i raft.Index) *raft.Entry { return &l.entries[i-1] }

// add notes entries that follow the last one, committed by a node in some term.
func (l *ledger) add(entries []raft.Entry, term raft.Term) {
	l.entries = append(l.entries, entries...)
	for range entries {
		l.terms = append(l.terms, term)
	}
}

// sameEntry tells whether two entries are equal to the byte.
func sameEntry(a, b *raft.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Timestamp == b.Timestamp && bytes.Equal(a.Command, b.Command)
}
