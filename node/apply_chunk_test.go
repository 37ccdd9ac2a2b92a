package node

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// What is applied under one lock is bounded in entries and in bytes, and is never nothing.
func TestEntriesAreAppliedInShortChunks(t *testing.T) {
	t.Parallel()
	of := func(count, bytes int) []raft.Entry {
		entries := make([]raft.Entry, count)
		for i := range entries {
			entries[i].Command = make([]byte, bytes)
		}
		return entries
	}
	for name, c := range map[string]struct {
		entries []raft.Entry
		want    int
	}{
		"short ones":    {of(100, 10), applyChunk},
		"a few":         {of(3, 10), 3},
		"long ones":     {of(100, applyBytes/4), 4},
		"one very long": {of(100, 2*applyBytes), 1},
	} {
		if got := len(firstChunk(c.entries)); got != c.want {
			t.Errorf("%s: %d entries, want %d", name, got, c.want)
		}
	}
}
