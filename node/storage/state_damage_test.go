package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// filledState returns a closed directory whose checkpoint has keys and history.
func filledState(tb testing.TB) string {
	tb.Helper()
	m := newMachine(tb, tb.TempDir(), small)
	for i := range 30 {
		m.do(fmt.Sprintf(`{"op":"put","key":"key/%02d","value":"value %d","content_type":"text/plain"}`, i, i))
	}
	m.do(`{"op":"put","key":"key/07","value":"another"}`, `{"op":"delete","key":"key/08"}`,
		`{"op":"put","key":"key/09","value":"aGk=","encoding":"base64"}`, `{"op":"put","key":"key/08","value":"again"}`)
	m.save()
	mustClose(tb, m.d)
	return m.dir
}

// T54, S10: a changed, lost or exchanged row or number of the checkpoint is found, whichever it is. SQLite's own
// checks do not detect them.
func TestADamagedCheckpointIsFound(t *testing.T) {
	t.Parallel()
	damages := []string{
		`DELETE FROM kv WHERE key = 'key/11'`, `DELETE FROM history WHERE id = (SELECT min(id) FROM history)`,
		`DELETE FROM kv`, `DELETE FROM history`, `DELETE FROM meta WHERE key = 'cut'`, `DELETE FROM meta`,
		`UPDATE kv SET key = 'key/99' WHERE key = 'key/11'`,
		`UPDATE kv SET value = x'76616c756520313100' WHERE key = 'key/11'`,
		`INSERT INTO kv SELECT 'key/99', value, content_type, revision, create_revision, version, position, modified, crc ` +
			`FROM kv WHERE key = 'key/11'`,
		`UPDATE kv SET value = (SELECT value FROM kv AS other WHERE other.key = CASE kv.key WHEN 'key/11' THEN 'key/12' ` +
			`ELSE 'key/11' END) WHERE key IN ('key/11', 'key/12')`,
		`UPDATE history SET id = id + 1`, `UPDATE history SET last_revision = last_revision + 1`,
		`UPDATE history SET versions = versions - 1`, `UPDATE history SET data = data || x'00'`,
		`UPDATE history SET data = CAST(data AS TEXT)`, `UPDATE history SET crc = crc + 1`,
		`UPDATE meta SET value = value + 1 WHERE key = 'applied_index'`, `UPDATE meta SET value = '[]' WHERE key = 'seats'`,
		`UPDATE meta SET value = '0' WHERE key = 'sum'`, `UPDATE meta SET value = 'c-2' WHERE key = 'cluster_id'`,
		`INSERT INTO meta VALUES ('more', '1')`, `UPDATE meta SET value = '00000000' WHERE key = 'crc'`,
	}
	for _, column := range []string{"revision", "create_revision", "version", "position", "modified", "crc"} {
		damages = append(damages, fmt.Sprintf(`UPDATE kv SET %s = %s + 1 WHERE key = 'key/11'`, column, column))
	}
	for _, column := range []string{"value", "content_type"} {
		damages = append(damages, fmt.Sprintf(`UPDATE kv SET %s = %s || ' ' WHERE key = 'key/11'`, column, column))
	}
	dir := filledState(t)
	for _, damage := range damages {
		image := crashImage(t, dir)
		runSQL(t, filepath.Join(image, stateName), damage)
		err := loadState(image)
		if !errors.Is(err, snapshot.ErrDamagedState) || !errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), stateName) {
			t.Errorf("%s: %v", damage, err)
		}
	}
	if err := loadState(dir); err != nil {
		t.Errorf("the undamaged one: %v", err)
	}
}

// loadState opens a directory and reads its checkpoint.
func loadState(dir string) error {
	d, err := Open(dir, small)
	if err != nil {
		return err
	}
	_, err = d.LoadState()
	return errors.Join(err, d.Close())
}

// S10: one flipped bit anywhere in a row is found.
func TestAFlippedBitInTheCheckpoint(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"key/17", "value 17", "another", "value 7", "c-1", "again"} {
		at := int64(strings.Index(string(data), text))
		if at < 0 {
			t.Fatalf("%q is not in the file", text)
		}
		image := crashImage(t, dir)
		edit(t, filepath.Join(image, stateName), func(f *os.File) error { return flipBit(f, at+1) })
		if err := loadState(image); !errors.Is(err, ErrDamaged) {
			t.Errorf("in %q: %v", text, err)
		}
	}
}

