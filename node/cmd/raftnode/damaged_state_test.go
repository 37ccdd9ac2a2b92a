package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A node whose state.db is damaged while it is down comes back by a snapshot, and serves every key as the others do
// (trap T54). The damaged file is kept, and the log and the vote stay.
func TestADamagedStateFileComesBackByASnapshot(t *testing.T) {
	t.Parallel()
	f := newFleet(t, func(f *fleet) {
		f.flags = []string{"--checkpoint-interval", "200ms", "--log-entries", "20"}
	})
	const keys = 600 // the log is cut by 256 entries at once
	f.leader()
	for n := range keys {
		f.until("a write", func() bool { return f.put(f.leader(), fmt.Sprint("key/", n), fmt.Sprint("value number ", n)) })
	}
	for name, damage := range map[string]func(t *testing.T, path string){
		"a flipped bit":    flipInValue,
		"garbage":          func(t *testing.T, path string) { spoilFile(t, path, bytes.Repeat([]byte{0xa5}, 1<<16)) },
		"a truncated file": func(t *testing.T, path string) { spoilFile(t, path, []byte("SQLite format 3\x00")) },
		"no file":          func(t *testing.T, path string) { spoilFile(t, path, nil) },
	} {
		victim := f.leader() // another one leads then
		f.untilCut(victim)
		if err := f.end(victim, syscall.SIGTERM); err != nil { // all that state.db has is in one file
			t.Fatalf("%s: it ended: %v", name, err)
		}
		before := f.lastIndex()
		damage(t, filepath.Join(f.data(victim), "state.db"))
		f.start(victim)
		f.until(name+": it is repaired", func() bool {
			return f.get(victim, "/readyz", new(string)) == nil
		})
		for n := range keys {
			path := fmt.Sprintf("/api/v1/kv/key/%d?consistency=stale", n)
			var value string
			if err := f.get(victim, path, &value); err != nil || value != fmt.Sprint("value number ", n) {
				t.Errorf("%s: key %d is %q, %v", name, n, value, err)
			}
		}
		if after := f.lastIndex(); after < before {
			t.Errorf("%s: the log ended at entry %d, and ends at %d", name, before, after)
		}
		kept, err := filepath.Glob(filepath.Join(f.data(victim), "state.db.damaged-*[0-9]"))
		if err != nil || name != "no file" && len(kept) != 1 {
			t.Errorf("%s: %v are kept, %v", name, kept, err)
		}
		// The log that /api/logs shows is cut before the one on the disk, which may have everything yet.
		log := f.logs[victim].String()
		if !strings.Contains(log, "was damaged on the disk") && !strings.Contains(log, "the checkpoint is damaged") {
			t.Errorf("%s: the log does not report it", name)
		}
	}
}

// untilCut waits until the log of a node does not begin at entry 1 any more.
func (f *fleet) untilCut(i int) {
	f.t.Helper()
	f.until("the log is cut", func() bool {
		var page struct {
			First uint64 `json:"first_index"`
		}
		return f.get(i, "/api/logs?limit=1", &page) == nil && page.First > 1
	})
}

// lastIndex returns the last index in the log of the leader.
func (f *fleet) lastIndex() (last uint64) {
	f.t.Helper()
	leader := f.leader()
	f.until("a status", func() bool {
		var page struct {
			Last uint64 `json:"last_index"`
		}
		err := f.get(leader, "/api/logs?limit=1", &page)
		last = page.Last
		return err == nil
	})
	return last
}

// flipInValue flips a bit of a value in a database without a write-ahead log.
func flipInValue(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte("value number 77"))
	if at < 0 {
		t.Fatalf("%s does not have the value", path)
	}
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// spoilFile replaces a database, and takes away what is beside it; nil: the file as well.
func spoilFile(t *testing.T, path string, content []byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if content == nil {
		return
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
