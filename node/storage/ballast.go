package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Another program may take the last byte of the disk before the node has measured it. Until then saves go on, and so do
// votes after it. So a part of the disk is put aside in a file, the ballast, which a save that finds no room removes.

const (
	// ballastSuffix is appended to the name of the database to form that of the file.
	ballastSuffix = "-ballast"
	// ballastPart is the part of the reserve that it takes, and maxBallast the most: it must hold what is saved between
	// two measurements of the disk.
	ballastPart = 4
	maxBallast  = 16 << 20
	// ballastStep is how much of it is written under the lock.
	ballastStep = 1 << 20
)

// ballast is the file. The zero value but for path has none.
type ballast struct {
	path string

	mu    sync.Mutex
	file  *os.File // while it is written
	size  int64
	spent bool // there is none since the disk had no room
}

// open takes over the file that an earlier process left, of whatever length.
func (b *ballast) open() error {
	if err := checkPrivate(b.path); err != nil {
		return err
	}
	info, err := os.Stat(b.path)
	if err == nil {
		b.size = info.Size()
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (b *ballast) length() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// release removes the file, and reports whether that made room.
func (b *ballast) release() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	had := b.size > 0
	b.size = 0
	return b.remove() == nil && had
}

// spend is release because the disk has no room.
func (b *ballast) spend() bool {
	if !b.release() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = b.size == 0
	return true
}

// isSpent reports whether the disk has had no room since the ballast was put aside.
func (b *ballast) isSpent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

func (b *ballast) remove() error {
	var err error
	if b.file != nil {
		err = b.file.Close()
		b.file = nil
	}
	if removed := os.Remove(b.path); !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// grow adds a step to the file, of the length at, up to a size, and returns its new length: size if that is all for
// now, because it was released meanwhile, or because the disk is full, where it removes what there is.
func (b *ballast) grow(at, size int64) (length int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size != at {
		return size, nil
	}
	if b.file == nil {
		if b.file, err = openPrivate(b.path); err != nil {
			return at, err
		}
	}
	n, err := b.file.WriteAt(make([]byte, min(ballastStep, size-at)), at)
	b.size += int64(n)
	b.spent = b.spent && b.size < size
	if err == nil && b.size < size {
		return b.size, nil
	}
	err = errors.Join(err, b.file.Close())
	b.file = nil
	if errors.Is(kindOf(err, b.path), ErrDiskFull) {
		b.size = 0
		return size, b.remove()
	}
	return size, err
}

// startRoom is about what a start writes beside the write-ahead log: the indexes of the logs, and the mark.
const startRoom = 1 << 20

// spendBallast releases the ballast before a start that would find no room for what it writes, of which growth bytes go
// to the database.
func (d *DB) spendBallast(growth int64) error {
	length := int64(0)
	info, err := os.Stat(d.path + walSuffix)
	if err == nil {
		length = info.Size()
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	needed := startRoom + max(0, walLength(d.checkpointPages)-length) + growth
	if free, err := freeBytes(filepath.Dir(d.path)); err != nil || free >= needed {
		return err
	}
	d.ballast.spend()
	return nil
}

// copyAtStart copies all of the write-ahead log that an earlier process left into the database.
func (d *DB) copyAtStart() error {
	growth, err := d.growth()
	if err == nil {
		err = d.spendBallast(growth)
	}
	if err != nil {
		return err
	}
	return d.writer.exec(restartCheckpoint)
}

// KeepBallast puts the ballast aside if there is none and the disk has room for it beside the reserve. It is called now
// and then.
func (d *DB) KeepBallast() error {
	reserve := d.snapshots.reserve.Load()
	size := min(reserve/ballastPart, maxBallast)
	if size == 0 {
		d.ballast.release()
		return nil
	}
	at := d.ballast.length()
	missing := size - at
	if missing <= 0 {
		return nil
	}
	if free, err := d.FreeBytes(); err != nil || free-missing < reserve+reserve/4 {
		return err
	}
	var err error
	for at < size && err == nil {
		at, err = d.ballast.grow(at, size)
	}
	return explain("write", d.ballast.path, err)
}

// transact writes one transaction, and records what it wrote once that is durable. write changes the log and returns
// its new end. The transaction also removes some of the entries that are to be removed.
//
// If a page finds no room on the disk, nothing was synced, and no sync failed (trap T53): the transaction is undone,
// the ballast released, and the transaction made again.
func (d *DB) transact(
	facts map[string]string, state raft.HardState, entries []raft.Entry, write func() (tail, error),
) error {
	start, format, converts := d.start.Load(), d.format, d.unchained != nil
	err := d.transactOnce(facts, state, entries, write)
	if !foundNoRoom(err) || converts || !d.ballast.spend() || !undone(d.writer) {
		return err
	}
	d.start.Store(start)
	d.format = format
	return d.transactOnce(facts, state, entries, write)
}

// undone undoes a transaction that found the disk full, and reports whether the database is as before. SQLite may have
// undone it already.
func undone(c *conn) bool {
	return c.exec(rollbackStatement) == nil || c.exec(beginStatement) == nil && c.exec(rollbackStatement) == nil
}

// roomToCopy returns an error if the disk has no room for what the database would grow by if all of the write-ahead log
// was copied. A copy that finds no room does not end a round of the log, and would take the room that the log needs.
func (d *DB) roomToCopy() error {
	growth, err := d.growth()
	if err != nil {
		return err
	}
	free, err := freeBytes(d.path)
	if err == nil && growth > free {
		return &codeError{code: sqlite3.SQLITE_FULL, text: fmt.Sprintf("the database would grow by %d bytes, and %d are "+
			"free", growth, free)}
	}
	return err
}

// growth returns the number of bytes by which the database would grow if all of the write-ahead log was copied.
func (d *DB) growth() (int64, error) {
	value, err := d.writer.value(`PRAGMA page_count`)
	if err != nil {
		return 0, err
	}
	info, err := d.synced.Stat()
	if err != nil {
		return 0, err
	}
	pages, is := value.(int64)
	if !is {
		return 0, fmt.Errorf("the number of pages is %v", value)
	}
	return max(0, pages*pageSize-info.Size()), nil
}
