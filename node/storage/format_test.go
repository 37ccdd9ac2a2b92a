package storage

import (
	"fmt"
	"path/filepath"
	"testing"

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
	statements = append(append(creation(facts), statements...), "PRAGMA user_version = 1")
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
			if statement == chainStatement || statement == setFormatStatement {
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
