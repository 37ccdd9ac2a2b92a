package check

import (
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// reference is what follows from the committed log: a state machine of its own that applies it entry by entry, and what
// every node must have at each index. It goes on when it is asked.
type reference struct {
	store  *kv.Store
	states []uint64      // digests of the state after each entry, from index 1 on
	logs   []raft.Digest // of the log up to each entry
	oldest []uint64      // revision that can be read after each entry
	seats  []placed
}

// placed is a seat and the entry that assigned it.
type placed struct {
	raft.Seat
	index raft.Index
}

// follow applies what was committed up to an index.
func (r *reference) follow(c *Committed, to raft.Index) {
	if r.store == nil {
		r.store = kv.New()
	}
	for i := raft.Index(len(r.states)) + 1; i <= to; i++ {
		e := c.at(i)
		applied := kv.Entry{Revision: uint64(i), Timestamp: e.Timestamp}
		switch e.Type {
		case raft.EntryCommand:
			applied.Command = e.Command
		case raft.EntrySeat:
			if seat, is := entryjson.Encoding().ParseSeat(e.Command); is {
				r.seats = append(r.seats, placed{seat, i})
			}
		case raft.EntryNoOp, raft.EntryCheck:
		}
		r.store.Apply(applied)
		r.states, r.oldest = append(r.states, r.store.Digest()), append(r.oldest, r.store.Compacted())
		before := raft.Digest(0)
		if i > 1 {
			before = r.logs[i-2]
		}
		r.logs = append(r.logs, before.Extend(e))
	}
}

// stateAt returns the digest of the state that the committed log leads to at an index. Index 0 is the empty state.
func (w *Watch) stateAt(i raft.Index) uint64 {
	if i == 0 {
		return kv.New().Digest()
	}
	w.reference.follow(&w.Committed, i)
	return w.reference.states[i-1]
}

// positionAt returns the position of a committed entry, with the seats up to there.
func (w *Watch) positionAt(i raft.Index) raft.LogStart {
	w.reference.follow(&w.Committed, i)
	start := raft.LogStart{Index: i, Term: w.Committed.at(i).Term, Digest: w.reference.logs[i-1]}
	for _, s := range w.reference.seats {
		if s.index <= i {
			start.Seats = append(start.Seats, s.Seat)
		}
	}
	return start
}
