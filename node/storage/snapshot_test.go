package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// kept are options with which a copy is kept, as in production, and dropped those with which it is removed at once.
var (
	kept    = Options{checkpointPages: 50, snapshotGrace: time.Hour}
	dropped = Options{checkpointPages: 50, snapshotGrace: -1}
)

// sender returns a machine with a checkpoint.
func sender(tb testing.TB, opts Options) *machine {
	tb.Helper()
	m := newMachine(tb, tb.TempDir(), opts)
	random := rand.New(rand.NewPCG(5, 6))
	for range 120 {
		m.do(m.randomCommand(random))
	}
	m.save()
	return m
}

func mustSnapshot(tb testing.TB, d *DB) *Snapshot {
	tb.Helper()
	s, err := d.openSnapshot(1)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Release)
	return s
}

// send writes the rest of a snapshot, up to an offset, in parts.
func send(tb testing.TB, s *Snapshot, in *Incoming, upTo int64) {
	tb.Helper()
	for in.Offset() < upTo {
		at := in.Offset()
		part := make([]byte, min(10_000, upTo-at))
		if _, err := s.ReadAt(part, at); err != nil && !errors.Is(err, io.EOF) {
			tb.Fatal(err)
		}
		if err := in.Write(at, part); err != nil {
			tb.Fatal(err)
		}
	}
}

func mustReceive(tb testing.TB, d *DB, s *Snapshot) *Incoming {
	tb.Helper()
	in, err := d.receive(s.ID(), s.Size(), s.Sum())
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

// verified returns a snapshot that is received and verified.
func verified(tb testing.TB, s *Snapshot, d *DB) *Incoming {
	tb.Helper()
	in := mustReceive(tb, d, s)
	send(tb, s, in, s.Size())
	if _, _, _, err := in.Verify(); err != nil {
		tb.Fatal(err)
	}
	return in
}

// receiver returns a directory with a log of 150 entries in another term, of which so many are committed and in the
// checkpoint.
func receiver(tb testing.TB, commit raft.Index) string {
	tb.Helper()
	dir := tb.TempDir()
	d := mustOpen(tb, dir, small)
	mustSave(tb, d, raft.HardState{Term: 9, Vote: 2, Commit: commit}, entries(8, 1, 150))
	mustSaveState(tb, d, commit)
	mustClose(tb, d)
	return dir
}

// wantInstalled checks that a directory holds what a machine's snapshot holds, and nothing else.
func wantInstalled(t *testing.T, dir string, m *machine) {
	t.Helper()
	wantState(t, dir, m.store)
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, d)
	state, log, err := d.LoadLog(m.last, 0)
	if err != nil || state.Commit != m.last || len(log.Entries) != 0 || log.Removed != m.last ||
		!reflect.DeepEqual(log.Start, m.d.checkpoint.meta.position) {
		t.Errorf("the log is %+v, with commit index %d, %v", log, state.Commit, err)
	}
	if state.Term != 9 || state.Vote != 2 {
		t.Errorf("term and vote are %+v", state)
	}
	mustSave(t, d, state, entries(9, m.last+1, m.last+5))
}

