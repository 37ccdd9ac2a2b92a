package storage

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// The log must be writable as long as possible, so everything else leaves it a reserve. A snapshot leaves all of it. A
// checkpoint may take half: without it the log cannot be cut, and what was deleted is not removed.

// statePart is the part of the reserve that a checkpoint leaves.
const statePart = 2

// rowCost is about what a row of a checkpoint takes beside its key and value, with its pages in the write-ahead log.
const rowCost = 512

// SetReserve sets how many bytes of the disk checkpoints and snapshots leave free; 0, the default: none. It may be
// called at any time.
func (d *DB) SetReserve(bytes int64) { d.snapshots.reserve.Store(bytes) }

// TotalBytes returns the size of the file system of the data directory.
func (d *DB) TotalBytes() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.path, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Blocks) * int64(fs.Bsize), nil //nolint:unconvert // the types differ between systems
}

// ReusableBytes returns the bytes inside state.db that hold nothing, which the next checkpoints use first: the last
// figure while a checkpoint is written or copied.
func (d *DB) ReusableBytes() int64 {
	s := &d.checkpoint
	if !s.mu.TryLock() {
		return d.reusable.Load()
	}
	defer s.mu.Unlock()
	if s.reader == nil || s.failure != nil {
		return d.reusable.Load()
	}
	if pages, err := s.reader.value(`PRAGMA freelist_count`); err == nil {
		if n, is := pages.(int64); is {
			d.reusable.Store(n * pageSize)
		}
	}
	return d.reusable.Load()
}

// checkRoom refuses a file for which the disk has no room beside the reserve.
func (f *snapshotFiles) checkRoom(bytes int64) error {
	return f.roomBeside(bytes, f.reserve.Load(), "a snapshot")
}

// roomForState refuses a checkpoint for which the disk has no room beside its part of the reserve. Without a reserve it
// may use all there is.
func (d *DB) roomForState(delta *kv.Delta) error {
	reserve := d.snapshots.reserve.Load()
	if reserve == 0 {
		return nil
	}
	bytes := int64(0)
	for i := range delta.Changes {
		c := &delta.Changes[i]
		bytes += rowCost
		if c.Record != nil {
			bytes += int64(len(c.Key) + len(c.Record.Value))
		}
		if c.Past != nil {
			bytes += int64(len(c.Key) + len(c.Past.Value))
		}
	}
	bytes += max(0, bytes-d.reusable.Load()) // it goes through the write-ahead log
	return d.snapshots.roomBeside(bytes, reserve/statePart, "a checkpoint")
}

func (f *snapshotFiles) roomBeside(bytes, reserve int64, what string) error {
	free, err := freeBytes(filepath.Dir(f.dir))
	if err == nil && free-reserve < bytes {
		err = fmt.Errorf("%w: %w: %s needs %d bytes, %d are free, and %d must stay free", snapshot.ErrNoRoom, ErrDiskFull,
			what, bytes, free, reserve)
	}
	return err
}

// undo undoes a transaction of state.db that found the disk full, of which nothing was synced. It reports whether the
// file is as before. SQLite may have undone it already.
func (s *stateFile) undo() bool {
	if s.writer == nil {
		return true // the file could not be created
	}
	return undone(s.writer)
}

// noRoom makes an error one that a later attempt may not have.
func noRoom(err error) error { return fmt.Errorf("%w: %w", snapshot.ErrNoRoom, err) }

// isFull reports whether an error is that of a full disk.
func isFull(err error) bool { return errors.Is(err, ErrDiskFull) }
