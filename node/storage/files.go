package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Modes of everything that this package creates, whatever the umask: only the node's user can read the values.
const (
	fileMode      = 0o600
	directoryMode = 0o700
	othersBits    = 0o077 // the access of group and others
)

// ownSuffixes are the suffixes of all files that belong to raft.db.
var ownSuffixes = []string{"", walSuffix, "-shm", "-journal", markSuffix}

// openFlags open a file without following a link, truncating it or waiting for the other end of a pipe.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// openPrivate opens or creates a file for writing. It follows no link, truncates nothing and accepts only a regular
// file with one name: a link in the data directory must not make this process write to another file of its user.
func openPrivate(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openFlags, fileMode)
	if err != nil {
		return nil, linkError(path, err)
	}
	if err := makePrivate(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkPrivate refuses a file that openPrivate would not accept, and removes the access of group and others. A
// missing file is accepted. It closes a descriptor of the file, which drops every POSIX lock of this process on it,
// so SQLite must not have it open yet.
func checkPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return linkError(path, err)
	}
	return errors.Join(makePrivate(f), f.Close())
}

// linkError explains the error of opening a symbolic link, or a file that is none.
func linkError(path string, err error) error {
	info, statErr := os.Lstat(path)
	switch {
	case statErr != nil || info.Mode().IsRegular():
		return err
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%w: %s is a symbolic link", ErrForeignFile, filepath.Base(path))
	}
	return fmt.Errorf("%w: %s is no regular file (%v)", ErrForeignFile, filepath.Base(path), info.Mode())
}

// makePrivate refuses what is not a regular file with one name, and removes the access of group and others from a
// file of this user. It cannot do so for a file of another user, who shares it with a group of this process.
func makePrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file (%v)", ErrForeignFile, filepath.Base(f.Name()), info.Mode())
	}
	status, is := info.Sys().(*syscall.Stat_t)
	if !is {
		return nil
	}
	if status.Nlink > 1 {
		return fmt.Errorf("%w: %s has %d hard links", ErrForeignFile, filepath.Base(f.Name()), status.Nlink)
	}
	mode := info.Mode().Perm()
	if int(status.Uid) != os.Geteuid() || mode&othersBits == 0 && info.Size() > 0 {
		return nil
	}
	if info.Size() == 0 {
		mode |= fileMode // the umask may have removed even the owner's rights from a new file
	}
	return f.Chmod(mode &^ othersBits)
}

// makeDirectory creates dir and its missing parents, and makes each new name durable: a directory that was not synced
// into its parent may be lost in a power loss, with everything in it (trap T56).
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
	switch err := os.Mkdir(dir, directoryMode); {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return err
	default:
		if err := os.Chmod(dir, directoryMode); err != nil { // the umask may have removed some of it
			return err
		}
	}
	return syncDirectory(parent)
}

// closeToOthers removes the access of group and others from a data directory that existed before, if it is this
// user's and holds nothing else. A directory with other uses, such as /tmp or a home, stays as it is.
func closeToOthers(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	status, is := info.Sys().(*syscall.Stat_t)
	if !is || int(status.Uid) != os.Geteuid() || info.Mode().Perm()&othersBits == 0 {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != lockName && name != "lost+found" && name != snapshotsName && !strings.HasPrefix(name, databaseName) &&
			!strings.HasPrefix(name, stateName) {
			return nil
		}
	}
	return dir.Chmod(info.Mode() &^ othersBits)
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
