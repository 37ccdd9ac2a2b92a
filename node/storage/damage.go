package storage

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// A state.db that is damaged ends nothing by itself: the log is checked apart, and it or another member has what the
// file had. Open notes why the file cannot be used, LoadState returns that, and the caller decides. While it is noted,
// nothing is read from the file or written to it, but a checkpoint of everything, which takes its place.

// isDamage reports whether an error about state.db means that what it holds is not what was written, or cannot be read.
// It is false for a file of a later version, or one that this user may not open.
func isDamage(err error, path string) bool {
	if err == nil || errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrForeignFile) {
		return false
	}
	for _, is := range []error{err, kindOf(err, path)} {
		if errors.Is(is, ErrDamaged) || errors.Is(is, ErrNotDatabase) {
			return true
		}
	}
	var failure interface { // *sqlite.Error or *codeError
		error
		Code() int
	}
	if !errors.As(err, &failure) {
		return false
	}
	switch failure.Code() {
	case sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS:
		return true
	}
	return false
}

// noteDamage closes the file, and notes why it cannot be used.
func (s *stateFile) noteDamage(found error) {
	s.closeAsItIs()
	s.damage, s.meta = fmt.Errorf("%w: %w", snapshot.ErrDamagedState, found), stateMeta{}
	s.found.Store(true)
}

// noteFound notes what a reader of the file found, if it is damage. The file stays open, and the error wraps
// snapshot.ErrDamagedState then.
func (s *stateFile) noteFound(err error) error {
	if !isDamage(err, s.path) {
		return err
	}
	s.found.Store(true)
	return fmt.Errorf("%w: %w", snapshot.ErrDamagedState, err)
}

// SetStateAside keeps a checkpoint that LoadState found damaged under another name, see damagedPrefix, so that there is
// none: an earlier one that was kept is removed. A snapshot whose installation was interrupted is removed if it is what
// is damaged. It may be called again after a crash.
func (d *DB) SetStateAside() error {
	s, f := &d.checkpoint, &d.snapshots
	s.mu.Lock()
	defer s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch err := errors.Join(d.broken(), s.failure); {
	case err != nil:
		return err
	case s.damage == nil:
		return fmt.Errorf("set %s aside: invariant broken: it is not damaged", s.path)
	}
	err := f.do("remove a pending snapshot", func() error {
		if err := os.Remove(f.path(pendingName)); !errors.Is(err, os.ErrNotExist) {
			return errors.Join(err, syncDirectory(f.dir))
		}
		return nil
	})
	if err == nil {
		err = f.clearState(damagedPrefix + strconv.FormatUint(uint64(d.end.index), 10))
	}
	if err != nil {
		return d.fail(explain("set aside", s.path, err))
	}
	f.replaced.Add(1) // no copy of it is sent
	s.damage = nil
	s.found.Store(false)
	d.checkpointed.Store(0)
	return nil
}
