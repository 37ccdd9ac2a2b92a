package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// mustOpen opens a directory and closes it when the test ends.
func mustOpen(tb testing.TB, dir string, opts Options) *DB {
	tb.Helper()
	d, err := Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { mustClose(tb, d) })
	return d
}

func mustClose(tb testing.TB, d *DB) {
	tb.Helper()
	if err := d.Close(); err != nil {
		tb.Error(err)
	}
}

func mustSave(tb testing.TB, d *DB, state raft.HardState, list []raft.Entry) {
	tb.Helper()
	if err := d.Save(state, list); err != nil {
		tb.Fatal(err)
	}
}

// entries returns the entries from first to last, in one term. Index and term determine the content of an entry.
func entries(term raft.Term, first, last raft.Index) []raft.Entry {
	var list []raft.Entry
	for i := first; i <= last; i++ {
		list = append(list, raft.Entry{
			Index: i, Term: term, Timestamp: 1_700_000_000_000_000 + int64(i)*1_000_003,
			Command: fmt.Appendf(nil, `{"op":"set","key":"k%d","value":"of term %d"}`, i, term),
		})
	}
	return list
}

// small are options with a short write-ahead log, which is quick to create.
var small = Options{checkpointPages: 50}

// disk is the expected content of a raft.db: its first entry is the first that was not removed.
type disk struct {
	state raft.HardState
	log   []raft.Entry
}

// with returns the disk after a Save.
func (m disk) with(state raft.HardState, list []raft.Entry) disk {
	log := m.log
	if len(list) > 0 {
		kept := list[0].Index - 1
		if len(m.log) > 0 {
			kept = list[0].Index - m.log[0].Index
		}
		log = append(append([]raft.Entry(nil), m.log[:kept]...), list...)
	}
	return disk{state, log}
}

// cut returns the disk after a Cut, which leaves at least one entry.
func (m disk) cut(to raft.Index) disk {
	return disk{m.state, m.log[to+1-m.log[0].Index:]}
}

// mustCut removes the entries up to an index, after a checkpoint that holds their effect.
func mustCut(tb testing.TB, d *DB, to raft.Index) {
	tb.Helper()
	if err := cutTo(d, to); err != nil {
		tb.Fatal(err)
	}
}

// cutTo removes the entries up to an index, after a checkpoint that includes them.
func cutTo(d *DB, to raft.Index) error {
	if err := saveStateAt(d, to); err != nil {
		return err
	}
	return cutAlone(d, to, nil)
}

// cutAlone removes the entries up to an index without saves.
func cutAlone(d *DB, to raft.Index, seats []raft.Seat) error {
	for {
		if waits, err := d.Cut(to, seats, raft.Configuration{}); err != nil || !waits {
			return err
		}
	}
}

// saveStateAt saves a checkpoint of no keys, unless there is one at or after an index.
func saveStateAt(d *DB, applied raft.Index) error {
	since := d.checkpointed.Load()
	if uint64(applied) <= since {
		return nil
	}
	return d.SaveState(snapshot.Checkpoint{Delta: &kv.Delta{Since: since, Meta: kv.Meta{Applied: uint64(applied)}}})
}

func mustSaveState(tb testing.TB, d *DB, applied raft.Index) {
	tb.Helper()
	if err := saveStateAt(d, applied); err != nil {
		tb.Fatal(err)
	}
}

// equal reports whether a disk holds what was written to it. Its commit index may lag.
func (m disk) equal(other disk) bool {
	state := m.state
	if state.Commit < other.state.Commit {
		state.Commit = other.state.Commit
	}
	return state == other.state && len(m.log) == len(other.log) &&
		(len(m.log) == 0 || reflect.DeepEqual(m.log, other.log))
}

func (m disk) String() string {
	if len(m.log) == 0 {
		return fmt.Sprintf("%+v, no entries", m.state)
	}
	last := m.log[len(m.log)-1]
	return fmt.Sprintf("%+v, %d entries, the last of term %d: %s", m.state, len(m.log), last.Term, last.Command)
}

// read opens a directory, reads everything and closes it.
func read(dir string) (disk, error) {
	d, err := Open(dir, small)
	if err != nil {
		return disk{}, err
	}
	state, log, err := d.LoadLog(0, 0)
	return disk{state, log.Entries}, errors.Join(err, d.Close())
}

func mustRead(tb testing.TB, dir string) disk {
	tb.Helper()
	got, err := read(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func wantDisk(tb testing.TB, got, want disk) {
	tb.Helper()
	if !got.equal(want) {
		tb.Fatalf("the disk holds\n  %v\nand should hold\n  %v", got, want)
	}
}

// crashImage copies the current content of a directory, as a power loss would leave it.
func crashImage(tb testing.TB, dir string) string {
	tb.Helper()
	image := tb.TempDir()
	for _, name := range []string{
		databaseName, databaseName + walSuffix, databaseName + markSuffix, stateName, stateName + walSuffix,
		filepath.Join(snapshotsName, pendingName),
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		target := filepath.Join(image, name)
		err = errors.Join(os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, data, 0o600))
		if err != nil {
			tb.Fatal(err)
		}
	}
	return image
}

// files reads all files in a directory that hold data.
func files(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	all := make(map[string][]byte)
	list, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range list {
		if f.Name() == lockName || filepath.Ext(f.Name()) == ".db-shm" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		all[f.Name()] = data
	}
	return all
}

// wantRefused opens a directory, and checks for a certain error that names the file, and that no file was changed.
func wantRefused(tb testing.TB, dir string, want error) {
	tb.Helper()
	before := files(tb, dir)
	d, err := Open(dir, Options{})
	if err == nil {
		mustClose(tb, d)
		tb.Fatalf("it opened; want: %v", want)
	}
	if !errors.Is(err, want) {
		tb.Fatalf("the error is: %v\nwant: %v", err, want)
	}
	if !bytes.Contains([]byte(err.Error()), []byte(dir)) {
		tb.Errorf("the error does not name the file: %v", err)
	}
	for name, data := range before {
		if !bytes.Equal(files(tb, dir)[name], data) {
			tb.Errorf("%s was changed", name)
		}
	}
	tb.Log(err)
}

// edit changes a file's bytes in place.
func edit(tb testing.TB, path string, change func(f *os.File) error) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(change(f), f.Close()); err != nil {
		tb.Fatal(err)
	}
}

// flipBit inverts one bit.
func flipBit(f io.ReadWriteSeeker, offset int64) error {
	var b [1]byte
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	if _, err := f.Read(b[:]); err != nil {
		return err
	}
	b[0] ^= 0x10
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err := f.Write(b[:])
	return err
}

// runSQL changes a closed database from outside.
func runSQL(tb testing.TB, path string, statements ...string) {
	tb.Helper()
	c, err := connect(path, "rwc", commonPragmas, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range statements {
		if err := c.exec(s); err != nil {
			tb.Fatal(s, err)
		}
	}
	if err := c.close(); err != nil {
		tb.Fatal(err)
	}
}
