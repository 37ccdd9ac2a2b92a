package check

import (
	"fmt"
	"sort"

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
	// members are the positions of the entries that assigned a seat or a configuration, from no entry on.
	members []raft.LogStart
}

// follow applies what was committed up to an index.
func (r *reference) follow(c *Committed, to raft.Index) {
	if r.store == nil {
		r.store, r.members = kv.New(), make([]raft.LogStart, 1)
	}
	for i := raft.Index(len(r.states)) + 1; i <= to; i++ {
		e := c.at(i)
		applied := kv.Entry{Revision: uint64(i), Timestamp: e.Timestamp}
		if e.Type == raft.EntryCommand {
			applied.Command = e.Command
		}
		r.store.Apply(applied)
		r.states, r.oldest = append(r.states, r.store.Digest()), append(r.oldest, r.store.Compacted())
		before := raft.Digest(0)
		if i > 1 {
			before = r.logs[i-2]
		}
		r.logs = append(r.logs, before.Extend(e))
		if e.Type == raft.EntrySeat || e.Type == raft.EntryConfig {
			r.noteMembers(e)
		}
	}
}

// noteMembers follows the seats and the configurations.
func (r *reference) noteMembers(e *raft.Entry) {
	next, err := r.members[len(r.members)-1].After(e, 0, entryjson.Encoding())
	if err != nil {
		panic(fmt.Sprintf("check: an entry that cannot be read was committed: %v", err))
	}
	r.members = append(r.members, next)
}

// stateAt returns the digest of the state that the committed log leads to at an index. Index 0 is the empty state.
func (w *Watch) stateAt(i raft.Index) uint64 {
	if i == 0 {
		return kv.New().Digest()
	}
	w.reference.follow(&w.Committed, i)
	return w.reference.states[i-1]
}

// positionAt returns the position of a committed entry, with the seats and the configuration there.
func (w *Watch) positionAt(i raft.Index) raft.LogStart {
	w.reference.follow(&w.Committed, i)
	members := w.reference.members
	after := sort.Search(len(members), func(k int) bool { return members[k].Index > i })
	start := members[after-1]
	start.Index, start.Term, start.Digest = i, w.Committed.at(i).Term, w.reference.logs[i-1]
	return start
}
