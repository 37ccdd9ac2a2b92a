package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// wantUnusable checks that a directory opens whose checkpoint cannot be used: nothing of that file is changed, nothing
// is read from it, and it can be set aside, also twice. The log is as it was.
func wantUnusable(t *testing.T, dir string, want error) {
	t.Helper()
	before, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for round := range 2 { // the second one after a crash
		d, err := Open(dir, small)
		if err != nil {
			t.Fatalf("round %d: %v; want: %v", round, err, want)
		}
		if _, err := d.LoadState(); !errors.Is(err, snapshot.ErrDamagedState) || !errors.Is(err, want) && round == 0 {
			t.Fatalf("round %d: the state: %v; want: %v", round, err, want)
		}
		if err := d.SaveState(snapshot.Checkpoint{Delta: kv.NewDelta(1)}); !errors.Is(err, snapshot.ErrDamagedState) {
			t.Errorf("round %d: a checkpoint continues it: %v", round, err)
		}
		if _, err := d.OpenSnapshot(1); err == nil {
			t.Errorf("round %d: a snapshot of it is sent", round)
		}
		if now, _ := os.ReadFile(filepath.Join(dir, stateName)); round == 0 && string(now) != string(before) {
			t.Errorf("the file was changed")
		}
		state, log, err := d.LoadLog(0, 0)
		if err != nil || log.Last() < state.Commit {
			t.Errorf("round %d: the log ends at entry %d of %d, %v", round, log.Last(), state.Commit, err)
		}
		if err := d.SetStateAside(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if kept := keptAside(t, dir); round == 0 && len(before) > 0 && len(kept) != 1 {
			t.Errorf("the files that are kept are %v", kept)
		}
		dir = crashImage(t, dir)
		mustClose(t, d)
		if _, err := os.Stat(filepath.Join(dir, stateName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("round %d: state.db: %v", round, err)
		}
		if log.Start.Index == 0 {
			return // the log is the whole state
		}
	}
}

// keptAside returns the names of the databases that are kept aside.
func keptAside(t *testing.T, dir string) (kept []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, stateName+".") && !strings.HasSuffix(name, walSuffix) && !strings.HasSuffix(name, "-shm") {
			kept = append(kept, name)
		}
	}
	return kept
}

// overwrite writes zeros over a part of the file of a checkpoint.
func overwrite(t *testing.T, dir string, from, to int64) {
	t.Helper()
	edit(t, filepath.Join(dir, stateName), func(f *os.File) error {
		_, err := f.WriteAt(make([]byte, to-from), from)
		return err
	})
}

// cutState returns a closed directory whose log starts behind entry 20, and has entries behind the checkpoint.
func cutState(t *testing.T) string {
	t.Helper()
	m := newMachine(t, t.TempDir(), small)
	for i := range 30 {
		m.do(fmt.Sprintf(`{"op":"put","key":"key/%02d","value":"value number %d"}`, i, i))
	}
	m.save()
	for range 2 {
		if _, err := m.d.Cut(20, nil, raft.Configuration{}); err != nil {
			t.Fatal(err)
		}
	}
	m.do(`{"op":"put","key":"late","value":"1"}`)
	mustClose(t, m.d)
	return m.dir
}

// T54: whatever is damaged in the file of the checkpoint, the log opens without it.
func TestADamagedCheckpointIsSetAside(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, dir string){
		"a flipped bit": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, stateName), "value number 7") },
		"a header":      func(t *testing.T, dir string) { overwrite(t, dir, 0, 100) },
		"a page":        func(t *testing.T, dir string) { overwrite(t, dir, pageSize, 2*pageSize) },
		"five pages": func(t *testing.T, dir string) {
			overwrite(t, dir, pageSize, 6*pageSize)
		},
		"a missing table": func(t *testing.T, dir string) { runSQL(t, filepath.Join(dir, stateName), "DROP TABLE history") },
		"a truncated file": func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, stateName), func(f *os.File) error { return f.Truncate(3 * pageSize / 2) })
		},
		"an empty file": func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, stateName), func(f *os.File) error { return f.Truncate(0) })
		},
		"no file": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, stateName)); err != nil {
				t.Fatal(err)
			}
		},
		"a snapshot that was about to be installed": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, snapshotsName), pendingName, []byte("damaged"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashImage(t, cutState(t))
			if err := os.MkdirAll(filepath.Join(dir, snapshotsName), directoryMode); err != nil {
				t.Fatal(err)
			}
			damage(t, dir)
			wantUnusable(t, dir, snapshot.ErrDamagedState)
		})
	}
}

