package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
	// asidePrefix begins the name, in the data directory, under which a state.db is kept that differed from those of the
	// other members: the index of the check entry that showed it follows. Only the last one is kept.
	asidePrefix = stateName + ".differs-"
)

// snapshotFiles are the files in the directory of the snapshots.
type snapshotFiles struct {
	dir    string
	state  string // the path of state.db
	inject injector
	grace  time.Duration // for which a copy that is not used is kept
	// reserve is what must stay free (room.go).
	reserve atomic.Int64
	// replaced is how often state.db was replaced by a snapshot.
	replaced atomic.Uint64

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
	found, err := f.check()
	if err != nil || !found {
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

// check refuses a directory that is none, and reports whether there is one.
func (f *snapshotFiles) check() (found bool, err error) {
	info, err := os.Lstat(f.dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%w: %s is no directory (%v)", ErrForeignFile, snapshotsName, info.Mode())
	}
	return err == nil, err
}

// create opens a file in the directory, and creates both if they are missing.
func (f *snapshotFiles) create(name string) (*os.File, error) {
	if err := makeDirectory(f.dir); err != nil {
		return nil, err
	}
	if _, err := f.check(); err != nil { // it may have been replaced by a link
		return nil, err
	}
	return openPrivate(f.path(name))
}

// replaceState makes the pending file state.db (trap T37). The files of the old one go first: SQLite would take its
// write-ahead log for that of the new one. If it differed from those of the other members since a check entry, they are
// kept under another name.
func (f *snapshotFiles) replaceState(differs string) error {
	return f.do("replace state.db", func() error {
		for _, suffix := range ownSuffixes {
			if err := f.remove(suffix, differs); err != nil && !errors.Is(err, os.ErrNotExist) {
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

// remove removes one of the files of state.db, or keeps it aside if it differs. What was kept before is removed.
func (f *snapshotFiles) remove(suffix, differs string) error {
	if !isSet(differs) {
		return os.Remove(f.state + suffix)
	}
	if suffix == "" {
		if _, err := os.Lstat(f.state); err != nil {
			return err // it was kept before a crash
		}
		if err := f.removeKept(); err != nil {
			return err
		}
	}
	return os.Rename(f.state+suffix, filepath.Join(filepath.Dir(f.state), asidePrefix+differs+suffix))
}

// removeKept removes what was kept aside before.
func (f *snapshotFiles) removeKept() error {
	dir := filepath.Dir(f.state)
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range names {
		if strings.HasPrefix(entry.Name(), asidePrefix) {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// isSet reports whether the fact that this node's state differs has an index.
func isSet(differs string) bool { return differs != "" && differs != "0" }

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
