package api

import "encoding/json"

// LogPage answers GET /api/logs?from=&limit=: a stretch of the replicated log as this node's disk has it. Without
// from it is the end of the log. It may be shorter than limit, which is cut to MaxLogEntries: a page ends early
// where the entries are large.
type LogPage struct {
	FirstIndex uint64 `json:"first_index"` // of the whole log
	// FirstIndexReason is why the log does not begin at 1; empty: it does.
	FirstIndexReason string     `json:"first_index_reason,omitempty"`
	LastIndex        uint64     `json:"last_index"` // of the whole log
	CommitIndex      uint64     `json:"commit_index"`
	Entries          []LogEntry `json:"entries"`
}

// LogEntry is one position of the log.
type LogEntry struct {
	Index     uint64          `json:"index"`
	Term      uint64          `json:"term"`
	Type      string          `json:"type"` // command or noop
	Command   json.RawMessage `json:"command"`
	Timestamp float64         `json:"timestamp"` // the proposer's clock, Unix seconds
}
