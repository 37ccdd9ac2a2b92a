package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	if err := m.d.SaveState(m.whole()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // without a save in between, the second call removes them
		if _, err := m.d.Cut(min(at, raft.Index(applied)), nil, raft.Configuration{}); err != nil {
			t.Fatal(err)
		}
	}
	if state, log := scrub(m.d); state != nil || log != nil {
		t.Errorf("after the repair: %v and %v", state, log)
	}
}

// whole returns a checkpoint of everything.
func (m *machine) whole() snapshot.Checkpoint {
	delta := kv.NewDelta(0)
	for m.store.Extend(delta, 100) {
	}
	return snapshot.Checkpoint{Delta: delta}
}

// zeroPage overwrites the page of a file that has a text with zeros.
func zeroPage(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(bytes.Index(content, []byte(text)))
	if at < 0 {
		t.Fatalf("%s does not have %q", path, text)
	}
	edit(t, path, func(f *os.File) error {
		_, err := f.WriteAt(make([]byte, pageSize), at/pageSize*pageSize)
		return err
	})
}

// A page that SQLite cannot read is damage as a row is (trap S10), found by a scrub or by a checkpoint. What replaces
// the file does not need it, whatever it holds, and the file is kept.
func TestAPageThatCannotBeReadIsRepaired(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, path string){
		"a page of a table": func(t *testing.T, path string) { zeroPage(t, path, "value number 3") },
		"everything": func(t *testing.T, path string) {
			edit(t, path, func(f *os.File) error {
				_, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 8*pageSize), 0)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := scrubbed(t)
			m.do(`{"op":"put","key":"key/30","value":"later"}`)
			damage(t, filepath.Join(m.dir, stateName))
			if found, _ := scrub(m.d); !errors.Is(found, snapshot.ErrDamagedState) {
				t.Fatalf("found %v", found)
			}
			m.wantRewritten()
		})
	}
}

// A checkpoint finds damage too, and does not forget it. Only a checkpoint of everything follows.
func TestACheckpointFindsDamage(t *testing.T) { // T53, S10
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, path string){
		"a page": func(t *testing.T, path string) { zeroPage(t, path, "value number 3") },
		"a version that asks for a later SQLite": func(t *testing.T, path string) {
			edit(t, path, func(f *os.File) error {
				_, err := f.WriteAt([]byte{9}, 18)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := scrubbed(t)
			mustClose(t, m.d)
			damage(t, filepath.Join(m.dir, stateName))
			m.d = mustOpen(t, m.dir, small)
			m.do(`{"op":"put","key":"key/03","value":"later"}`)
			for range 2 {
				if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, snapshot.ErrDamagedState) {
					t.Fatalf("found %v", err)
				}
			}
			m.wantRewritten()
		})
	}
}

// wantRewritten has the checkpoint rewritten, and checks that the next one continues it.
func (m *machine) wantRewritten() {
	t := m.tb.(*testing.T)
	t.Helper()
	if err := m.d.SaveState(m.whole()); err != nil {
		t.Fatal(err)
	}
	m.store.Checkpointed(m.store.Applied())
	if state, _ := scrub(m.d); state != nil {
		t.Errorf("after the repair: %v", state)
	}
	if kept := keptAside(t, m.dir); len(kept) != 1 || !strings.HasPrefix(kept[0], damagedPrefix) {
		t.Errorf("the files that are kept are %v", kept)
	}
	m.do(`{"op":"put","key":"key/31","value":"behind it"}`)
	m.save()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// T37, T53: every call of a rewrite is made to fail. The next start has the state before or after it, and the log that
// belongs to it.
func TestARewriteThatFails(t *testing.T) {
	t.Parallel()
	m := scrubbed(t)
	before := newMachine(t, crashImage(t, m.dir), small)
	m.do(`{"op":"put","key":"key/30","value":"later"}`)
	for _, answered := range []bool{false, true} {
		for at := 1; ; at++ {
			f := &fault{answered: answered}
			dir := crashImage(t, m.dir)
			d, err := Open(dir, Options{inject: f.inject})
			if err != nil {
				t.Fatal(err)
			}
			f.at = f.calls + at
			err = d.SaveState(m.whole())
			f.at = 0
			image := crashImage(t, dir)
			_ = d.Close()
			wantState(t, image, before.store, m.store)
			if f.struck == "" {
				if err != nil || at < 20 {
					t.Errorf("%d calls failed, and then: %v", at-1, err)
				}
				break
			}
		}
	}
}