// T31, T33, T34: a snapshot carries the state, its position with the seats, and the facts. It replaces a log that does
// not hold its position.
func TestASnapshotReplacesTheStateAndTheLog(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	saved := m.d.checkpoint.meta.position
	if !strings.HasPrefix(s.ID(), fmt.Sprint(m.last, "-")) || !reflect.DeepEqual(s.Position(), saved) {
		t.Errorf("the snapshot %s is of %+v", s.ID(), s.Position())
	}
	dir := receiver(t, 40)
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	in := mustReceive(t, d, s)
	send(t, s, in, s.Size())
	store, position, facts, err := in.Verify()
	if err != nil || store.Digest() != m.store.Digest() || !reflect.DeepEqual(position, s.Position()) ||
		facts["cluster_id"] != "c-1" || len(facts) != 2 || len(position.Seats) != 1 {
		t.Fatalf("%+v, %v, %v", position, facts, err)
	}
	if got, err := d.LoadState(); err != nil || got.Applied() != 40 {
		t.Errorf("before the installation the checkpoint is of %d, %v", got.Applied(), err)
	}
	if err := in.Install(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Range(1, 10); err != nil {
		t.Error(err)
	}
	image := crashImage(t, dir)
	mustClose(t, d)
	wantInstalled(t, image, m)
	wantInstalled(t, dir, m)
	if left, err := os.ReadDir(filepath.Join(dir, snapshotsName)); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// T31: if the log holds the position of the snapshot, the entries behind it stay: they may be acknowledged.
func TestASnapshotKeepsTheEntriesBehindIt(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	_, log, err := m.d.LoadLog(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 9, Vote: 2, Commit: 40}, log.Entries)
	mustSave(t, d, raft.HardState{Term: 9, Vote: 2, Commit: 40}, entries(9, m.last+1, m.last+7))
	if err := verified(t, s, d).Install(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*DB{d, mustOpen(t, crashImage(t, dir), small)} {
		state, log, err := d.LoadLog(m.last, 0)
		if err != nil || state.Commit != m.last || len(log.Entries) != 7 || log.Removed != m.last {
			t.Errorf("the commit index is %d, %d entries are left, %d are removed, %v", state.Commit, len(log.Entries),
				log.Removed, err)
		}
		mustSave(t, d, raft.HardState{Term: 9, Vote: 2}, entries(9, m.last+8, m.last+9))
	}
}

// T32: no snapshot takes this node back.
func TestAnEarlierSnapshotIsNotInstalled(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	for commit, checkpoint := range map[raft.Index]raft.Index{130: 10, 120: 120} {
		d := mustOpen(t, receiver(t, checkpoint), small)
		if err := d.NoteCommit(commit); err != nil {
			t.Fatal(err)
		}
		err := verified(t, s, d).Install()
		if err == nil || !strings.Contains(err.Error(), "T32") {
			t.Errorf("with commit index %d and a checkpoint of %d: %v", commit, checkpoint, err)
		}
		if got, err := d.LoadState(); err != nil || got.Applied() != uint64(checkpoint) {
			t.Errorf("the checkpoint is of %d, %v", got.Applied(), err)
		}
		mustSave(t, d, raft.HardState{Term: 10, Commit: commit}, nil)
	}
}

// T34, T36: a snapshot that is not what was sent is not installed, whatever is wrong with it, and is received again.
func TestADamagedSnapshotIsNotInstalled(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	good := make([]byte, s.Size())
	if _, err := s.ReadAt(good, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	d := mustOpen(t, receiver(t, 40), small)
	in := mustReceive(t, d, s)
	for offset := int64(0); offset < s.Size(); offset += 4099 * thinned {
		bad := bytes.Clone(good)
		bad[offset] ^= 4
		if err := in.Write(0, bad); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := in.Verify(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("with a flipped bit in byte %d: %v", offset, err)
		}
		if err := in.Install(); err == nil || in.Offset() != 0 {
			t.Fatalf("a damaged snapshot is installed, with offset %d", in.Offset())
		}
	}
	send(t, s, in, s.Size())
	if _, _, _, err := in.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := in.Install(); err != nil {
		t.Error(err)
	}
}

// T34: the hash is right, and the file is none, or its rows are wrong: the sender's disk was damaged.
func TestASnapshotOfDamageIsNotInstalled(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	good := make([]byte, s.Size())
	if _, err := s.ReadAt(good, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.db")
	for name, change := range map[string]func() []byte{
		"no database": func() []byte { return []byte("not a database") },
		"half of it":  func() []byte { return good[:len(good)/2] },
		"another row": func() []byte {
			runSQL(t, other, `UPDATE kv SET version = version + 1`)
			changed, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			return changed
		},
		"a broken index": func() []byte { return withBrokenIndex(t, other) },
		"a checkpoint of nothing": func() []byte {
			empty := filepath.Join(t.TempDir(), "empty.db")
			if err := createWhole(empty, statePragmas, stateCreation(), nil); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(empty)
			if err != nil {
				t.Fatal(err)
			}
			return data
		},
		"a raft.db": func() []byte {
			raftFile, err := os.ReadFile(filepath.Join(receiver(t, 7), databaseName))
			if err != nil {
				t.Fatal(err)
			}
			return raftFile
		},
	} {
		if err := os.WriteFile(other, good, 0o600); err != nil {
			t.Fatal(err)
		}
		bad := change()
		d := mustOpen(t, receiver(t, 40), small)
		in, err := d.receive("bad", int64(len(bad)), sha(bad))
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Write(0, bad); err != nil {
			t.Fatal(err)
		}
		_, _, _, err = in.Verify()
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotDatabase) {
			t.Errorf("%s: %v", name, err)
		}
		if err := in.Install(); err == nil {
			t.Errorf("%s is installed", name)
		}
	}
}

// withBrokenIndex returns a copy of a checkpoint in which an index of SQLite has another key than the row. All rows are
// as they were written.
func withBrokenIndex(t *testing.T, path string) []byte {
	t.Helper()
	c, err := connect(path, "immutable", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.value(`SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_meta_1'`)
	if err = errors.Join(err, c.close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := page.(int64)
	start := int(number-1) * pageSize
	at := bytes.Index(data[start:start+pageSize], []byte("applied_index"))
	if at < 0 {
		t.Fatal("the index has no such key")
	}
	data[start+at] ^= 1
	return data
}

// T36: parts may come twice, and overlap. None may be missing.
func TestThePartsOfASnapshot(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	d := mustOpen(t, receiver(t, 40), small)
	in := mustReceive(t, d, s)
	part := make([]byte, 1000)
	if _, err := s.ReadAt(part, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset int64
		part   []byte
		want   int64
		failed bool
	}{
		{500, part[500:], 0, true},
		{0, part[:600], 600, false},
		{0, part[:600], 600, false},
		{0, part[:100], 600, false},
		{300, part[300:800], 800, false},
		{900, part[900:], 800, true},
		{800, nil, 800, false},
		{-1, part, 800, true},
		{s.Size() - 1, part, 800, true},
		{s.Size() + 1, nil, 800, true},
		{1 << 62, part, 800, true},
	} {
		err := in.Write(c.offset, c.part)
		if (err != nil) != c.failed || in.Offset() != c.want {
			t.Errorf("%d bytes at %d: offset %d, %v", len(c.part), c.offset, in.Offset(), err)
		}
		if gap := c.offset > 0 && c.offset < 1000; c.failed && errors.Is(err, ErrSnapshotGap) != gap {
			t.Errorf("%d bytes at %d: %v", len(c.part), c.offset, err)
		}
	}
	if _, _, _, err := in.Verify(); err == nil {
		t.Error("a part of a snapshot is verified")
	}
	send(t, s, in, s.Size())
	if _, _, _, err := in.Verify(); err != nil {
		t.Error(err)
	}
}

// T36: after a restart of the receiver the reception goes on where it was, if the snapshot is the same.
func TestAReceptionGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	dir := receiver(t, 40)
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	first := mustReceive(t, d, s)
	send(t, s, first, 30_000)
	again := mustReceive(t, d, s) // the sender began anew
	if again.Offset() != 30_000 || first.Write(30_000, []byte("x")) == nil {
		t.Errorf("the offset is %d, and the first reception goes on", again.Offset())
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)

	d = mustOpen(t, dir, small)
	in := mustReceive(t, d, s)
	if in.Offset() != 30_000 {
		t.Errorf("after a restart the offset is %d", in.Offset())
	}
	other, err := d.receive(s.ID(), s.Size()+1, s.Sum())
	if err != nil || other.Offset() != 0 {
		t.Errorf("another snapshot goes on at %d, %v", other.Offset(), err)
	}
	names, err := os.ReadDir(filepath.Join(dir, snapshotsName))
	if err != nil || len(names) != 1 {
		t.Errorf("%v are there, %v", names, err)
	}
	in = mustReceive(t, d, s) // the file of the other one took its place
	if in.Offset() != 0 {
		t.Errorf("the offset is %d", in.Offset())
	}
	send(t, s, in, s.Size())
	if _, _, _, err := in.Verify(); err != nil {
		t.Error(err)
	}
}

// T37, T57: every step of an installation is made to fail in turn. The next start finds the old state with the old log,
// or the new state with the new log, and nothing of one with the other.
func TestAnInstallationThatFails(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	source := receiver(t, 40)
	old := mustRead(t, source)
	for _, answered := range []bool{false, true} {
		for at := 1; ; at++ {
			f := &fault{answered: answered}
			dir := crashImage(t, source)
			d, err := Open(dir, Options{inject: f.inject, checkpointPages: 50})
			if err != nil {
				t.Fatal(err)
			}
			in := verified(t, s, d)
			f.at = f.calls + at
			err = in.Install()
			f.at = 0
			if f.struck == "" {
				mustClose(t, d)
				if err != nil || at < 20 {
					t.Errorf("%d calls failed, and then: %v", at-1, err)
				}
				break
			}
			wantInjected(t, f, "install", err)
			wantSameForAll(t, d, err)
			image := crashImage(t, dir)
			_ = d.Close() // returns the failure again
			for _, dir := range []string{image, dir} {
				d, err := Open(dir, small)
				if err != nil {
					t.Fatalf("%s failed, and then: %v", f.struck, err)
				}
				applied := raft.Index(d.checkpointed.Load())
				if _, log, err := d.LoadLog(0, 0); err != nil || applied == 40 && !(disk{old.state, log.Entries}).equal(old) {
					t.Fatalf("%s failed, and the log ends at %d, %v", f.struck, log.Last(), err)
				}
				mustClose(t, d)
				if applied != 40 {
					wantInstalled(t, dir, m)
				}
			}
		}
	}
}

func TestCopiesAreShared(t *testing.T) { // T36: the sender keeps one snapshot until it is done
	t.Parallel()
	m := sender(t, kept)
	first, second := mustSnapshot(t, m.d), mustSnapshot(t, m.d)
	if first.ID() != second.ID() || first.copy != second.copy {
		t.Error("two followers at once get two copies")
	}
	m.do(`{"op":"set","key":"late","value":1}`)
	m.save()
	if third, err := m.d.openSnapshot(m.last - 1); err != nil || third.copy != first.copy {
		t.Errorf("a follower that can go on from the copy gets another one, %v", err)
	} else {
		third.Release()
	}
	if _, err := m.d.openSnapshot(m.last); !errors.Is(err, ErrSnapshotBusy) {
		t.Errorf("a copy replaces one that is in use: %v", err)
	}
	first.Release()
	first.Release() // counts once
	if _, err := m.d.openSnapshot(m.last); !errors.Is(err, ErrSnapshotBusy) {
		t.Errorf("a copy replaces one that is in use: %v", err)
	}
	second.Release()
	later, err := m.d.openSnapshot(m.last)
	if err != nil || later.Position().Index != m.last || later.ID() == second.ID() {
		t.Fatalf("the later copy is of %d, %v", later.Position().Index, err)
	}
	names, err := os.ReadDir(filepath.Join(m.dir, snapshotsName))
	if err != nil || len(names) != 1 {
		t.Errorf("%v are there, %v", names, err)
	}
	if _, err := m.d.openSnapshot(m.last + 1); err == nil || errors.Is(err, ErrSnapshotBusy) {
		later.Release()
	}
	if _, err := m.d.openSnapshot(m.last + 1); err == nil {
		t.Error("a snapshot includes an entry that the checkpoint does not")
	}
	mustClose(t, m.d)
	if names, err := os.ReadDir(filepath.Join(m.dir, snapshotsName)); err != nil || len(names) != 0 {
		t.Errorf("%v are left, %v", names, err)
	}
}

// H1: neither a save nor a reader of the log waits while a copy is made. A tool that reads state.db meanwhile does not
// keep changes out of the copy.
func TestASaveDoesNotWaitForACopy(t *testing.T) {
	t.Parallel()
	var m *machine
	saves := 0
	opts := kept
	opts.inject = func(statement string, call func() error) error {
		if statement == "copy" && saves < 3 {
			saves++
			mustSave(t, m.d, raft.HardState{Term: 1, Vote: 1}, entries(1, m.last+1, m.last+1))
			m.last++
		}
		return call()
	}
	m = newMachine(t, t.TempDir(), opts)
	m.do(`{"op":"set","key":"a","value":1}`)
	m.save()
	c, err := connect(filepath.Join(m.dir, stateName), "ro", nil, nil)
	if err == nil {
		err = errors.Join(c.exec("BEGIN"), c.exec("SELECT * FROM kv"))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.close() //nolint:errcheck // it only read
	for i := range 30 {
		m.do(fmt.Sprintf(`{"op":"put","key":"k%d","value":"%s"}`, i, strings.Repeat("v", 30_000)))
	}
	m.save()
	applied := m.last
	s := mustSnapshot(t, m.d)
	if saves != 3 {
		t.Errorf("%d saves during the copy", saves)
	}
	d := mustOpen(t, t.TempDir(), small)
	in := mustReceive(t, d, s)
	send(t, s, in, s.Size())
	store, _, _, err := in.Verify()
	if err != nil || store.Digest() != m.store.Digest() || store.Applied() != uint64(applied) {
		t.Errorf("the copy is of %d, %v", store.Applied(), err)
	}
}

// An empty node gets its state from a snapshot, as a restored one does.
func TestASnapshotIntoAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	dir := t.TempDir()
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, raft.HardState{Term: 9, Vote: 2}, nil)
	if err := verified(t, mustSnapshot(t, m.d), d).Install(); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveState(snapshot.Checkpoint{Delta: m.store.Delta(uint64(m.last))}); err != nil {
		t.Error(err)
	}
	m.save()
	mustClose(t, d)
	wantState(t, dir, m.store)
}

func TestADiscardedSnapshotLeavesNoFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), Options{})
	d := m.d
	in, err := d.receive("gone", 100, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Write(0, []byte("some of it")); err != nil {
		t.Fatal(err)
	}
	if err := in.Discard(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(d.snapshots.path("*")); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if err := in.Discard(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// A leader that was sending a copy may lose the leadership and receive a snapshot: the copy stays until its last use.
func TestReceivingASnapshotKeepsTheCopyThatIsSent(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	in, err := m.d.receive("another", 100, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.d.snapshots.path(copyName)); err != nil {
		t.Errorf("the copy: %v", err)
	}
	s.Release()
	mustClose(t, m.d)
}
