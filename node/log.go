package node

import (
	"context"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Log returns a stretch of the replicated log as it stands on this node's disk: up to limit entries, from index
// from on, or the last ones if from is 0.
func (n *Node) Log(_ context.Context, from raft.Index, limit int) (LogPage, error) {
	s := n.Status()
	page := LogPage{FirstIndex: s.FirstIndex, LastIndex: s.LastLogIndex, CommitIndex: s.CommitIndex}
	if from == 0 {
		from = 1
		if s.LastLogIndex > raft.Index(limit) {
			from = s.LastLogIndex - raft.Index(limit) + 1
		}
	}
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
