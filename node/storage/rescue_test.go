package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// checkpointed returns a directory with 40 entries, of which the checkpoint includes 30.
func checkpointed(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t, t.TempDir(), small)
	for i := 1; i <= 40; i++ {
		m.do(fmt.Sprintf(`{"op":"put","key":"key/%02d","value":"value number %d"}`, i, i))
		if i == 30 {
			m.save()
		}
	}
	return m
}

// T54: the entries up to the position of the checkpoint are in it, and so is the digest that the entries behind it
// continue. So damage in one of them, also in the last, costs nothing: the log starts at that position.
func TestDamageThatTheCheckpointIncludes(t *testing.T) {
	t.Parallel()
	m := checkpointed(t)
	crashed := crashImage(t, m.dir)
	mustClose(t, m.d)
	for _, damage := range []string{
		`UPDATE logs SET command = replace(command, 'value', 'walue') WHERE id = 30`,
		`UPDATE logs SET crc = crc + 1 WHERE id = 30`,
		`UPDATE logs SET term = 'x' WHERE id = 30`,
		`UPDATE logs SET term = term + 1 WHERE id = 30`,
		`UPDATE logs SET crc = crc + 1 WHERE id = 2`,
		`UPDATE logs SET timestamp = timestamp + 1 WHERE id = 17`,
		`DELETE FROM logs WHERE id = 29`,
	} {
		for name, from := range map[string]string{"a clean stop": m.dir, "a crash": crashed} {
			dir := crashImage(t, from)
			runSQL(t, filepath.Join(dir, databaseName), damage)
			for round := range 2 {
				d, err := Open(dir, small)
				if err != nil {
					t.Fatalf("%s, after %s: %v", damage, name, err)
				}
				if _, err := d.LoadState(); err != nil {
					t.Errorf("%s, after %s: %v", damage, name, err)
				}
				state, log, err := d.LoadLog(30, 0)
				if err != nil || state.Vote != 1 || log.Start.Index != 30 || log.Removed != 30 || log.Last() != 40 ||
					len(log.Start.Seats) != 1 {
					t.Errorf("%s, after %s, round %d: %+v, %+v, %v", damage, name, round, state, log.Start, err)
				}
				if _, damaged := scrub(d); damaged != nil {
					t.Errorf("%s, after %s: a scrub finds %v", damage, name, damaged)
				}
				mustClose(t, d)
			}
		}
	}
}

// T54: what the checkpoint does not include, or cannot replace, is refused.
func TestDamageThatTheCheckpointDoesNotInclude(t *testing.T) {
	t.Parallel()
	m := checkpointed(t)
	mustClose(t, m.d)
	const first = `UPDATE logs SET crc = crc + 1 WHERE id = 17`
	for name, damage := range map[string][2]string{ // of the log, and of the checkpoint
		"an entry behind it": {`UPDATE logs SET crc = crc + 1 WHERE id = 31`, `SELECT 1`},
		"two entries":        {first + `; UPDATE logs SET term = 2 WHERE id = 35`, `SELECT 1`},
		"the vote":           {first + `; UPDATE node_state SET value = 2 WHERE key = 'voted_for'`, `SELECT 1`},
		"a row of it":        {first, `UPDATE kv SET value = 'x' WHERE key = 'key/11'`},
		"its numbers":        {first, `DELETE FROM meta`},
		"another digest":     {`UPDATE logs SET crc = crc + 1 WHERE id = 17; DELETE FROM logs WHERE id > 29`, `SELECT 1`},
	} {
		dir := crashImage(t, m.dir)
		runSQL(t, filepath.Join(dir, databaseName), damage[0])
		runSQL(t, filepath.Join(dir, stateName), damage[1])
		before := files(t, dir)[databaseName]
		d, err := Open(dir, small)
		if err == nil {
			mustClose(t, d)
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if string(files(t, dir)[databaseName]) != string(before) {
			t.Errorf("%s: the log was changed", name)
		}
	}
}

// A checkpoint of another log does not replace this one: the entries behind it do not continue its digest, and if there
// are none, the checksum of node_state has another one.
func TestAnotherCheckpointRescuesNoLog(t *testing.T) { // T31, T54
	t.Parallel()
	for _, end := range []raft.Index{30, 40} {
		dir, other := t.TempDir(), otherLog(t, 30)
		d := mustOpen(t, dir, small)
		mustSave(t, d, raft.HardState{Term: 2, Commit: 30}, entries(2, 1, end))
		mustClose(t, d)
		data, err := os.ReadFile(filepath.Join(other, stateName))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, stateName, data)
		runSQL(t, filepath.Join(dir, databaseName), `UPDATE logs SET term = 3 WHERE id = 12`)
		wantRefused(t, dir, ErrDamaged)
	}
}
