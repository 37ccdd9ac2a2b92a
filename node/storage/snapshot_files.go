package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// snapshotsName is the directory, in the data directory, of copies of state.db: at most one that is sent, and one
	// that is received.
	snapshotsName = "snapshots"
	// copyName is the file that is sent.
	copyName = "copy.db"
	// incomingPrefix and incomingSuffix enclose the name of the file that is received.
	incomingPrefix, incomingSuffix = "incoming-", ".part"
	// pendingName is the file that is about to become state.db. Once a file has this name, it will.
	pendingName = "install.db"
)

// snapshotFiles are the files in the directory of the snapshots.
type snapshotFiles struct {
	dir    string
	state  string // the path of state.db
	inject injector
	grace  time.Duration // for which a copy that is not used is kept

	// mu guards the rest.
	mu       sync.Mutex
	copy     *snapshotCopy // nil if there is none
	incoming *Incoming     // nil if there is none
}

func (f *snapshotFiles) do(what string, call func() error) error {
	if f.inject == nil {
		return call()
	}
	return f.inject(what, call)
}

func (f *snapshotFiles) path(name string) string { return filepath.Join(f.dir, name) }

// open checks the directory, if there is one, and removes what an earlier process left in it: a copy. What it received
// stays, so that it need not be sent again.
func (f *snapshotFiles) open() error {
	info, err := os.Lstat(f.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%w: %s is no directory (%v)", ErrForeignFile, snapshotsName, info.Mode())
	}
	if err != nil {
		return err
	}
	names, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, entry := range names {
		if name := entry.Name(); strings.HasPrefix(name, copyName) || strings.HasPrefix(name, pendingName+"-") {
			if err := os.Remove(f.path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// create opens a file in the directory, and creates both if they are missing.
func (f *snapshotFiles) create(name string) (*os.File, error) {
	if err := makeDirectory(f.dir); err != nil {
		return nil, err
	}
	if err := f.open(); err != nil { // the directory may have been replaced by a link
		return nil, err
	}
	return openPrivate(f.path(name))
}

// replaceState makes the pending file state.db (trap T37). The files of the old one go first: SQLite would take its
// write-ahead log for that of the new one.
func (f *snapshotFiles) replaceState() error {
	return f.do("replace state.db", func() error {
		for _, suffix := range ownSuffixes {
			if err := os.Remove(f.state + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		if err := syncDirectory(filepath.Dir(f.state)); err != nil {
			return err
		}
		if err := os.Rename(f.path(pendingName), f.state); err != nil {
			return err
		}
		return errors.Join(syncDirectory(filepath.Dir(f.state)), syncDirectory(f.dir)) // trap T56
	})
}

// close removes the copy, and closes what is received.
func (f *snapshotFiles) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.dropCopy()
	if f.incoming != nil {
		err = errors.Join(err, f.incoming.closeFile())
		f.incoming = nil
	}
	return err
}

// checkRoom refuses a file for which the disk has no room.
func (f *snapshotFiles) checkRoom(bytes int64) error {
	free, err := freeBytes(filepath.Dir(f.dir))
	if err == nil && free < bytes {
		err = fmt.Errorf("%w: a snapshot needs %d bytes, and %d are free", ErrDiskFull, bytes, free)
	}
	return err
}
