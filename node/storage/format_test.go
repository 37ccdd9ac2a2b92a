package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// formatOne creates a directory of format 1.
func formatOne(tb testing.TB, want disk) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	facts := map[string]string{"node_id": "1"}
	setHardState(facts, want.state)
	anchor := tail{}
	statements := []string{"PRAGMA journal_mode = WAL"}
	for _, e := range want.log {
		crc := unchainedChecksum(e)
		anchor = tail{e.Index, raft.Digest(crc)}
		statements = append(statements, fmt.Sprintf("INSERT INTO logs (id, term, command, timestamp, crc) "+
			"VALUES (%d, %d, '%s', %.6f, %d)", e.Index, e.Term, e.Command, seconds(e.Timestamp), crc))
	}
	facts[keyCRC] = formatCRC(facts, anchor)
	statements = append(append(creation(facts, chainedFormat), statements...), "PRAGMA user_version = 1")
	runSQL(tb, filepath.Join(dir, databaseName), statements...)
	return dir
}

// A database with unchained checksums is converted once, in one transaction, whichever step fails.
func TestFormatOneIsConverted(t *testing.T) {
	t.Parallel()
	for _, want := range []disk{
		{raft.HardState{Term: 3, Vote: 2, Commit: 7}, entries(3, 1, 40)},
		{state: raft.HardState{Term: 1}},
	} {
		dir := formatOne(t, want)
		converted := 0
		counting := func(statement string, call func() error) error {
			if statement == chainStatement || statement == setFormatStatement(chainedFormat) {
				converted++
			}
			return call()
		}
		for _, statements := range []int{len(want.log) + 1, 0} {
			converted = 0
			d := mustOpen(t, dir, Options{inject: counting, checkpointPages: 50})
			if converted != statements {
				t.Errorf("%d statements converted it, want %d", converted, statements)
			}
			if facts, err := d.Facts(); err != nil || facts["node_id"] != "1" {
				t.Errorf("facts are %v, %v", facts, err)
			}
			wantDisk(t, mustRead(t, crashImage(t, dir)), want)
			mustClose(t, d)
			wantDisk(t, mustRead(t, dir), want)
		}
	}
}

func TestConversionThatFails(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Vote: 2, Commit: 3}, entries(3, 1, 5)}
	for _, answered := range []bool{false, true} {
		for at := 1; ; at++ {
			dir := formatOne(t, want)
			f := &fault{at: at, answered: answered}
			d, err := Open(dir, Options{inject: f.inject, checkpointPages: 50})
			if err == nil {
				_ = d.Close() // the fault may occur here
				break
			}
			wantInjected(t, f, "open", err)
			wantDisk(t, mustRead(t, dir), want)
		}
	}
}

func TestDamagedRowOfFormatOneIsRefused(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		`UPDATE logs SET command = '{}' WHERE id = 7`, `UPDATE logs SET crc = crc + 1 WHERE id = 7`,
		`DELETE FROM logs WHERE id > 20`, `UPDATE node_state SET value = '1' WHERE key = 'voted_for'`,
	} {
		dir := formatOne(t, disk{raft.HardState{Term: 3, Vote: 2, Commit: 7}, entries(3, 1, 40)})
		runSQL(t, filepath.Join(dir, databaseName), statement)
		wantRefused(t, dir, ErrDamaged)
	}
}

// A database of format 1 that was not closed: its last entries are in its write-ahead log, and it has no mark.
func TestFormatOneThatWasNotClosedIsConverted(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Vote: 2, Commit: 7}, entries(3, 1, 40)}
	dir := formatOne(t, want)
	c, err := connect(filepath.Join(dir, databaseName), "rw", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := raft.Index(41); i <= 50; i++ {
		e := entries(3, i, i)[0]
		want.log = append(want.log, e)
		if err := c.exec(fmt.Sprintf("INSERT INTO logs (id, term, command, timestamp, crc) VALUES (%d, %d, '%s', %.6f, %d)",
			e.Index, e.Term, e.Command, seconds(e.Timestamp), unchainedChecksum(e))); err != nil {
			t.Fatal(err)
		}
	}
	image := crashImage(t, dir)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if used, err := checkWAL(filepath.Join(image, databaseName+walSuffix)); !used || err != nil {
		t.Fatalf("the write-ahead log of the image is used: %v, %v", used, err)
	}
	v := mustVerify(t, image)
	wantDamage(t, "before the conversion", v)
	if v.Log == nil || v.Log.Last != 50 {
		t.Errorf("before the conversion: %+v", v.Log)
	}
	wantDisk(t, mustRead(t, image), want)
	wantDamage(t, "after the conversion", mustVerify(t, image))
}

