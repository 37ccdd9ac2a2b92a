package storage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// put replaces a file of a directory.
func put(tb testing.TB, dir, suffix string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, databaseName+suffix), data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func remove(tb testing.TB, dir string, suffixes ...string) {
	tb.Helper()
	for _, suffix := range suffixes {
		if err := os.Remove(filepath.Join(dir, databaseName+suffix)); err != nil {
			tb.Fatal(err)
		}
	}
}

func content(tb testing.TB, dir, suffix string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(dir, databaseName+suffix))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// aged is a directory at three times: after a clean stop, in an earlier round of the write-ahead log, and now, after
// a crash.
type aged struct {
	closed, earlier, now string
	want                 disk // its content now
}

func age(tb testing.TB) aged {
	tb.Helper()
	dir, want := filled(tb)
	a := aged{closed: crashImage(tb, dir)}
	d := mustOpen(tb, dir, small)
	save := func(term raft.Term, first, last raft.Index) {
		state, list := raft.HardState{Term: term, Vote: 1, Commit: first - 1}, entries(term, first, last)
		mustSave(tb, d, state, list)
		want = want.with(state, list)
	}
	save(4, 41, 60)
	a.earlier = crashImage(tb, dir)
	save(4, 61, 1000)
	if err := d.Checkpoint(); err != nil {
		tb.Fatal(err)
	}
	save(4, 1001, 1003)
	save(4, 1004, 1010)
	a.now, a.want = crashImage(tb, dir), want
	return a
}

// What a node saved is there at the next start, or the start is refused: a part of it looks whole, only older, and a
// node that starts from it votes twice and loses what it acknowledged.
func TestIncompleteDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	a := age(t)
	for name, change := range map[string]func(dir string){
		"raft.db alone":             func(dir string) { remove(t, dir, walSuffix, markSuffix) },
		"without the log":           func(dir string) { remove(t, dir, walSuffix) },
		"without the mark":          func(dir string) { remove(t, dir, markSuffix) },
		"empty log":                 func(dir string) { put(t, dir, walSuffix, nil) },
		"log of zeros":              func(dir string) { put(t, dir, walSuffix, make([]byte, 1<<16)) },
		"log cut after its header":  func(dir string) { put(t, dir, walSuffix, content(t, dir, walSuffix)[:walHeaderSize]) },
		"log of an earlier round":   func(dir string) { put(t, dir, walSuffix, content(t, a.earlier, walSuffix)) },
		"empty mark":                func(dir string) { put(t, dir, markSuffix, nil) },
		"mark of nonsense":          func(dir string) { put(t, dir, markSuffix, []byte("hello\n")) },
		"older raft.db, newer log":  func(dir string) { put(t, dir, "", content(t, a.earlier, "")) },
		"closed raft.db, newer log": func(dir string) { put(t, dir, "", content(t, a.closed, "")) },
		"older raft.db and log": func(dir string) {
			put(t, dir, "", content(t, a.earlier, ""))
			put(t, dir, walSuffix, content(t, a.earlier, walSuffix))
		},
		"closed raft.db, newer mark": func(dir string) {
			put(t, dir, "", content(t, a.closed, ""))
			remove(t, dir, walSuffix)
		},
		"closed raft.db, older log": func(dir string) {
			put(t, dir, "", content(t, a.closed, ""))
			put(t, dir, walSuffix, content(t, a.earlier, walSuffix))
			remove(t, dir, markSuffix)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashImage(t, a.now)
			change(dir)
			wantRefused(t, dir, ErrDamaged)
		})
	}
	wantDisk(t, mustRead(t, crashImage(t, a.now)), a.want)
}

// Any number of missing transactions at the end of the write-ahead log is detected, also if the cut is between two.
func TestShortenedWriteAheadLogIsRefused(t *testing.T) {
	t.Parallel()
	c := crash(t)
	last := len(c.ends) - 1
	for i, end := range c.ends[:last] {
		wantRefused(t, c.damaged(t, last, func(f *os.File) error { return f.Truncate(end) }), ErrIncomplete)
		wantRefused(t, c.damaged(t, last, func(f *os.File) error { return f.Truncate(end + 7) }), ErrIncomplete)
		// After a power loss the mark may be older than the log. Then it is a lower bound.
		wantDisk(t, mustRead(t, c.damaged(t, i, func(*os.File) error { return nil })), c.disks[last])
	}
}

// The error states what is missing, which files belong together, and what to do if they are lost.
func TestIncompleteDatabaseIsExplained(t *testing.T) {
	t.Parallel()
	a := age(t)
	for _, c := range []struct {
		without []string
		says    string
	}{
		{[]string{walSuffix}, "entry 1010 had been saved"},
		{[]string{walSuffix, markSuffix}, "raft.db-mark is missing"},
	} {
		dir := crashImage(t, a.now)
		remove(t, dir, c.without...)
		_, err := Open(dir, small)
		if err == nil {
			t.Fatal("it opened")
		}
		for _, part := range []string{c.says, "belong together", "put back", "backup", "as bad as an empty directory"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
	}
}

// Another program that opens the database after a crash, and is the last to close it, copies the write-ahead log into
// it and removes it, as sqlite3 does. Nothing is lost.
func TestDatabaseThatAnotherToolClosedOpens(t *testing.T) {
	t.Parallel()
	a := age(t)
	runSQL(t, filepath.Join(a.now, databaseName), "SELECT count(*) FROM logs")
	if _, err := os.Stat(filepath.Join(a.now, databaseName+walSuffix)); err == nil {
		t.Fatal("the write-ahead log is still there")
	}
	wantDisk(t, mustRead(t, a.now), a.want)
}

// A backup of a running node is one file, as after a clean stop. But the node continued to acknowledge and to vote.
func TestBackupOfARunningNodeIsRefused(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 4, Vote: 1, Commit: 40}, entries(4, 41, 50))
	backup := t.TempDir()
	if err := d.writer.exec(fmt.Sprintf("VACUUM INTO '%s'", filepath.Join(backup, databaseName))); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, backup, ErrIncomplete)
}