// A checkpoint of a later version, of another program, with other tables, or that is a link.
func TestAForeignCheckpointIsRefused(t *testing.T) {
	t.Parallel()
	dir := filledState(t)
	for damage, want := range map[string]error{
		"PRAGMA application_id = 1": ErrNotDatabase, "DROP TABLE history": ErrDamaged,
		"ALTER TABLE kv ADD COLUMN more": ErrDamaged,
	} {
		image := crashImage(t, dir)
		runSQL(t, filepath.Join(image, stateName), damage)
		wantUnusable(t, image, want)
	}
	image := crashImage(t, dir)
	runSQL(t, filepath.Join(image, stateName), "PRAGMA user_version = 9")
	wantRefused(t, image, ErrNewerFormat)
	image = crashImage(t, dir)
	if err := os.Symlink(filepath.Join(dir, stateName), filepath.Join(image, stateName+walSuffix)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, image, ErrForeignFile)
}

// The checkpoint and the log belong together. What a crash can leave is opened, and what it cannot is refused.
func TestTheCheckpointMustFitTheLog(t *testing.T) { // T31, T37, T54
	t.Parallel()
	m := newMachine(t, t.TempDir(), small)
	step := func(from, to int) {
		for i := from; i <= to; i++ {
			m.do(fmt.Sprintf(`{"op":"set","key":"k%d","value":1}`, i))
		}
	}
	step(1, 10)
	m.save()
	early := crashImage(t, m.dir)
	step(11, 30)
	m.save()
	uncut := crashImage(t, m.dir)
	for range 2 {
		if _, err := m.d.Cut(20, nil, raft.Configuration{}); err != nil {
			t.Fatal(err)
		}
	}
	late := crashImage(t, m.dir)
	mustClose(t, m.d)
	mix := func(log, state string) string {
		image := crashImage(t, log)
		for _, suffix := range []string{"", walSuffix} {
			_ = os.Remove(filepath.Join(image, stateName+suffix))
			if data, err := os.ReadFile(filepath.Join(state, stateName+suffix)); err == nil {
				write(t, image, stateName+suffix, data)
			}
		}
		return image
	}
	nothing := t.TempDir()
	wantUnusable(t, mix(late, nothing), ErrIncomplete) // deleted
	wantUnusable(t, mix(late, early), ErrIncomplete)   // older than the start of the log
	wantRefused(t, mix(early, otherLog(t, 10)), ErrDamaged)
	wantRefused(t, mix(nothing, late), ErrDamaged)
	for name, dir := range map[string]string{"no checkpoint": mix(uncut, nothing), "an earlier one": mix(uncut, early)} {
		m := newMachine(t, dir, small)
		if m.store.Applied() != 30 || m.store.Len() != 30 {
			t.Errorf("%s: with the log behind it %d entries are applied", name, m.store.Applied())
		}
		mustClose(t, m.d)
	}
	for name, dir := range map[string]string{
		// A snapshot was installed, and the log is still the old one: shorter, or of entries that were not committed.
		"an earlier log": mix(early, late), "another log": mix(otherLog(t, 0), late),
	} {
		d := mustOpen(t, dir, small)
		state, log, err := d.LoadLog(30, 0)
		if err != nil || state.Commit != 30 || log.Removed != 30 || log.Last() != 30 || len(log.Start.Seats) != 1 {
			t.Errorf("%s: commit index %d, %+v, %v", name, state.Commit, log, err)
		}
		mustSave(t, d, raft.HardState{Term: 9, Commit: 30}, entries(9, 31, 33))
		again := mustOpen(t, crashImage(t, dir), small)
		if _, log, err := again.LoadLog(30, 0); err != nil || len(log.Entries) != 3 || log.Removed != 30 {
			t.Errorf("%s: after a crash %+v, %v", name, log, err)
		}
	}
}

// otherLog returns a directory with another log of 40 entries.
func otherLog(t *testing.T, commit raft.Index) string {
	t.Helper()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 7, Commit: commit}, entries(7, 1, 40))
	if commit > 0 {
		mustSaveState(t, d, commit)
	}
	mustClose(t, d)
	return dir
}

// What is applied is committed, also if the commit index on the disk is behind.
func TestTheCheckpointRaisesTheCommitIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1, Commit: 3}, entries(1, 1, 10))
	mustSaveState(t, d, 8)
	d = mustOpen(t, crashImage(t, dir), small)
	if state, log, err := d.LoadLog(8, 0); err != nil || state.Commit != 8 || len(log.Entries) != 2 || log.Removed != 0 {
		t.Errorf("the commit index is %d, %+v, %v", state.Commit, log, err)
	}
}
