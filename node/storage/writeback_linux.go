package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// writeBack has the system begin to write what was written to a file, after what it has begun before is written. It
// makes nothing durable: a sync of the file still has to follow, and then finds little to do. A sync instead would make
// the journal of the file system wait for all of that, and with the journal the next sync of raft.db.
//
// An error means that the disk did not take a part of the file. As after a failed sync, the system does not return it
// again, so a later sync of the file proves nothing (trap T53).
func writeBack(file *os.File) error {
	return syncRange(file, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE)
}

// writePartBack is writeBack for a part of a file, and waits until it is written.
func writePartBack(file *os.File, from, length int64) error {
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return syncRange(file, from, length, all)
}

func syncRange(file *os.File, from, length int64, flags int) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = connection.Control(func(fd uintptr) {
		for failure = unix.EINTR; failure == unix.EINTR; { //nolint:errorlint // as the system returns it
			failure = unix.SyncFileRange(int(fd), from, length, flags)
		}
	})
	return errors.Join(err, ofDisk(failure))
}

// ofDisk returns the error of such a call, or nil if the system refused the call itself: gVisor does not have all
// of it, a seccomp filter may forbid it, and some files have no ranges. Then the sync that follows does all the work.
func ofDisk(err error) error {
	for _, refusal := range []error{unix.ENOSYS, unix.EINVAL, unix.EPERM, unix.EOPNOTSUPP, unix.ESPIPE} {
		if errors.Is(err, refusal) {
			return nil
		}
	}
	return err
}

// forgetPages has the next reads of a file come from the disk. The disk may not have taken what the memory of the
// system holds: the system returned that error once, to an earlier process, which may have ended before it removed the
// file (trap T53).
func forgetPages(file *os.File) error {
	if err := file.Sync(); err != nil { // only what is written can be dropped
		return err
	}
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = connection.Control(func(fd uintptr) { failure = unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) })
	return errors.Join(err, ofDisk(failure))
}
