package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What can be wrong with a data directory. Errors of this package wrap one of these where it applies, and say
// which file, what is wrong with it, and what to do.
var (
	// ErrLocked: another process, or another DB of this one, has the directory open.
	ErrLocked = errors.New("the data directory is in use")
	// ErrNewerFormat: a newer version of the program wrote the database. Nothing was changed.
	ErrNewerFormat = errors.New("the database was written by a newer version")
	// ErrDamaged: something that was once written, and may have been acknowledged, is gone or not what was
	// written (trap T54). Nothing was changed.
	ErrDamaged = errors.New("the database is damaged")
	// ErrIncomplete: less is there than this node had saved, so a file is missing, was cut short or was replaced by an
	// older one. It is a kind of ErrDamaged. Nothing was changed.
	ErrIncomplete = fmt.Errorf("%w: it is not all that was saved", ErrDamaged)
	// ErrForeignFile: a file that this package would write to is a link, or not what its name says. Nothing was changed.
	ErrForeignFile = errors.New("the data directory holds a file that the node did not make")
	// ErrBusy: another process holds a lock on the database.
	ErrBusy = errors.New("another process holds a lock on the database")
	// ErrNotDatabase: there is a file of that name, but it is not a raft.db. Nothing was changed.
	ErrNotDatabase = errors.New("the file is not a raft database")
	// ErrReadOnly: the directory or a file in it cannot be written.
	ErrReadOnly = errors.New("the data directory cannot be written")
	// ErrDiskFull: there is no room for what was to be written.
	ErrDiskFull = errors.New("the disk is full")
	// ErrNetworkDisk: the directory is on NFS or SMB, where SQLite's write-ahead log does not work (trap S7).
	ErrNetworkDisk = errors.New("the data directory is on a network file system")
	// ErrClosed: the DB was closed.
	ErrClosed = errors.New("the database is closed")
)

// advice tells what to do about each error that a person can do something about.
var advice = []struct {
	err  error
	text string
}{
	{ErrLocked, "stop the other process, or use another directory"},
	{ErrNewerFormat, "start the version that wrote it, or a later one"},
	{ErrIncomplete, "raft.db, raft.db-wal and raft.db-mark belong together: if one was deleted, moved or replaced, put " +
		"back all three as they were when the node ended last. A copy or a backup of a running node is older than what " +
		"the node acknowledged since, and is as bad as an empty directory: if the files are lost, keep the directory aside " +
		"and this node off; the cluster runs on as long as a majority of its members do"},
	{ErrForeignFile, "remove it, or copy it to a plain file of that name if it is yours, and start again; the data " +
		"directory itself may be a link"},
	{ErrBusy, "end the other program, or its transaction, and start the node again; read-only queries disturb nobody"},
	{ErrDamaged, "do not repair or delete it in place: this node may have acknowledged what is lost. " +
		"Keep the directory aside and this node off; the cluster runs on as long as a majority of its members do"},
	{ErrNotDatabase, "check the directory; if it is the right one, put raft.db back; a node that took part " +
		"before cannot start with an empty directory"},
	{ErrReadOnly, "let this user own the directory, or its group write it, and check whether its file system is mounted " +
		"read-only; in a pod, set securityContext.fsGroup to a group of this process"},
	{ErrDiskFull, "free some space or grow the volume, and start again; what was acknowledged is safe"},
	{ErrNetworkDisk, "use a local disk or a block volume"},
}

// explain wraps an error with what was being done to which file and, if its kind is known, with advice.
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

// kindOf finds the sentinel that an error of SQLite or of the operating system stands for, or nil.
func kindOf(err error, path string) error {
	var failure *sqlite.Error
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
		// Our statements never change, and were right for the file when it was made.
		return ErrDamaged
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		// Where the shared-memory file cannot grow, SQLite reports an I/O error and not a full disk. The directory is asked,
		// because at the first start the file does not exist under its name yet.
		if free, err := freeBytes(filepath.Dir(path)); err == nil && free < nearlyFull {
			return ErrDiskFull
		}
	}
	return nil
}

// nearlyFull is how few free bytes make a full disk the likely cause of an I/O error.
const nearlyFull = 128 << 10
