package storage

import (
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// literal returns a value as an SQL literal: a number, text or bytes of any kind, or NULL.
func literal(kind uint8, number int64, real float64, text []byte) string {
	switch kind % 5 {
	case 0:
		return fmt.Sprint(number)
	case 1:
		return fmt.Sprintf("CAST('%g' AS REAL)", real)
	case 2:
		return fmt.Sprintf("CAST(x'%x' AS TEXT)", text)
	case 3:
		return fmt.Sprintf("x'%x'", text)
	}
	return "NULL"
}

// FuzzRows changes one value of a good database to any SQLite value, and sometimes also makes the checksums match, as
// an attacker would. A wrong value is refused with an error that explains it; with a wrong checksum every value is.
// An accepted value is accepted by the core too, can be written over, and is the same after that.
func FuzzRows(f *testing.F) {
	source, want := filled(f)
	database, err := os.ReadFile(filepath.Join(source, databaseName))
	if err != nil {
		f.Fatal(err)
	}
	for column := range uint8(8) {
		for kind := range uint8(5) {
			f.Add(column, kind, uint8(30), int64(41), 1.5, []byte(`{"op":"noop"}`), true)
		}
	}
	f.Add(uint8(5), uint8(2), uint8(0), int64(0), 0.0, []byte("4294967296"), true)
	f.Add(uint8(5), uint8(2), uint8(1), int64(0), 0.0, []byte("7"), true)
	f.Add(uint8(5), uint8(2), uint8(3), int64(0), 0.0, []byte("0123abcd@42"), false)
	f.Add(uint8(0), uint8(0), uint8(40), int64(-1), 0.0, []byte(nil), true)
	f.Fuzz(func(t *testing.T, column, kind, row uint8, number int64, real float64, text []byte, forge bool) {
		dir := t.TempDir()
		write(t, dir, databaseName, database)
		keys := slices.Concat(ownKeys, []string{"cluster_id", "node_id"})
		value := literal(kind, number, real, text)
		statement := fmt.Sprintf("UPDATE node_state SET value = %s WHERE key = '%s'", value, keys[int(row)%len(keys)])
		if columns := []string{"id", "term", "command", "timestamp", "crc"}; int(column)%8 < len(columns) {
			statement = fmt.Sprintf("UPDATE logs SET %s = %s WHERE id = %d", columns[column%8], value, 1+int(row)%40)
		}
		if !change(t, filepath.Join(dir, databaseName), statement, forge) {
			return // SQLite rejects it
		}
		got, err := read(dir)
		if err != nil {
			wantKnownError(t, err)
			return
		}
		if !forge && !got.equal(want) {
			t.Fatalf("%s\nwas taken, though its checksum is wrong: %v", statement, got)
		}
		wantUsable(t, dir, got)
	})
}

// change executes a statement, and makes the checksums match if they are to be forged. It reports whether SQLite
// accepted the statement.
func change(t *testing.T, path, statement string, forge bool) bool {
	t.Helper()
	c, err := connect(path, "rw", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}()
	if c.exec(statement) != nil {
		return false
	}
	if !forge {
		return true
	}
	crcs, facts := map[int64]raft.Digest{}, map[string]string{}
	var digest raft.Digest
	const rows = "SELECT id, term, timestamp, crc, CAST(command AS BLOB) FROM logs ORDER BY id"
	err = c.query(rows, func(row []driver.Value) error {
		id, _ := row[0].(int64)
		term, _ := row[1].(int64)
		timestamp, _ := row[2].(float64)
		command, _ := row[4].([]byte)
		digest = extend(digest, raft.Entry{
			Index: raft.Index(id), Term: raft.Term(term), Timestamp: microseconds(timestamp), Command: command,
		})
		crcs[id] = digest
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, crc := range crcs {
		if err := c.exec(fmt.Sprintf("UPDATE logs SET crc = %d WHERE id = %d", crc, id)); err != nil {
			t.Fatal(err)
		}
	}
	err = c.query(factsStatement, func(row []driver.Value) error {
		facts[fmt.Sprint(row[0])] = fmt.Sprint(row[1])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const anchor = 40
	sum := formatCRC(facts, tail{anchor, crcs[anchor]})
	if err := c.exec(fmt.Sprintf("UPDATE node_state SET value = '%s' WHERE key = '%s'", sum, keyCRC)); err != nil {
		t.Fatal(err)
	}
	return true
}

// wantUsable checks that an opened database can be started from, or is refused by the core, and can be written to.
func wantUsable(t *testing.T, dir string, got disk) {
	t.Helper()
	core, err := raft.New(raft.Config{
		ID: 1, Initial: raft.Configuration{Members: []raft.Member{{ID: 1}}, LastID: 1},
		ElectionTicks: 10, HeartbeatTicks: 1, MaxMessageEntries: 1, MaxMessageBytes: 1,
		MaxInflightMessages: 1, MaxInflightBytes: 1, MaxUncommittedBytes: 1, MaxTailBytes: 1,
		Rand:     rand.New(rand.NewPCG(1, 1)),
		Encoding: entryjson.Encoding(),
	}, got.state, raft.Log{Entries: slices.Clone(got.log)})
	if err != nil {
		return
	}
	if core.HasReady() {
		core.Advance(core.Ready())
	}
	d := mustOpen(t, dir, small)
	last := raft.Index(len(got.log))
	more := entries(1<<40, last+1, last+2)
	mustSave(t, d, got.state, more)
	mustClose(t, d)
	wantDisk(t, mustRead(t, dir), got.with(got.state, more))
}

// FuzzSave saves entries of any content, over and after each other, and reads them back.
func FuzzSave(f *testing.F) {
	f.Add(uint64(1), uint64(0), int64(1_790_000_000_123_456), []byte(`{"op":"noop"}`), uint8(3), uint8(1))
	f.Add(uint64(1<<64-1), uint64(1<<63), int64(-1), []byte("\x00\xff'; --"), uint8(33), uint8(17))
	f.Add(uint64(0), uint64(7), int64(-1<<63), []byte(nil), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, term, vote uint64, micros int64, command []byte, count, from uint8) {
		dir := t.TempDir()
		d := mustOpen(t, dir, small)
		micros = microseconds(seconds(micros)) // as a column of type REAL holds it
		list := func(first, last raft.Index) []raft.Entry {
			made := make([]raft.Entry, 0, last+1-first)
			for i := first; i <= last; i++ {
				made = append(made, raft.Entry{
					Index: i, Term: raft.Term(term), Timestamp: micros, Command: append([]byte{'0' + byte(i%10)}, command...),
				})
			}
			return made
		}
		want, end := disk{}, 1+raft.Index(count%40)
		state := raft.HardState{Term: raft.Term(term), Vote: raft.NodeID(vote)}
		for _, part := range [][]raft.Entry{list(1, end), list(1+raft.Index(from)%(end+1), end+2)} {
			mustSave(t, d, state, part)
			want = want.with(state, part)
		}
		stored, err := d.Range(raft.Index(from), 3)
		begin := min(max(int(from), 1), len(want.log)+1) - 1
		if err != nil || !(disk{log: stored}).equal(disk{log: want.log[begin:min(begin+3, len(want.log))]}) {
			t.Fatalf("from %d: %d entries, %v", from, len(stored), err)
		}
		mustClose(t, d)
		wantDisk(t, mustRead(t, dir), want)
	})
}
