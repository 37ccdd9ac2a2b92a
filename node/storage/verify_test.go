package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// mustVerify verifies a directory, and checks that this changed nothing in it.
func mustVerify(tb testing.TB, dir string) *Verification {
	tb.Helper()
	before := files(tb, dir)
	v, err := VerifyDirectory(dir)
	if err != nil {
		tb.Fatal(err)
	}
	after := files(tb, dir)
	for _, list := range []map[string][]byte{before, after} {
		for name := range list { // SQLite may rebuild the index of the write-ahead log
			if !strings.HasSuffix(name, "-shm") && string(before[name]) != string(after[name]) {
				tb.Errorf("%s: the verification changed it", name)
			}
		}
	}
	return v
}

// wantDamage checks that the damage that was found includes each text.
func wantDamage(tb testing.TB, what string, v *Verification, texts ...string) {
	tb.Helper()
	found := errors.Join(v.Damage...)
	if len(texts) == 0 && found != nil || len(texts) > 0 && (found == nil || !errors.Is(found, ErrDamaged)) {
		tb.Errorf("%s: found %v, want %q", what, found, texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(found.Error(), text) {
			tb.Errorf("%s: found %v, want %q", what, found, text)
		}
	}
}

func TestVerifyReportsWhatAHealthyDirectoryHolds(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	m := newMachine(t, dir, small)
	m.do(`{"op":"set","key":"later","value":1}`)
	running := crashImage(t, dir) // as after a crash, with a write-ahead log
	_, err := VerifyDirectory(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "stop the other process") {
		t.Errorf("a directory in use: %v", err)
	}
	mustClose(t, m.d)
	for _, dir := range []string{dir, running, relative(t, dir)} {
		v := mustVerify(t, dir)
		wantDamage(t, dir, v)
		if v.State == nil || v.State.Keys != 30 || v.State.Versions == 0 || v.State.Position.Index != 34 ||
			v.State.Facts["cluster_id"] != "c-1" || v.State.LiveBytes == 0 {
			t.Errorf("state: %+v", v.State)
		}
		if v.Log == nil || v.Log.Start != 0 || v.Log.Last != 35 || v.Log.State.Commit != 35 || v.Log.State.Term != 1 {
			t.Errorf("log: %+v", v.Log)
		}
	}
	if _, err := os.Lstat(filepath.Join(running, databaseName+"-shm")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the index of the write-ahead log stayed: %v", err)
	}
}

// Each kind of damage is found, and the row that has it is named (traps T54, S10).
func TestVerifyFindsAndNamesPlantedDamage(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	for _, c := range []struct {
		file, damage string
		want         []string
	}{
		{
			stateName, `UPDATE kv SET value = value || ' ' WHERE key IN ('key/11', 'key/17')`,
			[]string{`"key/11"`, `"key/17"`},
		},
		{stateName, `DELETE FROM kv WHERE key = 'key/11'`, []string{"29 keys", "30"}},
		{stateName, `UPDATE history SET data = CAST(data || x'00' AS BLOB)`, []string{"of history has checksum"}},
		{stateName, `DELETE FROM history`, []string{stateName}},
		{stateName, `UPDATE meta SET value = '35' WHERE key = 'applied_index'`, []string{"meta has the checksum"}},
		{stateName, `DROP TABLE history`, []string{"the table history is missing"}},
		{databaseName, `DELETE FROM logs WHERE id = 20`, []string{"entry 21 follows entry 19"}},
		{databaseName, `DELETE FROM logs WHERE id >= 30`, []string{"the log ends at entry 29"}},
		{
			databaseName, `UPDATE logs SET command = command || ' ' WHERE id IN (11, 15)`,
			[]string{"entry 11 has checksum", "entry 15 has checksum"},
		},
		{databaseName, `UPDATE node_state SET value = '7' WHERE key = 'current_term'`, []string{"node_state"}},
	} {
		image := crashImage(t, dir)
		runSQL(t, filepath.Join(image, c.file), c.damage)
		v := mustVerify(t, image)
		wantDamage(t, c.damage, v, append(c.want, c.file)...)
		if len(v.Damage) != max(1, strings.Count(c.damage, " IN (")*2) {
			t.Errorf("%s: %d errors: %v", c.damage, len(v.Damage), v.Damage)
		}
	}
}

// A log that ends before the checkpoint, or is not the one that the checkpoint is of.
func TestVerifyComparesTheCheckpointWithTheLog(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	other := otherLog(t, 40)
	put(t, other, "", content(t, other, ""))
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	write(t, other, stateName, data)
	wantDamage(t, "another log", mustVerify(t, other), stateName, "entry 34 has")
}

func TestVerifyOfACopy(t *testing.T) {
	t.Parallel()
	m := sender(t, small)
	s := mustSnapshot(t, m.d)
	data := make([]byte, s.Size())
	if _, err := s.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	check := func(data []byte) *Verification {
		if err := os.WriteFile(path, data, fileMode); err != nil {
			t.Fatal(err)
		}
		v, err := VerifyFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := check(data)
	wantDamage(t, "a copy", v)
	if v.State.Position.Index != s.Position().Index || v.State.Keys != m.store.Len() || v.Log != nil {
		t.Errorf("found %+v", v.State)
	}
	if v, err := VerifyFile(relative(t, path)); err != nil || len(v.Damage) > 0 {
		t.Errorf("a relative path: %+v, %v", v, err)
	}
	wantDamage(t, "a broken index", check(withBrokenIndex(t, path)), "index")
	wantDamage(t, "half of a copy", check(data[:len(data)/2]), ErrDamaged.Error())
	emptied := filepath.Join(t.TempDir(), "empty.db")
	if err := createWhole(emptied, statePragmas, stateCreation(), nil); err != nil {
		t.Fatal(err)
	}
	if v, err := VerifyFile(emptied); err != nil || !strings.Contains(fmt.Sprint(v.Damage), "a checkpoint of nothing") {
		t.Errorf("a copy of nothing: %+v, %v", v, err)
	}
	v = check([]byte("This is a text, and no database at all."))
	if !errors.Is(errors.Join(v.Damage...), ErrNotDatabase) {
		t.Errorf("a text: %v", v.Damage)
	}
	write(t, filepath.Dir(path), "backup.db-wal", []byte("pages"))
	if _, err := VerifyFile(path); err == nil || !strings.Contains(err.Error(), "verify the data directory") {
		t.Errorf("a state.db with a write-ahead log: %v", err)
	}
}

// A snapshot whose installation was interrupted is what the next start reads (trap T37), and so what is verified.
func TestVerifyOfAnInterruptedInstallation(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	data := make([]byte, s.Size())
	if _, err := s.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	dir := receiver(t, 40)
	at := filepath.Join(dir, snapshotsName)
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, at, pendingName, data)
	v, err := VerifyDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantDamage(t, "an interrupted installation", v)
	if v.State == nil || v.State.Position.Index != s.Position().Index || len(v.Warnings) != 2 {
		t.Errorf("found %+v, with the warnings %q", v.State, v.Warnings)
	}
	data[len(data)/2] ^= 1
	write(t, at, pendingName, data)
	if v, err = VerifyDirectory(dir); err != nil || len(v.Damage) == 0 {
		t.Errorf("a damaged one: %+v, %v", v, err)
	}
}

// T54: files that are older than what was saved later are found by the mark.
func TestVerifyFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 3}, entries(1, 1, 40))
	early := crashImage(t, dir)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 3}, entries(1, 41, 50))
	write(t, early, databaseName+markSuffix, files(t, dir)[databaseName+markSuffix])
	v := mustVerify(t, early)
	wantDamage(t, "a later mark", v, databaseName+markSuffix, "entry 50 had been saved")
	mustClose(t, d)
}