// Each row of format 1 has a checksum of its own, so each damaged one is named, and no other.
func TestVerifyNamesTheDamagedRowsOfFormatOne(t *testing.T) {
	t.Parallel()
	want := disk{raft.HardState{Term: 3, Vote: 2, Commit: 7}, entries(3, 1, 40)}
	whole := mustVerify(t, formatOne(t, want))
	wantDamage(t, "nothing", whole)
	if whole.Log == nil || whole.Log.Start != 0 || whole.Log.Last != 40 || whole.Log.State != want.state {
		t.Errorf("log: %+v", whole.Log)
	}
	dir := formatOne(t, want)
	runSQL(t, filepath.Join(dir, databaseName), `UPDATE logs SET command = command || ' ' WHERE id IN (7, 11)`)
	v := mustVerify(t, dir)
	wantDamage(t, "two rows", v, "entry 7 has checksum", "entry 11 has checksum")
	if len(v.Damage) != 2 {
		t.Errorf("%d errors: %v", len(v.Damage), errors.Join(v.Damage...))
	}
}

// In format 1 nothing was removed from a log, and the key for that had no meaning.
func TestALogOfFormatOneStartsAtItsFirstEntry(t *testing.T) {
	t.Parallel()
	facts := map[string]string{keyStart: formatStart(raft.LogStart{Index: 5, Term: 1})}
	if start, err := logStart(facts, chainedFormat-1); start.Index != 0 || err != nil {
		t.Errorf("in format 1: %+v, %v", start, err)
	}
	if start, err := logStart(facts, chainedFormat); start.Index != 5 || err != nil {
		t.Errorf("in format 2: %+v, %v", start, err)
	}
}

// formatIn returns the format of the database in a directory.
func formatIn(t *testing.T, dir string) int64 {
	t.Helper()
	c, err := connect(filepath.Join(dir, databaseName), "ro", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	format, err := raftKind.check(c)
	if err := errors.Join(err, c.close()); err != nil {
		t.Fatal(err)
	}
	return format
}

// The first configuration of a log makes the database one that older programs refuse, in the transaction that saves it;
// until then they can be started on it. So does an installed snapshot that carries one.
func TestTheFirstConfigurationRaisesTheFormat(t *testing.T) { // T30
	t.Parallel()
	dir := t.TempDir()
	var image string
	statement := ""
	d := mustOpen(t, dir, Options{inject: func(s string, call func() error) error {
		if s == setFormatStatement(membersFormat) {
			image = crashImage(t, dir)
		}
		statement = s
		return call()
	}})
	list := entries(1, 1, 3)
	mustSave(t, d, raft.HardState{Term: 1}, list[:2])
	list[2].Type, list[2].Command = raft.EntryConfig, entryjson.Encoding().Configuration(configurationOf(0, 4))
	mustSave(t, d, raft.HardState{Term: 1}, list[2:])
	if statement == setFormatStatement(membersFormat) {
		t.Error("the format is written apart from the entries")
	}
	mustClose(t, d)
	if before, after := formatIn(t, image), formatIn(t, dir); before != chainedFormat || after != membersFormat {
		t.Errorf("the format is %d, and then %d", before, after)
	}
	d = mustOpen(t, dir, Options{inject: func(s string, call func() error) error {
		if s == setFormatStatement(membersFormat) {
			t.Error("the format is written twice")
		}
		return call()
	}})
	more := entries(1, 4, 4)
	more[0].Type, more[0].Command = list[2].Type, list[2].Command
	mustSave(t, d, raft.HardState{Term: 1}, more)
	mustClose(t, d)

	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	dir = receiver(t, 40)
	if before := formatIn(t, dir); before != chainedFormat {
		t.Errorf("the format of a receiver is %d", before)
	}
	d = mustOpen(t, dir, small)
	in := mustReceive(t, d, s)
	send(t, s, in, s.Size())
	if _, _, _, err := in.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := in.Install(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	if after := formatIn(t, dir); after != membersFormat {
		t.Errorf("after a snapshot with a configuration the format is %d", after)
	}
}

// A transaction that found the disk full is made again with the room of the ballast, and raises the format again.
func TestTheFormatIsRaisedAgainAfterAFullDisk(t *testing.T) { // T53
	t.Parallel()
	dir := t.TempDir()
	full := false
	d := mustOpen(t, dir, Options{slicePages: 1 << 30, inject: func(s string, call func() error) error {
		if full && s == commitStatement {
			full = false
			return &codeError{code: sqlite3.SQLITE_FULL, text: "full"}
		}
		return call()
	}})
	d.ballast.size = 1 // as if it was put aside
	list := entries(1, 1, 1)
	list[0].Type, list[0].Command = raft.EntryConfig, entryjson.Encoding().Configuration(configurationOf(0, 4))
	full = true
	mustSave(t, d, raft.HardState{Term: 1}, list)
	mustClose(t, d)
	if format := formatIn(t, dir); format != membersFormat {
		t.Errorf("the format is %d", format)
	}
}
