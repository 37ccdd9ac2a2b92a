package storage

import (
	"fmt"
	"strings"
)

// stateName is the file in the data directory that holds the checkpoint of the state machine.
const stateName = "state.db"

const (
	// stateApplicationID is the value of PRAGMA application_id of a checkpoint: "Kons".
	stateApplicationID = 0x4b6f6e73
	// stateFormat is the value of PRAGMA user_version. A program refuses a checkpoint with a higher one.
	stateFormat = 1
)

// The tables of a checkpoint. Their names and columns are a contract with every tool that opens state.db.
const (
	kvTable = `CREATE TABLE kv (key TEXT PRIMARY KEY, value NOT NULL, content_type TEXT NOT NULL, ` +
		`revision INTEGER NOT NULL, create_revision INTEGER NOT NULL, version INTEGER NOT NULL, ` +
		`position INTEGER NOT NULL, modified REAL NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID`
	// A row of history has many versions (see segment). The id is the revision that ended the first of them, shifted by
	// positionBits, and the position of the change; last_revision ended the last of them.
	historyTable = `CREATE TABLE history (id INTEGER PRIMARY KEY, last_revision INTEGER NOT NULL, ` +
		`versions INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL)`
	metaTable = `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)`
)

// positionBits is the number of bits of a history id that hold a position.
const positionBits = 14

// stateKind describes a checkpoint.
var stateKind = kind{
	application: stateApplicationID, format: stateFormat,
	tables: map[string]string{"kv": kvTable, "history": historyTable, "meta": metaTable},
}

// statePragmas apply to the connection that writes state.db. Unlike raft.db, a transaction may be larger than the
// memory that it may take, so pages are written to the write-ahead log before the end of the transaction.
var statePragmas = []pragma{
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"}, // NORMAL does not sync a commit (traps S1, T50)
	{"fullfsync", "1", "1"},
	{"checkpoint_fullfsync", "1", "1"},
	{"wal_autocheckpoint", "0", "0"}, // SQLite's own checkpoint hides its errors (trap T53)
	{"journal_size_limit", "16777216", "16777216"},
}

const (
	recordColumns  = 9
	historyColumns = 5
)

// Statements about a checkpoint. The cast avoids a conversion: the driver returns text as a string.
const (
	recordsStatement = `SELECT key, CAST(value AS BLOB), content_type, revision, create_revision, version, position, ` +
		`modified, crc FROM kv ORDER BY key`
	historyStatement      = `SELECT id, last_revision, versions, data, crc FROM history ORDER BY id`
	metaStatement         = `SELECT key, value FROM meta`
	deleteRecordStatement = `DELETE FROM kv WHERE key = ?`
	putSegmentStatement   = `INSERT INTO history (id, last_revision, versions, data, crc) VALUES (?, ?, ?, ?, ?)`
	cutHistoryStatement   = `DELETE FROM history WHERE id IN ` +
		`(SELECT id FROM history WHERE id < ? AND last_revision <= ? ORDER BY id LIMIT ?)`
	putMetaStatement    = `INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)`
	deleteMetaStatement = `DELETE FROM meta WHERE key = ?`
)

func putRecordsStatement(n int) string {
	return `INSERT OR REPLACE INTO kv (key, value, content_type, revision, create_revision, version, position, ` +
		`modified, crc) VALUES ` + placeholders(n, recordColumns)
}

// placeholders returns those of n rows.
func placeholders(n, columns int) string {
	row := `(` + strings.TrimSuffix(strings.Repeat(`?, `, columns), `, `) + `), `
	return strings.TrimSuffix(strings.Repeat(row, n), `, `)
}

// stateCreation lists the statements that turn an empty file into a checkpoint of nothing.
func stateCreation() []string {
	statements := []string{
		beginStatement, kvTable, historyTable, metaTable,
		fmt.Sprintf(`PRAGMA application_id = %d`, stateApplicationID),
		fmt.Sprintf(`PRAGMA user_version = %d`, stateFormat),
	}
	for key, value := range (&stateMeta{}).pairs() {
		statements = append(statements, fmt.Sprintf(`INSERT INTO meta VALUES ('%s', '%s')`, key, value))
	}
	return append(statements, commitStatement)
}
