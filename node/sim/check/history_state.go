package check

import (
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// judgeStates compares what the nodes hold in the end with what follows from the committed log, key by key. That the
// nodes agree with each other does not show that they are right, and the clients may not have read what they wrote
// last.
func (h *history) judgeStates(w *Watch) {
	for _, n := range w.nodes {
		if store := n.Store(); store != nil && !w.Astray(n.ID()) && raft.Index(store.Applied()) == w.Committed.Last() {
			h.judgeState(n.ID(), store)
		}
	}
}

// judgeState compares every key that a client named with what a store holds that has applied the whole log.
func (h *history) judgeState(id raft.NodeID, store *kv.Store) {
	judged := map[string]bool{}
	for _, o := range h.operations {
		if judged[o.Key] {
			continue
		}
		judged[o.Key] = true
		want := register{}
		if versions := h.versions[o.Key]; len(versions) > 0 {
			want = versions[len(versions)-1].register
		}
		record, found := store.Get(o.Key)
		if has := (register{found, string(record.Value), record.ModRevision}); has != want {
			h.broken("the state is what the log leads to",
				"node %d holds under key %s (found %v, value %q, revision %d); by the log it is (found %v, value %q, revision %d)",
				id, o.Key, has.found, has.value, has.revision, want.found, want.value, want.revision)
			return
		}
	}
}