// A clean stop leaves everything in raft.db, which may be copied alone and opened elsewhere.
func TestCopyAfterACleanStopOpens(t *testing.T) {
	t.Parallel()
	dir, want := filled(t)
	copied := t.TempDir()
	put(t, copied, "", content(t, dir, ""))
	wantDisk(t, mustRead(t, copied), want)
}

// A crash may come between the creation of the files and the first save.
func TestCrashBeforeTheFirstSave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustOpen(t, dir, small)
	wantDisk(t, mustRead(t, crashImage(t, dir)), disk{})
	for at := 1; ; at++ { // and at any step of the creation
		dir := t.TempDir()
		f := &fault{at: at}
		d, err := Open(dir, Options{inject: f.inject, checkpointPages: 50})
		if err == nil {
			_ = d.Close() // the fault may occur here
			break
		}
		wantDisk(t, mustRead(t, dir), disk{})
	}
}

// T54: a page that a disk returns in an older version holds rows that were valid earlier. The digests of the log
// continue from row to row, so the old rows do not match those around them.
func TestStaleRowIsRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]raft.Index{"in the middle": 25, "last": 40} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := mustOpen(t, dir, small)
			mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 40))
			stale, err := d.reader.value(fmt.Sprintf(
				"SELECT quote(term) || ',' || quote(command) || ',' || quote(timestamp) || ',' || crc FROM logs WHERE id = %d",
				row))
			if err != nil {
				t.Fatal(err)
			}
			mustSave(t, d, raft.HardState{Term: 2}, entries(2, 20, 40))
			mustClose(t, d)
			runSQL(t, filepath.Join(dir, databaseName), fmt.Sprintf(
				"UPDATE logs SET (term, command, timestamp, crc) = (%v) WHERE id = %d", stale, row))
			wantRefused(t, dir, ErrDamaged)
		})
	}
}

// The chain continues from the entry before the replaced suffix, however long ago that was written.
func TestChainContinuesBeforeAReplacedSuffix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := disk{}
	for term, first := range map[raft.Term]raft.Index{2: 20, 3: 1, 4: 2, 5: 40} {
		d := mustOpen(t, dir, small)
		for _, step := range []struct {
			term        raft.Term
			first, last raft.Index
		}{{1, raft.Index(len(want.log)) + 1, raft.Index(len(want.log)) + 40}, {term, first, first + 3}} {
			list := entries(step.term, step.first, step.last)
			mustSave(t, d, raft.HardState{Term: 9}, list)
			want = want.with(raft.HardState{Term: 9}, list)
		}
		mustClose(t, d)
		wantDisk(t, mustRead(t, dir), want)
	}
}

// After kill -9 the commit index is the last one recorded, whether a save followed it or not: what contradicts it
// later is refused.
func TestCommitIndexOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	want := func(dir string, commit raft.Index) {
		t.Helper()
		if got := mustRead(t, dir).state.Commit; got != commit {
			t.Errorf("the commit index is %d, want %d", got, commit)
		}
	}
	for i := raft.Index(1); i <= 20; i++ {
		mustSave(t, d, raft.HardState{Term: 1, Vote: 1, Commit: i - 1}, entries(1, i, i))
	}
	want(crashImage(t, dir), 19)
	for _, commit := range []raft.Index{20, 7, 21} { // it never goes back, and never beyond what is saved
		if err := d.NoteCommit(commit); err != nil {
			t.Fatal(err)
		}
		want(crashImage(t, dir), 20)
	}
	if _, _, err := d.LoadLog(0, 0); err != nil { // what Open read
		t.Fatal(err)
	}
	if state, _, err := d.LoadLog(0, 0); err != nil || state.Commit != 20 {
		t.Errorf("LoadLog returns %+v, %v", state, err)
	}
	mustClose(t, d)
	want(dir, 20)
}

// A write of the mark that a power loss interrupts leaves the mark before.
func TestTornMark(t *testing.T) {
	t.Parallel()
	a := age(t)
	for slot := range markSlots {
		dir := crashImage(t, a.now)
		edit(t, filepath.Join(dir, databaseName+markSuffix), func(f *os.File) error {
			return flipBit(f, int64(slot)*markSlot+20)
		})
		wantDisk(t, mustRead(t, dir), a.want)
	}
}

// BenchmarkMark measures the cost of the mark per save.
func BenchmarkMark(b *testing.B) {
	d := mustOpen(b, b.TempDir(), small)
	mustSave(b, d, raft.HardState{Term: 7}, entries(7, 1, 100))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.marker.set(d.version, d.state, d.end); err != nil {
			b.Fatal(err)
		}
	}
}

// One sector of the mark may be lost, whatever it holds then: the other one counts.
func TestEitherLineOfTheMarkIsEnough(t *testing.T) {
	t.Parallel()
	a := age(t)
	for slot := range markSlots {
		for name, fill := range map[string]byte{"zeros": 0, "spaces": ' ', "newlines": '\n'} {
			lines := content(t, a.now, markSuffix)
			copy(lines[slot*markSlot:], bytes.Repeat([]byte{fill}, markSlot))
			dir := t.TempDir()
			put(t, dir, markSuffix, lines)
			m, err := readMark(filepath.Join(dir, databaseName+markSuffix))
			if err != nil || m == nil {
				t.Errorf("slot %d of %s: %v, %v, want the other line", slot, name, m, err)
			}
		}
	}
}
