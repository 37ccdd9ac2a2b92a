package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Stopped is a data directory in which no node runs. None can start in it until Close.
type Stopped struct {
	dir  string
	lock *os.File
}

// OpenStopped locks a data directory and writes nothing to it. The error wraps ErrLocked if a process has it open.
func OpenStopped(dir string) (*Stopped, error) {
	dir, err := filepath.Abs(dir) // SQLite takes the first part of a relative path in a URI for a host
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, databaseName)); err != nil {
		return nil, fmt.Errorf("verify %s: %w: it has no %s", dir, ErrNotDatabase, databaseName)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, explain("verify", dir, err)
	}
	if err := lockFile(f, filepath.Join(dir, lockName)); err != nil {
		return nil, explain("verify", dir, errors.Join(err, f.Close()))
	}
	return &Stopped{dir: dir, lock: f}, nil
}

// Close releases the directory.
func (s *Stopped) Close() error { return s.lock.Close() }

// Verify reads and checks everything in the directory, and changes nothing in it. The error states why it could not be
// checked.
func (s *Stopped) Verify() (*Verification, error) {
	path := filepath.Join(s.dir, databaseName)
	v := &Verification{}
	state := filepath.Join(s.dir, stateName)
	if pending := filepath.Join(s.dir, snapshotsName, pendingName); exists(pending) {
		state = pending
		v.Warnings = append(v.Warnings, "the installation of a snapshot was interrupted; the next start completes it")
	}
	position, known := raft.LogStart{}, true
	if info, err := os.Stat(state); err == nil && info.Size() > 0 {
		if err := v.verify(state, func(c *conn) error { return v.checkState(c, false) }); err != nil {
			return nil, err
		}
		if known = v.State != nil; known {
			position = v.State.Position
		}
	}
	if err := v.verify(path, func(c *conn) error { return v.checkLog(c, path, position, known) }); err != nil {
		return nil, err
	}
	return v, nil
}
