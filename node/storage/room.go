package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// The log must be writable as long as possible, so everything else leaves it a reserve. A snapshot leaves all of it. A
// checkpoint may take half: without it the log cannot be cut, and what was deleted is not removed.

// statePart is the part of the reserve that a checkpoint leaves.
const statePart = 2

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

// StateFiles returns the sizes of the files of the checkpoint: the last ones while a checkpoint is written or copied.
func (d *DB) StateFiles() snapshot.Files {
	s := &d.checkpoint
	if s.mu.TryLock() {
		defer s.mu.Unlock()
		if sizes, err := s.sizes(); err == nil {
			d.stateFiles.Store(&sizes)
		}
	}
	if sizes := d.stateFiles.Load(); sizes != nil {
		return *sizes
	}
	return snapshot.Files{}
}

// sizes returns the sizes of the files; zero if there are none yet. The caller has the lock.
func (s *stateFile) sizes() (snapshot.Files, error) {
	if s.reader == nil || s.failure != nil {
		return snapshot.Files{}, s.failure
	}
	pages, err := s.reader.value(`PRAGMA page_count`)
	if err != nil {
		return snapshot.Files{}, err
	}
	unused, err := s.reader.value(`PRAGMA freelist_count`)
	if err != nil {
		return snapshot.Files{}, err
	}
	all, _ := pages.(int64)
	free, _ := unused.(int64)
	return snapshot.Files{
		State: all * pageSize, Owed: max(0, all*pageSize-lengthOf(s.path)), Reusable: free * pageSize,
		Spare: max(0, lengthOf(s.path+walSuffix)-walLength(s.kept)),
	}, nil
}

// lengthOf returns the length of a file; 0 if there is none.
func lengthOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// checkRoom refuses a file for which the disk has no room beside the reserve.
func (f *snapshotFiles) checkRoom(bytes int64) error {
	return f.roomBeside(bytes, f.reserve.Load(), "a snapshot")
}

// roomForState refuses a checkpoint for which the disk has no room beside its part of the reserve. Without a reserve it
// may use all there is. One of everything is a new file.
func (d *DB) roomForState(delta *kv.Delta, last []*kv.DeltaChange) error {
	reserve := d.snapshots.reserve.Load()
	if reserve == 0 {
		return nil
	}
	var files snapshot.Files
	if delta.Since != 0 {
		files, _ = d.checkpoint.sizes() // if they cannot be read, the checkpoint finds out why
	}
	bytes, _ := files.Room(delta.Volume(last))
	if bytes == 0 {
		return nil // it fits into the files
	}
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

// giveBack gives the disk back what a transaction took of it for the write-ahead log before it found the disk full, and
// all of the log if it can be copied: no page of the transaction counts.
func (s *stateFile) giveBack() error {
	if s.writer == nil {
		return nil
	}
	if log := s.path + walSuffix; lengthOf(log) > s.before {
		if err := os.Truncate(log, s.before); err != nil {
			return err
		}
	}
	err := s.noteKept(truncateCheckpoint)
	if isFull(explain("checkpoint", s.path, err)) {
		return nil
	}
	return err
}

// noRoom makes an error one that a later attempt may not have.
func noRoom(err error) error { return fmt.Errorf("%w: %w", snapshot.ErrNoRoom, err) }

// isFull reports whether an error is that of a full disk.
func isFull(err error) bool { return errors.Is(err, ErrDiskFull) }