// No more errors are listed than a person reads, and the others are counted.
func TestVerifyListsSomeOfManyErrors(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), small)
	for i := range maxDamage + 20 {
		m.do(fmt.Sprintf(`{"op":"put","key":"key/%03d","value":"a"}`, i))
	}
	m.save()
	mustClose(t, m.d)
	runSQL(t, filepath.Join(m.dir, stateName), `UPDATE kv SET value = 'b'`)
	if v := mustVerify(t, m.dir); len(v.Damage) != maxDamage || v.Unlisted != 20 {
		t.Errorf("%d errors are listed, and %d not", len(v.Damage), v.Unlisted)
	}
}

// A directory that cannot be read is not called damaged: its owner might give up a node that is sound.
func TestVerifyOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	m := newMachine(t, dir, small)
	m.do(`{"op":"set","key":"later","value":1}`)
	m.save()
	for _, name := range []string{stateName, databaseName} {
		image := crashImage(t, dir)
		if err := os.Symlink("nowhere", filepath.Join(image, name+"-shm")); err != nil { // SQLite follows none
			t.Fatal(err)
		}
		v, err := VerifyDirectory(image)
		if err == nil || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name+": ") ||
			!strings.Contains(err.Error(), "as the user that owns it") {
			t.Errorf("%s: found %+v, %v", name, v, err)
		}
	}
	mustClose(t, m.d)
}

