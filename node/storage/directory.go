package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// lockName is the file that holds the process id of the holder of the data directory.
const lockName = "LOCK"

// directoryLock locks a data directory for one process. The kernel releases the locks when the process ends in any
// way. The lock on the directory itself is authoritative, because it cannot be removed without the data. LOCK names
// its holder, and is locked too, because older versions lock it alone.
type directoryLock struct {
	dir, file *os.File
}

// lockDirectory locks the directory for this process.
func lockDirectory(dir string) (*directoryLock, error) {
	l := &directoryLock{}
	if err := l.take(dir); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (l *directoryLock) take(dir string) error {
	var err error
	if l.dir, err = os.Open(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, lockName)
	if err := lockFile(l.dir, name); err != nil {
		return err
	}
	if l.file, err = openPrivate(name); err != nil {
		return err
	}
	if err := lockFile(l.file, name); err != nil {
		return err
	}
	return errors.Join(writeHolder(l.file), closeToOthers(l.dir))
}

// lockFile locks a file. Its error names the holder: name is the file with the holder's process id.
func lockFile(f *os.File, name string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w by %s", ErrLocked, directoryHolder(f, name))
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

// release releases the locks. Closing the files alone would not do while a process that is just being started still
// has a copy of them.
func (l *directoryLock) release() error {
	var errs []error
	for _, f := range []*os.File{l.file, l.dir} {
		if f != nil {
			errs = append(errs, unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
		}
	}
	return errors.Join(errs...)
}

// holderLength is the size of LOCK: a process id, padded with spaces, and a newline. The length never changes, so no
// truncation is needed.
const holderLength = 20

// writeHolder writes this process's id into LOCK, unless the file holds something else.
func writeHolder(f *os.File) error {
	held := make([]byte, 4*holderLength)
	n, _ := f.ReadAt(held, 0) // returns io.EOF for a whole file too
	if _, known := parseHolder(held[:n]); !known {
		return fmt.Errorf("%w: %s does not hold a process id", ErrForeignFile, lockName)
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%-*d\n", holderLength-1, os.Getpid()), 0)
	return err
}

// parseHolder parses the content of LOCK: a process id, or 0 if empty. It returns false for anything else.
func parseHolder(content []byte) (pid int, known bool) {
	content = bytes.Trim(content, " \n\x00") // after a power loss the file may hold zeros
	if len(content) == 0 {
		return 0, true
	}
	pid, err := strconv.Atoi(string(content))
	return pid, err == nil && pid > 0
}

// directoryHolder names the process that holds the lock f, by LOCK or else by the system.
func directoryHolder(f *os.File, name string) string {
	var pid int
	if file, err := os.OpenFile(name, os.O_RDONLY|openFlags, 0); err == nil {
		content := make([]byte, 4*holderLength)
		n, _ := file.ReadAt(content, 0) // an unreadable name counts as none
		pid, _ = parseHolder(content[:n])
		_ = file.Close()
	}
	if pid == 0 {
		if others := lockHolders("FLOCK", f.Name()); len(others) > 0 {
			pid = others[0]
		}
	}
	switch pid {
	case 0:
		return "another process"
	case os.Getpid():
		// Containers number their processes separately, so two processes may have the same id.
		return fmt.Sprintf("process %d, which is this one or that of another container", pid)
	}
	return describeProcess(pid)
}

// describeProcess names a process by its id and, if known, its program.
func describeProcess(pid int) string {
	program, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if program = bytes.TrimSpace(program); err != nil || len(program) == 0 {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%q)", pid, program)
}

// databaseHolders names the processes that have locks on the database, as far as the system reports them. It opens
// none of the files: closing one would drop SQLite's own locks on it.
func databaseHolders(path string) string {
	var text string
	for _, suffix := range []string{"-shm", ""} {
		for _, pid := range lockHolders("POSIX", path+suffix) {
			if pid == os.Getpid() {
				continue
			}
			if name := describeProcess(pid); text == "" {
				text = name
			} else if !bytes.Contains([]byte(text), []byte(name)) {
				text += ", " + name
			}
		}
	}
	if text == "" {
		return "another process"
	}
	return text
}

// ownership describes this process's user and the owner of a path, or of its first parent that exists.
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

// freeBytes returns the space that an unprivileged process may still use on the file system of path.
func freeBytes(path string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil //nolint:unconvert // the types differ between systems
}
