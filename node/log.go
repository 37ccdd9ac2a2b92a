package node

import (
	"context"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// LogPage is a stretch of the replicated log as this node's disk has it.
type LogPage struct {
	FirstIndex  raft.Index // of the whole log
	LastIndex   raft.Index // of the whole log
	CommitIndex raft.Index
	Entries     []raft.Entry
}

// Log returns a stretch of the replicated log on this node's disk: up to limit entries, from index from on, or from the
// first on if that is later; the last ones if from is 0.
func (n *Node) Log(_ context.Context, from raft.Index, limit int) (LogPage, error) {
	s := n.Status()
	page := LogPage{
		FirstIndex: raft.Index(s.FirstIndex), LastIndex: raft.Index(s.LastLogIndex), CommitIndex: raft.Index(s.CommitIndex),
	}
	if from == 0 && page.LastIndex > raft.Index(limit) {
		from = page.LastIndex - raft.Index(limit) + 1
	}
	from = max(from, page.FirstIndex, 1)
	entries, err := n.cfg.Storage.Range(from, limit)
	if err != nil {
		return LogPage{}, err
	}
	page.Entries = entries
	if len(entries) > 0 {
		page.LastIndex = max(page.LastIndex, entries[len(entries)-1].Index)
	}
	return page, nil
}
