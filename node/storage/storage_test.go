package storage

import (
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// mustOpen opens a directory and closes it when the test ends.
func mustOpen(tb testing.TB, dir string, opts Options) *DB {
	tb.Helper()
	d, err := Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// entries makes the entries from first to last, in one term.
func entries(term raft.Term, first, last raft.Index) []raft.Entry {
	var list []raft.Entry
	for i := first; i <= last; i++ {
		list = append(list, raft.Entry{
			Index: i, Term: term, Timestamp: 1_700_000_000_000_000 + int64(i),
			Command: fmt.Appendf(nil, `{"op":"set","key":"k%d","value":"term %d"}`, i, term),
		})
	}
	return list
}

func mustSave(tb testing.TB, d *DB, state raft.HardState, list []raft.Entry) {
	tb.Helper()
	if err := d.Save(state, list); err != nil {
		tb.Fatal(err)
	}
}

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, raft.HardState{Term: 3, Vote: 2}, entries(3, 1, 40))
	mustSave(t, d, raft.HardState{Term: 4, Vote: 2, Commit: 5}, entries(4, 30, 35))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, dir, Options{})
	st, es, err := d.LoadLog()
	t.Log(st, len(es), err)
	es, err = d.Range(29, 3)
	t.Log(es, err)
}
