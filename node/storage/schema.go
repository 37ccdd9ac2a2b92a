package storage

import (
	"fmt"
	"strings"
)

const (
	// databaseName is the file in the data directory.
	databaseName = "raft.db"
	// formatVersion stands in PRAGMA user_version. A program refuses a database with a higher one. In format 1 each crc
	// covered its own row alone, and node_state had neither keyVersion nor keyWAL.
	formatVersion = chainedFormat
	chainedFormat = 2
	// applicationID stands in PRAGMA application_id and tells a raft.db from another SQLite database: "Kont".
	applicationID = 0x4b6f6e74
	// pageSize of the database, in bytes; SQLite's default. A larger one was measured to gain nothing.
	pageSize = 4096
)

// oldestSQLite is the first version without the WAL-reset bug (trap S2).
var oldestSQLite = [3]int{3, 51, 3}

// The tables. Their names and columns are a promise to everyone who opens raft.db with a tool.
const (
	logsTable = `CREATE TABLE logs (id INTEGER PRIMARY KEY, term INTEGER NOT NULL, index_ INTEGER AS (id), ` +
		`command TEXT NOT NULL, timestamp REAL NOT NULL, crc INTEGER NOT NULL)`
	nodeStateTable = `CREATE TABLE node_state (key TEXT PRIMARY KEY, value TEXT NOT NULL)`
)

// pragma is a setting of a connection and what it must read back as (trap S1).
type pragma struct{ name, set, want string }

// commonPragmas hold for every connection.
var commonPragmas = []pragma{
	{"busy_timeout", "5000", "5000"},
	{"mmap_size", "0", "0"}, // an I/O error on mapped memory kills the process without a word (trap S7)
	{"cell_size_check", "1", "1"},
	{"trusted_schema", "0", "0"},
}

// writerPragmas hold for the connection that writes.
var writerPragmas = []pragma{
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"}, // NORMAL does not sync a commit (traps S1, T55)
	{"fullfsync", "1", "1"},      // without it, macOS leaves the data in the disk's cache
	{"checkpoint_fullfsync", "1", "1"},
	{"cache_spill", "0", "0"},        // a transaction writes each page once: checkWAL counts on it
	{"wal_autocheckpoint", "0", "0"}, // SQLite's own checkpoint swallows its errors; ours does not (trap T53)
}

// Statements of the writer.
const (
	beginStatement  = `BEGIN IMMEDIATE`
	chainStatement  = `UPDATE logs SET crc = ? WHERE id = ?`
	commitStatement = `COMMIT`
	deleteStatement = `DELETE FROM logs WHERE id >= ?`
	updateStatement = `UPDATE node_state SET value = ? WHERE key = ?`
	upsertStatement = `INSERT INTO node_state (value, key) VALUES (?, ?) ` +
		`ON CONFLICT (key) DO UPDATE SET value = excluded.value`
)

// setFormatStatement names the format in the database.
var setFormatStatement = fmt.Sprintf(`PRAGMA user_version = %d`, formatVersion)

// Statements of the reader. The cast spares a conversion: the driver hands out text as a string.
const (
	rangeStatement = `SELECT id, term, timestamp, crc, CAST(command AS BLOB) FROM logs WHERE id >= ? ORDER BY id LIMIT ?`
	factsStatement = `SELECT key, value FROM node_state`
)

// rowsPerInsert is how many entries one INSERT carries where there are as many: 6-12% faster than one by one.
const rowsPerInsert = 16

// columnsPerRow is the number of values of an entry in an INSERT.
const columnsPerRow = 5

// insertStatement writes n entries.
func insertStatement(n int) string {
	return `INSERT INTO logs (id, term, command, timestamp, crc) VALUES ` +
		strings.TrimSuffix(strings.Repeat(`(?, ?, ?, ?, ?), `, n), `, `)
}

// creation is everything that makes an empty file a raft.db.
func creation(initial map[string]string) []string {
	statements := []string{
		beginStatement, logsTable, nodeStateTable,
		fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
		setFormatStatement,
	}
	for key, value := range initial {
		statements = append(statements, fmt.Sprintf(`INSERT INTO node_state VALUES ('%s', '%s')`, key, value))
	}
	return append(statements, commitStatement)
}
