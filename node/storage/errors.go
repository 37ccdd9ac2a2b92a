package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Errors about a data directory. Errors of this package wrap one of these where it applies, and state which file,
// what is wrong with it, and what to do.
var (
	// ErrLocked: another process, or another DB of this one, has the directory open.
	ErrLocked = errors.New("the data directory is in use")
	// ErrNewerFormat: a newer version of the program wrote the database. Nothing was changed.
	ErrNewerFormat = errors.New("the database was written by a newer version")
	// ErrDamaged: data that was written, and may have been acknowledged, is missing or changed (trap T54). Nothing
	// was changed.
	ErrDamaged = errors.New("the database is damaged")
	// ErrIncomplete: the disk has less than this node saved, so a file is missing, was cut or was replaced by an
	// older one. It wraps ErrDamaged. Nothing was changed.
	ErrIncomplete = fmt.Errorf("%w: it has less than was saved", ErrDamaged)
	// errTooOld: state.db is missing, or older than the start of the log.
	errTooOld    = fmt.Errorf("%w", ErrIncomplete)
	errEmptyFile = fmt.Errorf("%w: the file is empty, and never was when it was made", ErrDamaged)
	// ErrForeignFile: a file that this package would write to is a link, or has unexpected content. Nothing was
	// changed.
	ErrForeignFile = errors.New("the data directory holds a file that the node did not make")
	// ErrBusy: another process holds a lock on the database.
	ErrBusy = errors.New("another process holds a lock on the database")
	// ErrNotDatabase: the file exists but is not a raft.db. Nothing was changed.
	ErrNotDatabase = errors.New("the file is not a raft database")
	// ErrReadOnly: the directory or a file in it cannot be written.
	ErrReadOnly = errors.New("the data directory cannot be written")
	// ErrDiskFull: the disk has no room for the write.
	ErrDiskFull = errors.New("the disk is full")
	// ErrNetworkDisk: the directory is on NFS or SMB, where SQLite's write-ahead log does not work (trap S7).
	ErrNetworkDisk = errors.New("the data directory is on a network file system")
	// ErrSnapshotBusy: the one copy of the checkpoint is in use, and too old.
	ErrSnapshotBusy = snapshot.ErrBusy
	// ErrSnapshotGap: a part of a snapshot does not follow what is there; Incoming.Offset returns where to go on.
	ErrSnapshotGap = errors.New("a part of the snapshot is missing")
	// ErrClosed: the DB was closed.
	ErrClosed = errors.New("the database is closed")
)

// advice states what the user can do about each kind of error.
var advice = []struct {
	err  error
	text string
}{
	{ErrLocked, "stop the other process, or use another directory"},
	{ErrNewerFormat, "start the version that wrote it, or a later one"},
	{snapshot.ErrDamagedState, "raft.db has the vote and the log, and is checked apart"},
	{ErrIncomplete, "raft.db, raft.db-wal and raft.db-mark belong together: if one was deleted, moved or replaced, put " +
		"back all three as they were when the node ended last. A copy or a backup of a running node is older than what " +
		"the node acknowledged since, and is as bad as an empty directory: if the files are lost, keep the directory aside " +
		"and this node off; the cluster runs on as long as a majority of its members do"},
	{ErrForeignFile, "remove it, or copy it to a plain file of that name if it is yours, and start again; the data " +
		"directory itself may be a link"},
	{ErrBusy, "end the other program, or its transaction, and start the node again; read-only queries are harmless"},
	{ErrDamaged, "do not repair or delete it in place: this node may have acknowledged what is lost. " +
		"Keep the directory aside and this node off; the cluster runs on as long as a majority of its members do"},
	{ErrNotDatabase, "check the directory; if it is the right one, put raft.db back; a node that took part " +
		"before cannot start with an empty directory"},
	{ErrReadOnly, "let this user own the directory, or its group write it, and check whether its file system is mounted " +
		"read-only; in a pod, set securityContext.fsGroup to a group of this process"},
	{ErrDiskFull, "free some space or grow the volume, and start again; what was acknowledged is safe"},
	{ErrNetworkDisk, "use a local disk or a block volume"},
}

// explain wraps an error with the operation, the file and, if its kind is known, advice.
func explain(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err, path)
	if kind != nil && !errors.Is(err, kind) {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	if errors.Is(err, ErrBusy) {
		err = fmt.Errorf("%w, held by %s", err, databaseHolders(path))
	}
	if errors.Is(err, ErrReadOnly) { // trap O28
		err = fmt.Errorf("%w: %s", err, ownership(path))
	}
	for _, a := range advice {
		if errors.Is(err, a.err) {
			return fmt.Errorf("%s %s: %w (%s)", doing, path, err, a.text)
		}
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}

// kindOf returns the sentinel for an error of SQLite or of the operating system, or nil.
func kindOf(err error, path string) error {
	var failure interface { // *sqlite.Error or *codeError
		error
		Code() int
	}
	switch {
	case errors.As(err, &failure):
		return kindOfCode(failure.Code(), path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrDiskFull
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return ErrReadOnly
	}
	return nil
}

func kindOfCode(code int, path string) error {
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return ErrDiskFull
	case sqlite3.SQLITE_READONLY:
		if unix.Access(path, unix.W_OK) == nil && unix.Access(filepath.Dir(path), unix.W_OK) == nil {
			return ErrDamaged // SQLite does not write to a file whose header asks for a later SQLite
		}
		return ErrReadOnly
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return ErrBusy
	case sqlite3.SQLITE_PERM:
		return ErrReadOnly
	case sqlite3.SQLITE_NOTADB:
		return ErrNotDatabase
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH,
		sqlite3.SQLITE_TOOBIG:
		// The statements are constant, and were valid when the file was created.
		return ErrDamaged
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		// If the shared-memory file cannot grow, SQLite reports an I/O error instead of a full disk. This checks the
		// directory, because at the first start the file does not exist under its name yet.
		if free, err := freeBytes(filepath.Dir(path)); err == nil && free < nearlyFull {
			return ErrDiskFull
		}
	}
	return nil
}

// nearlyFull is the number of free bytes below which a full disk is the likely cause of an I/O error.
const nearlyFull = 128 << 10
