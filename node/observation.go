package node

import "github.com/kontiki-dev/kontiki/node/raft"

// LogPage is a stretch of the replicated log as this node's disk has it.
type LogPage struct {
	FirstIndex  raft.Index // of the whole log
	LastIndex   raft.Index // of the whole log
	CommitIndex raft.Index
	Entries     []raft.Entry
}
