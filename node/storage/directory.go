package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file that holds the lock on a data directory, and the process id of the holder.
const lockName = "LOCK"

// makeDirectory creates dir and what is missing above it, and makes each new name durable: a directory that
// was not synced into its parent may be gone after a power cut, with everything in it (trap T56).
func makeDirectory(dir string) error {
	switch info, err := os.Stat(dir); {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is a file, but must be a directory", dir)
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDirectory(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDirectory(parent)
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockDirectory takes the directory for this process. The lock is the kernel's: it ends with the process,
// however that ends.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := readHolder(f)
		_ = f.Close() // the lock was not taken: there is nothing to lose
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w by %s", ErrLocked, holder)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(err, unlockDirectory(f))
	}
	return f, nil
}

// unlockDirectory gives the lock back. Closing the file alone would not do while a process that was being
// started just then still has a copy of it.
func unlockDirectory(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readHolder names the process that wrote the lock file.
func readHolder(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0) // an unreadable name is as good as none
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	switch {
	case err != nil:
		return "another process"
	case pid == os.Getpid():
		// Containers count their processes each for itself, so that the numbers of two may be the same.
		return fmt.Sprintf("process %d, which is this one or that of another container", pid)
	}
	return fmt.Sprintf("process %d", pid)
}

// ownership says who this process is, and to whom a path belongs, or what there is above it.
func ownership(path string) string {
	who := fmt.Sprintf("this process runs as user id %d and group id %d", os.Geteuid(), os.Getegid())
	for {
		var owner unix.Stat_t
		info, err := os.Stat(path)
		if err == nil && unix.Stat(path, &owner) == nil {
			return fmt.Sprintf("%s, and %s belongs to user id %d and group id %d with mode %v", who, path, owner.Uid,
				owner.Gid, info.Mode())
		}
		parent := filepath.Dir(path)
		if parent == path {
			return who
		}
		path = parent
	}
}

func refuseNetworkDisk(dir string) error {
	remote, err := isNetworkDisk(dir)
	if err == nil && remote {
		err = ErrNetworkDisk
	}
	return err
}

// freeBytes is the space that an unprivileged process may still use on the file system that holds path.
func freeBytes(path string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil //nolint:unconvert // the types differ between systems
}
