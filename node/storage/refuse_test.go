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

// filled creates a directory with a closed database.
func filled(tb testing.TB) (dir string, want disk) {
	tb.Helper()
	dir = tb.TempDir()
	d, err := Open(dir, small)
	if err != nil {
		tb.Fatal(err)
	}
	want = disk{raft.HardState{Term: 3, Vote: 2, Commit: 30}, entries(3, 1, 40)}
	mustSave(tb, d, want.state, want.log)
	if err := d.SaveFacts(map[string]string{"cluster_id": "c", "node_id": "1"}); err != nil {
		tb.Fatal(err)
	}
	mustClose(tb, d)
	return dir, want
}

func TestSecondOpenIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 3))
	wantRefused(t, dir, ErrLocked)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 4, 4)) // the first one continues
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	output, err := child(t, "open", dir).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(output))
	}
	want := fmt.Sprintf("in use by process %d", os.Getpid())
	if !strings.Contains(string(output), want) {
		t.Fatalf("the child prints %q, want %q", output, want)
	}
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 1))
	mustClose(t, d)
	if output, err := child(t, "open", dir).CombinedOutput(); err != nil || string(output) != "opened\n" {
		t.Fatalf("after Close: %v, %s", err, output)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	runSQL(t, filepath.Join(dir, databaseName), fmt.Sprintf("PRAGMA user_version = %d", formatVersion+1),
		"ALTER TABLE logs ADD COLUMN later TEXT")
	wantRefused(t, dir, ErrNewerFormat)
}

func TestFileThatIsNoDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"text":       strings.Repeat("This is not a database. ", 1000),
		"short text": "hello",
		"zeros":      strings.Repeat("\x00", 8192),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, databaseName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, dir, ErrNotDatabase)
		})
	}
}

func TestDatabaseOfAnotherProgramIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runSQL(t, filepath.Join(dir, databaseName), "CREATE TABLE bookmarks (url TEXT)", "PRAGMA user_version = 1")
	wantRefused(t, dir, ErrNotDatabase)
}

// A broken copy or a lost directory entry leaves an empty file. Taking it for a new database would make the node lose
// its vote.
func TestEmptyFileIsRefused(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	if err := os.Truncate(filepath.Join(dir, databaseName), 0); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, ErrDamaged)
}

func TestWriteAheadLogWithoutDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 3))
	image := crashImage(t, dir)
	if err := os.Remove(filepath.Join(image, databaseName)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, image, ErrDamaged)
}

func TestShortenedFileIsRefused(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	path := filepath.Join(dir, databaseName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-pageSize); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, ErrDamaged)
}

func TestDataDirectoryThatIsAFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(dir, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, small); err == nil || !strings.Contains(err.Error(), "must be a directory") {
		t.Fatal(err)
	}
}

// T54, S10: any change of a committed entry, wherever it is, is detected and refused.
func TestDamagedRowIsRefused(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"command":              `UPDATE logs SET command = replace(command, 'k7"', 'k8"') WHERE id = 7`,
		"command's type":       `UPDATE logs SET command = 5 WHERE id = 7`,
		"command as blob":      `UPDATE logs SET command = CAST('x' AS BLOB) WHERE id = 7`,
		"term":                 `UPDATE logs SET term = 2 WHERE id = 7`,
		"term's type":          `UPDATE logs SET term = 'three' WHERE id = 7`,
		"timestamp":            `UPDATE logs SET timestamp = timestamp + 1 WHERE id = 7`,
		"timestamp's type":     `UPDATE logs SET timestamp = 'noon' WHERE id = 7`,
		"checksum":             `UPDATE logs SET crc = crc + 1 WHERE id = 7`,
		"checksum + 2^32":      `UPDATE logs SET crc = crc + 4294967296 WHERE id = 7`,
		"last, not committed":  `UPDATE logs SET command = command || ' ' WHERE id = 40`,
		"an entry gone":        `DELETE FROM logs WHERE id = 7`,
		"the first gone":       `DELETE FROM logs WHERE id = 1`,
		"the last gone":        `DELETE FROM logs WHERE id = 40`,
		"committed gone":       `DELETE FROM logs WHERE id > 20`,
		"all gone":             `DELETE FROM logs`,
		"an entry more":        `INSERT INTO logs SELECT 41, term, command, timestamp, crc FROM logs WHERE id = 40`,
		"one before the first": `INSERT INTO logs SELECT 0, term, command, timestamp, crc FROM logs WHERE id = 40`,
		"the vote":             `UPDATE node_state SET value = '1' WHERE key = 'voted_for'`,
		"the term":             `UPDATE node_state SET value = '2' WHERE key = 'current_term'`,
		"the commit index":     `UPDATE node_state SET value = '31' WHERE key = 'commit_index'`,
		"a commit of nonsense": `UPDATE node_state SET value = 'many' WHERE key = 'commit_index'`,
		"the term gone":        `DELETE FROM node_state WHERE key = 'current_term'`,
		"the node's id":        `UPDATE node_state SET value = '2' WHERE key = 'node_id'`,
		"a fact gone":          `DELETE FROM node_state WHERE key = 'node_id'`,
		"a fact more":          `INSERT INTO node_state VALUES ('other', 'x')`,
		"the state's checksum": `DELETE FROM node_state WHERE key = 'crc'`,
		"a fact's type":        `UPDATE node_state SET value = x'00' WHERE key = 'node_id'`,
		"a table gone":         `DROP TABLE node_state`,
		"a table changed":      `ALTER TABLE logs ADD COLUMN more TEXT`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := filled(t)
			runSQL(t, filepath.Join(dir, databaseName), statement)
			wantRefused(t, dir, ErrDamaged)
		})
	}
}

// The error states where the damage is and what to do about it.
func TestDamageIsExplained(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	runSQL(t, filepath.Join(dir, databaseName), `UPDATE logs SET command = '{}' WHERE id = 7`)
	_, err := Open(dir, small)
	if err == nil {
		t.Fatal("it opened")
	}
	for _, part := range []string{"entry 7", filepath.Join(dir, databaseName), "damaged", "Keep the directory aside"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

// Damage that happens while the node runs is detected by the next read of it.
func TestDamageIsFoundWhileRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := mustOpen(t, dir, small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 10))
	runSQL(t, filepath.Join(dir, databaseName), `UPDATE logs SET command = '{}' WHERE id = 7`)
	if _, err := d.Range(1, 5); err != nil {
		t.Errorf("the good entries cannot be read: %v", err)
	}
	if _, err := d.Range(5, 5); !errors.Is(err, ErrDamaged) {
		t.Errorf("reading the damaged entry: %v", err)
	}
}

// T56, T57: whatever a crash left of the creation of a database, the next start creates it again.
func TestHalfMadeDatabaseIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, suffix := range []string{".new", ".new-wal", ".new-journal", ".new-shm", ".new-mark"} {
		if err := os.WriteFile(filepath.Join(dir, databaseName+suffix), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantDisk(t, mustRead(t, dir), disk{})
	if left := len(files(t, dir)); left != 1 {
		t.Errorf("%d files are left, want raft.db alone", left)
	}
}
