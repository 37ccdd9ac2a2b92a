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
	// other members: the index of the check entry that showed it follows. damagedPrefix begins that of one which was
	// damaged: the index of the last entry at that time follows. Only the last file of both kinds is kept.
	asidePrefix   = stateName + ".differs-"
	damagedPrefix = stateName + ".damaged-"
	// rewrittenName is a checkpoint that will take the place of one that is damaged.
	rewrittenName = "rewritten.db"
)

// snapshotFiles are the files in the directory of the snapshots.
type snapshotFiles struct {
	dir    string
	state  string // the path of state.db
	inject injector
	grace  time.Duration // for which a copy that is not used is kept
	// patience is how long a copy that is not read is kept from one who needs a newer one.
	patience time.Duration
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
		name := entry.Name()
		if strings.HasPrefix(name, copyName) || strings.HasPrefix(name, pendingName+"-") ||
			strings.HasPrefix(name, rewrittenName) {
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

// clearState removes the files of state.db, before the pending file becomes that (trap T37): SQLite would take the
// write-ahead log of the old one for that of the new one. They are kept under a name if there is one. It may be called
// again after a crash.
func (f *snapshotFiles) clearState(aside string) error {
	return f.do("remove state.db", func() error {
		for _, suffix := range ownSuffixes {
			if err := f.remove(suffix, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return syncDirectory(filepath.Dir(f.state))
	})
}

// placeState makes the pending file state.db, which is not there.
func (f *snapshotFiles) placeState() error {
	return f.do("replace state.db", func() error {
		if err := os.Rename(f.path(pendingName), f.state); err != nil {
			return err
		}
		return errors.Join(syncDirectory(filepath.Dir(f.state)), syncDirectory(f.dir)) // trap T56
	})
}

// remove removes one of the files of state.db, or keeps it under a name. What was kept before is removed, unless there
// is nothing to keep: it was kept before a crash.
func (f *snapshotFiles) remove(suffix, aside string) error {
	if aside == "" {
		return os.Remove(f.state + suffix)
	}
	if suffix == "" {
		info, err := os.Lstat(f.state)
		if err != nil {
			return err
		}
		if info.Size() == 0 {
			return os.Remove(f.state)
		}
		if err := f.removeKept(); err != nil {
			return err
		}
	}
	return os.Rename(f.state+suffix, filepath.Join(filepath.Dir(f.state), aside+suffix))
}

// removeKept removes what was kept aside before.
func (f *snapshotFiles) removeKept() error {
	dir := filepath.Dir(f.state)
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range names {
		if strings.HasPrefix(entry.Name(), asidePrefix) || strings.HasPrefix(entry.Name(), damagedPrefix) {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// differsName returns the name under which a state.db is kept, given the fact that it differs; "" if it does not.
func differsName(differs string) string {
	if !isSet(differs) {
		return ""
	}
	return asidePrefix + differs
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
