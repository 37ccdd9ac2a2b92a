package storage

import (
	"fmt"
	"strings"
)

const (
	// databaseName is the file in the data directory.
	databaseName = "raft.db"
	// formatVersion is the highest value of PRAGMA user_version that this program reads. A program refuses a database with
	// a higher one. In format 1 each crc covered its own row alone, and node_state had neither keyVersion nor keyWAL. A
	// database is made in format 2. It becomes one of format 3 with the first configuration in its log, or at the start
	// of that, so that an older program, which would not follow the members, is not started on it.
	formatVersion = membersFormat
	membersFormat = 3
	chainedFormat = 2
	// applicationID is the value of PRAGMA application_id and distinguishes a raft.db from other SQLite databases:
	// "Kont".
	applicationID = 0x4b6f6e74
	// pageSize is the page size of the database in bytes, SQLite's default. A larger one was measured and was not
	// faster.
	pageSize = 4096
)

// oldestSQLite is the first version without the WAL-reset bug (trap S2).
var oldestSQLite = [3]int{3, 51, 3}

// The tables. Their names and columns are a contract with every tool that opens raft.db.
const (
	logsTable = `CREATE TABLE logs (id INTEGER PRIMARY KEY, term INTEGER NOT NULL, index_ INTEGER AS (id), ` +
		`command TEXT NOT NULL, timestamp REAL NOT NULL, crc INTEGER NOT NULL)`
	nodeStateTable = `CREATE TABLE node_state (key TEXT PRIMARY KEY, value TEXT NOT NULL)`
)

// pragma is a setting of a connection and the value that must be read back (trap S1).
type pragma struct{ name, set, want string }

// commonPragmas apply to every connection.
var commonPragmas = []pragma{
	{"busy_timeout", "5000", "5000"},
	{"mmap_size", "0", "0"}, // an I/O error on mapped memory kills the process without a message (trap S7)
	{"cell_size_check", "1", "1"},
	{"trusted_schema", "0", "0"},
	// A statement of several rows copies each page before its first change, to undo them all if one fails: without a file.
	{"temp_store", "MEMORY", "2"},
}

// writerPragmas apply to the connection that writes.
var writerPragmas = []pragma{
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"}, // NORMAL does not sync a commit (traps S1, T55)
	{"fullfsync", "1", "1"},      // without it, macOS leaves the data in the disk's cache
	{"checkpoint_fullfsync", "1", "1"},
	{"cache_spill", "0", "0"},        // a transaction writes each page once: checkWAL relies on it
	{"wal_autocheckpoint", "0", "0"}, // SQLite's own checkpoint hides its errors (trap T53)
}

// Statements of the writer.
const (
	beginStatement  = `BEGIN IMMEDIATE`
	chainStatement  = `UPDATE logs SET crc = ? WHERE id = ?`
	commitStatement = `COMMIT`
	deleteStatement = `DELETE FROM logs WHERE id >= ?`
	// cutRowsStatement reads what is needed of entries that are to be removed: only a short command can be that of a seat,
	// and a long one can be a configuration.
	cutRowsStatement = `SELECT id, term, crc, octet_length(command), ` +
		`CASE WHEN octet_length(command) <= 128 OR substr(command, 1, 15) = '{"op":"config",' ` +
		`THEN CAST(command AS BLOB) END FROM logs WHERE id <= ? ORDER BY id LIMIT ?`
	// cutSizesStatement reads their lengths alone: what is behind a long command in its row is on another page.
	cutSizesStatement = `SELECT id, octet_length(command) FROM logs WHERE id <= ? ORDER BY id LIMIT ?`
	deleteToStatement = `DELETE FROM logs WHERE id <= ?`
	rollbackStatement = `ROLLBACK`
	// deleteFactsStatement is part of a transaction that writes others.
	deleteFactsStatement = `DELETE FROM node_state`
	updateStatement      = `UPDATE node_state SET value = ? WHERE key = ?`
	upsertStatement      = `INSERT INTO node_state (value, key) VALUES (?, ?) ` +
		`ON CONFLICT (key) DO UPDATE SET value = excluded.value`
)

// setFormatStatement records the format in the database.
func setFormatStatement(format int64) string { return fmt.Sprintf(`PRAGMA user_version = %d`, format) }

// Statements of the reader. The cast avoids a conversion: the driver returns text as a string.
const (
	rangeStatement = `SELECT id, term, timestamp, crc, CAST(command AS BLOB) FROM logs WHERE id >= ? ORDER BY id LIMIT ?`
	// digestsStatement reads the digests after an index up to another one.
	digestsStatement = `SELECT id, crc FROM logs WHERE id > ? AND id <= ? ORDER BY id`
	factsStatement   = `SELECT key, value FROM node_state`
	sizesStatement   = `SELECT id, octet_length(command) FROM logs WHERE id <= ? ORDER BY id DESC`
)

// rowsPerInsert is how many entries one INSERT writes if there are as many: 6-12% faster than one by one.
const rowsPerInsert = 16

// columnsPerRow is the number of values of an entry in an INSERT.
const columnsPerRow = 5

// insertStatement returns the statement that inserts n entries.
func insertStatement(n int) string {
	return `INSERT INTO logs (id, term, command, timestamp, crc) VALUES ` +
		strings.TrimSuffix(strings.Repeat(`(?, ?, ?, ?, ?), `, n), `, `)
}

// creation lists the statements that turn an empty file into a raft.db.
func creation(initial map[string]string, format int64) []string {
	statements := []string{
		beginStatement, logsTable, nodeStateTable,
		fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
		setFormatStatement(format),
	}
	for key, value := range initial {
		statements = append(statements, fmt.Sprintf(`INSERT INTO node_state VALUES ('%s', '%s')`, key, value))
	}
	return append(statements, commitStatement)
}
