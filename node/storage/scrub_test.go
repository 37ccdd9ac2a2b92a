package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// scrub reads all of the checkpoint and of the log in parts of three rows.
func scrub(d *DB) (state, log error) {
	for next := ""; ; {
		if next, state = d.ScrubState(next, 3); state != nil || next == "" {
			break
		}
	}
	for from := raft.Index(1); ; {
		last, err := d.ScrubLog(from, 3)
		if err != nil || last < from {
			return state, err
		}
		from = last + 1
	}
}

// scrubbed returns an open directory whose files have all that was written, and whose write-ahead logs are empty.
func scrubbed(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t, t.TempDir(), small)
	for i := range 10 {
		m.do(fmt.Sprintf(`{"op":"put","key":"key/%02d","value":"value number %d"}`, i, i))
	}
	m.do(`{"op":"put","key":"key/07","value":"another value"}`)
	m.save()
	for _, c := range []*conn{m.d.checkpoint.writer, m.d.writer} {
		if err := c.exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// flip changes one letter of a text in a file that is open, wherever the text is.
func flip(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte(text))
	if at < 0 {
		t.Fatalf("%s does not have %q", path, text)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{text[0] ^ 1}, int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A bit that flips in a file while it is open is found: in a key's row, in the history, and in the log (trap S10).
// SQLite itself does not see it.
func TestAScrubFindsAFlippedBit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, text string
		state, log error
	}{
		"nothing":          {"", "", nil, nil},
		"a value":          {stateName, "value number 3", snapshot.ErrDamagedState, nil},
		"a past value":     {stateName, "value number 7", snapshot.ErrDamagedState, nil},
		"a command":        {databaseName, `value number 3"`, nil, snapshot.ErrDamagedLog},
		"the last command": {databaseName, `another value"`, nil, snapshot.ErrDamagedLog},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := scrubbed(t)
			if test.file != "" {
				flip(t, filepath.Join(m.dir, test.file), test.text)
			}
			state, log := scrub(m.d)
			if !errors.Is(state, test.state) || !errors.Is(log, test.log) {
				t.Errorf("found %v and %v; want %v and %v", state, log, test.state, test.log)
			}
		})
	}
}

// A whole checkpoint, in one transaction, replaces a damaged row, and the removal of entries a damaged one.
func TestWhatAScrubFoundIsRepaired(t *testing.T) {
	t.Parallel()
	m := scrubbed(t)
	flip(t, filepath.Join(m.dir, stateName), "value number 3")
	flip(t, filepath.Join(m.dir, databaseName), `value number 5"`)
	applied := m.store.Applied()
	at, err := m.d.ScrubLog(1, 100)
	if !errors.Is(err, snapshot.ErrDamagedLog) {
		t.Fatalf("the log: %v", err)
	}
	delta := kv.NewDelta(0)
	for m.store.Extend(delta, 100) {
	}
	if err := m.d.SaveState(snapshot.Checkpoint{Delta: delta}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // without a save in between, the second call removes them
		if _, err := m.d.Cut(min(at, raft.Index(applied)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if state, log := scrub(m.d); state != nil || log != nil {
		t.Errorf("after the repair: %v and %v", state, log)
	}
}