// A sector that cannot be read is damage. A file that this user may not read, or that is locked, is not.
func TestWhatCountsAsDamageOfTheCheckpoint(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		nil: false, ErrDamaged: true, ErrNotDatabase: true, ErrNewerFormat: false, ErrForeignFile: false, ErrDiskFull: false,
		errors.New("another"):                         false,
		&codeError{code: sqlite3.SQLITE_CORRUPT}:      true,
		&codeError{code: sqlite3.SQLITE_NOTADB}:       true,
		&codeError{code: sqlite3.SQLITE_IOERR_READ}:   true,
		&codeError{code: sqlite3.SQLITE_IOERR_FSYNC}:  false,
		&codeError{code: sqlite3.SQLITE_BUSY}:         false,
		&codeError{code: sqlite3.SQLITE_CANTOPEN}:     false,
		&codeError{code: sqlite3.SQLITE_FULL}:         false,
		fmt.Errorf("a file: %w", snapshot.ErrNoRoom):  false,
		fmt.Errorf("a file: %w", ErrIncomplete):       true,
		&codeError{code: sqlite3.SQLITE_IOERR_UNLOCK}: false,
	} {
		if got := isDamage(err, filepath.Join(t.TempDir(), stateName)); got != want {
			t.Errorf("%v is damage: %v", err, got)
		}
	}
}

// A damaged file is replaced by the snapshot of another member, also one that ends before the last entry (trap T32),
// and the fact is gone with it. One damaged file is kept.
func TestASnapshotReplacesADamagedCheckpoint(t *testing.T) {
	t.Parallel()
	early := mustSnapshot(t, scrubbed(t).d)
	m := scrubbed(t)
	m.do(`{"op":"put","key":"key/20","value":"later"}`)
	m.save()
	dir := crashImage(t, m.dir)
	overwrite(t, dir, 0, pageSize)
	write(t, dir, asidePrefix+"3", []byte("an earlier one"))
	d := mustOpen(t, dir, small)
	if _, err := d.LoadState(); !errors.Is(err, snapshot.ErrDamagedState) {
		t.Fatal(err)
	}
	err := d.SaveFacts(map[string]string{snapshot.FactStateDiffers: "1"})
	if err = errors.Join(err, d.SetStateAside()); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, early, d).Install(); err != nil {
		t.Fatal(err)
	}
	facts, err := d.Facts()
	if err != nil || facts[snapshot.FactStateDiffers] != "0" {
		t.Errorf("the fact is %q, %v", facts[snapshot.FactStateDiffers], err)
	}
	mustClose(t, d)
	again := newMachine(t, dir, small)
	defer mustClose(t, again.d)
	if again.store.Digest() != m.store.Digest() || again.store.Applied() != m.store.Applied() {
		t.Errorf("the state is of entry %d; want %d", again.store.Applied(), m.store.Applied())
	}
	if kept := keptAside(t, dir); len(kept) != 1 || !strings.HasPrefix(kept[0], damagedPrefix) {
		t.Errorf("the files that are kept are %v", kept)
	}
}

// A crash at any step of the installation that repairs a state: the next start completes it or finds nothing of it. A
// state that was replaced is never taken for the one that differs, and is not kept a second time (traps T37, T45).
func TestARepairThatIsInterrupted(t *testing.T) {
	t.Parallel()
	early, wrong := mustSnapshot(t, scrubbed(t).d), scrubbed(t)
	wrong.do(`{"op":"put","key":"key/20","value":"wrong"}`)
	wrong.save()
	if err := wrong.d.SaveFacts(map[string]string{snapshot.FactStateDiffers: "7"}); err != nil {
		t.Fatal(err)
	}
	for _, answered := range []bool{false, true} {
		for at := 1; ; at++ {
			f := &fault{answered: answered}
			dir := crashImage(t, wrong.dir)
			d, err := Open(dir, Options{inject: f.inject})
			if err != nil {
				t.Fatal(err)
			}
			in := verified(t, early, d)
			f.at = f.calls + at
			err = in.Install()
			f.at = 0
			_ = d.Close()
			if f.struck == "" {
				if err != nil || at < 20 {
					t.Errorf("%d calls failed, and then: %v", at-1, err)
				}
				break
			}
			wantRepairedOrNot(t, f.struck, dir, early.Position().Index)
		}
	}
}

// wantRepairedOrNot starts a directory in which a repair was interrupted.
func wantRepairedOrNot(t *testing.T, struck, dir string, repaired raft.Index) {
	t.Helper()
	d, err := Open(dir, small)
	if err != nil {
		t.Fatalf("%s failed, and then: %v", struck, err)
	}
	defer mustClose(t, d)
	facts, err := d.Facts()
	applied := raft.Index(d.checkpointed.Load())
	if differs := facts[snapshot.FactStateDiffers] == "7"; err != nil || differs == (applied == repaired) {
		t.Errorf("%s failed, and the state of entry %d has the fact %q, %v", struck, applied,
			facts[snapshot.FactStateDiffers], err)
	}
	if kept := len(keptAside(t, dir)); (kept == 1) != (applied == repaired) {
		t.Errorf("%s failed, and with the state of entry %d, %d files are kept", struck, applied, kept)
	}
}