// relative returns a path from the working directory.
func relative(t *testing.T, path string) string {
	t.Helper()
	here, err := os.Getwd()
	if err == nil {
		path, err = filepath.Rel(here, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// foundation is one above the position of a machine.
func foundation(m *machine) Foundation {
	last := m.store.Applied()
	return Foundation{
		Position: raft.LogStart{Index: raft.Index(last) + 1000, Term: 7, Digest: 99},
		Facts:    map[string]string{"node_id": "2", "cluster_id": "c-2", "members": "it's JSON"},
		Cluster:  map[string]string{"cluster_id": "c-2"},
	}
}

// source returns a closed copy of the checkpoint of a machine.
func source(t *testing.T, m *machine) (path string, sum [32]byte) {
	t.Helper()
	s := mustSnapshot(t, m.d)
	data := make([]byte, s.Size())
	if _, err := s.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "backup.db")
	write(t, filepath.Dir(path), "backup.db", data)
	return path, s.Sum()
}

// The directory that is made opens as one that a node left: the log starts after the position, and the state is whole.
func TestCreateMakesADirectoryThatOpens(t *testing.T) {
	t.Parallel()
	m := sender(t, small)
	path, sum := source(t, m)
	dir := filepath.Join(t.TempDir(), "new", "data")
	f := foundation(m)
	if err := Create(dir, path, sum, f); err != nil {
		t.Fatal(err)
	}
	wantDamage(t, "what was made", mustVerify(t, dir))
	wantPrivate(t, dir, directoryMode)
	d := mustOpen(t, dir, small)
	state, log, err := d.LoadLog(f.Position.Index, 0)
	if err != nil || state.Commit != f.Position.Index || state.Term != 7 || state.Vote != 0 ||
		!sameStart(log.Start, f.Position) || len(log.Entries) > 0 {
		t.Fatalf("hard state %+v, log %+v, %v", state, log, err)
	}
	store, err := d.LoadState()
	if err != nil || store.Applied() != uint64(f.Position.Index) || store.Sum() != m.store.Sum() {
		t.Fatalf("applied %d, %v", store.Applied(), err)
	}
	facts, err := d.Facts()
	if err != nil || facts["node_id"] != "2" || facts["members"] != "it's JSON" {
		t.Errorf("facts %v, %v", facts, err)
	}
	next := raft.Entry{Index: f.Position.Index + 1, Term: 8, Command: []byte(`{"op":"set","key":"k","value":1}`)}
	mustSave(t, d, raft.HardState{Term: 8, Vote: 2, Commit: next.Index}, []raft.Entry{next})
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside it: %v, %v", entries, err)
	}
}

func sameStart(a, b raft.LogStart) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Digest == b.Digest && len(a.Seats) == len(b.Seats)
}

// After an error the directory is as it was, and nothing is beside it.
func TestCreateLeavesNothingHalfMade(t *testing.T) {
	t.Parallel()
	m := sender(t, small)
	path, sum := source(t, m)
	parent := t.TempDir()
	full := filepath.Join(parent, "full")
	if err := os.Mkdir(full, directoryMode); err != nil {
		t.Fatal(err)
	}
	write(t, full, "a", []byte("b"))
	good := foundation(m)
	low, reserved := good, good
	low.Position.Index = 3
	reserved.Cluster = map[string]string{metaSum: "0"}
	for _, c := range []struct {
		dir  string
		sum  [32]byte
		f    Foundation
		want string
	}{
		{full, sum, good, "not empty"},
		{filepath.Join(parent, "new"), [32]byte{1}, good, "has the hash"},
		{filepath.Join(parent, "new"), sum, low, "before the state"},
		{filepath.Join(parent, "new"), sum, reserved, "belongs to the storage"},
	} {
		if err := Create(c.dir, path, c.sum, c.f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 || len(files(t, full)) != 1 {
		t.Errorf("in the parent: %v, %v", entries, err)
	}
	empty := filepath.Join(parent, "empty")
	if err := errors.Join(os.Mkdir(empty, directoryMode), Create(empty, path, sum, good)); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
}

// A backup comes from outside: whatever its bytes are, the check ends, and finds what was written or an error.
func FuzzVerifyFile(f *testing.F) {
	dir := filledState(f)
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), uint32(0), []byte("not a database"))
	for offset := uint32(0); offset < uint32(len(data)); offset += 1021 {
		f.Add(uint8(1), offset, []byte{0xff})
	}
	f.Fuzz(func(t *testing.T, what uint8, offset uint32, bytes []byte) {
		if what%2 == 1 {
			bytes = patched(data, offset, bytes)
		}
		path := filepath.Join(t.TempDir(), "backup.db")
		write(t, filepath.Dir(path), "backup.db", bytes)
		v, err := VerifyFile(path)
		switch {
		case err != nil:
			t.Fatal(err)
		case len(v.Damage) > 0:
			wantKnownError(t, errors.Join(v.Damage...))
		case v.State.Keys != 30 || v.State.Position.Index != 34:
			t.Errorf("it was accepted as %+v", v.State)
		}
	})
}
