package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// maxDamage is the number of errors that a Verification lists.
const maxDamage = 100

// Verification is what a check of a data directory, or of a copy of a checkpoint, found.
type Verification struct {
	State    *VerifiedState // nil: there is no checkpoint, or it could not be read
	Log      *VerifiedLog   // nil: there is no log, or it could not be read
	Damage   []error        // what is wrong, at most maxDamage errors; none: all is as it was written
	Unlisted int            // further errors
	Warnings []string
}

// VerifiedState describes a checkpoint.
type VerifiedState struct {
	Position     raft.LogStart // of the last applied entry
	Keys         int
	LiveBytes    int64
	Versions     int // that were replaced or deleted, and are kept
	HistoryBytes int64
	Compacted    uint64 // the revision up to which the history is compacted
	Time         int64  // the latest timestamp of an applied entry, in microseconds since 1970
	Facts        map[string]string
}

// VerifiedLog describes a log with its hard state.
type VerifiedLog struct {
	Start raft.Index // the index before the first entry
	Last  raft.Index
	// End is the position of the last entry that the next start has, with the configuration there: zero if it is the
	// initial one.
	End raft.LogStart
	// Time is the timestamp of the last entry after the checkpoint, in microseconds since 1970; 0: there is none.
	Time  int64
	State raft.HardState
	Facts map[string]string
}

// VerifyDirectory reads and checks everything in a data directory, and changes nothing in it. The error states why it
// could not be checked: it wraps ErrLocked if a process has it open.
func VerifyDirectory(dir string) (*Verification, error) {
	s, err := OpenStopped(dir)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // nothing was written
	return s.Verify()
}

// VerifyFile reads and checks a copy of a checkpoint: a snapshot, or a backup.
func VerifyFile(path string) (*Verification, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("verify %s: it is no regular file (%v)", path, info.Mode())
	case isUsed(path + walSuffix):
		return nil, fmt.Errorf("verify %s: %s has newer pages of it; verify the data directory instead", path,
			filepath.Base(path)+walSuffix)
	}
	v := &Verification{}
	if err := v.verify(path, func(c *conn) error { return v.checkState(c, true) }); err != nil {
		return nil, err
	}
	return v, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// isUsed reports whether a file exists and is not empty.
func isUsed(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Size() > 0
}

// verify opens a database that no process writes to, and adds the errors of check to the damage. A file that cannot be
// opened may still be sound: that is the returned error.
func (v *Verification) verify(path string, check func(c *conn) error) error {
	mode, index := "immutable", path+"-shm"
	if isUsed(path + walSuffix) {
		mode = "ro"
		if !exists(index) {
			defer os.Remove(index) //nolint:errcheck // SQLite makes it to read the write-ahead log
		}
	}
	c, err := connect(path, mode, commonPragmas, nil)
	if err == nil {
		err = errors.Join(check(c), c.close())
	}
	switch {
	case err == nil:
	case isUnreadable(err):
		return fmt.Errorf("verify %s: %w (verify it as the user that owns it; while there is a write-ahead log, SQLite also "+
			"needs to write to the directory: copy it if that is read-only)", path, err)
	default:
		v.add(filepath.Base(path), err)
	}
	return nil
}

// isUnreadable reports whether an error is that of a file that this process cannot open, whatever its content.
func isUnreadable(err error) bool {
	var failure interface { // *sqlite.Error or *codeError
		error
		Code() int
	}
	if !errors.As(err, &failure) {
		return errors.Is(err, os.ErrPermission)
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY:
		return true
	}
	return false
}

// add adds an error about a file to the damage.
func (v *Verification) add(file string, err error) {
	if len(v.Damage) >= maxDamage {
		v.Unlisted++
		return
	}
	if kind := kindOf(err, file); kind != nil && !errors.Is(err, kind) {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	v.Damage = append(v.Damage, fmt.Errorf("%s: %w", file, err))
}

// checkState checks a checkpoint. A copy must be a checkpoint of something.
func (v *Verification) checkState(c *conn, isCopy bool) error {
	if _, err := stateKind.check(c); err != nil {
		return err
	}
	if err := checkStructure(c); err != nil {
		v.add(stateName, err)
	}
	meta, err := readMeta(c)
	if err != nil {
		return err
	}
	position := meta.position
	if isCopy && (position.Index == 0 || position.Term == 0 || position.Digest == 0) {
		return fmt.Errorf("%w: it is a checkpoint of nothing", ErrDamaged)
	}
	v.State = &VerifiedState{
		Position: position, Keys: meta.store.Keys, Compacted: meta.store.Compacted, Time: meta.store.Time,
		Facts: meta.facts,
	}
	store, _, err := readState(c)
	if err != nil {
		return v.nameRows(c, err)
	}
	stats := store.Stats()
	v.State.LiveBytes, v.State.Versions, v.State.HistoryBytes = stats.LiveBytes, stats.Versions, stats.HistoryBytes
	return nil
}

// nameRows adds each damaged row of a checkpoint to the damage. It returns the error that was found before if the rows
// are as they were written: then one is missing, or they do not belong together.
func (v *Verification) nameRows(c *conn, found error) error {
	named, sum := false, rowSum{}
	note := func(err error) {
		if err != nil {
			named = true
			v.add(stateName, err)
		}
	}
	err := c.query(recordsStatement, func(row []driver.Value) error {
		_, err := sum.record(row)
		note(err)
		return nil
	})
	err = errors.Join(err, c.query(historyStatement, func(row []driver.Value) error {
		note(readSegment(row, func(kv.Past) error { return nil }))
		return nil
	}))
	if err != nil || !named {
		return errors.Join(err, found)
	}
	return nil
}

// checkLog checks a log, and that it continues the checkpoint if that is known.
func (v *Verification) checkLog(c *conn, path string, position raft.LogStart, known bool) error {
	walUsed, err := checkWAL(path + walSuffix)
	if err != nil {
		v.add(databaseName+walSuffix, err)
	}
	format, err := raftKind.check(c)
	if err != nil {
		return err
	}
	if err := checkStructure(c); err != nil {
		v.add(databaseName, err)
	}
	all, err := readContents(c, format, position.Index, nil)
	if err != nil {
		return v.nameEntries(c, format, err)
	}
	last, err := readMark(path + markSuffix)
	if err != nil {
		return err
	}
	needed := format >= chainedFormat && (walUsed || all.facts[keyWAL] == walNeeded)
	if err := all.checkMark(last, needed); err != nil {
		v.add(databaseName+markSuffix, err)
	}
	replace := false
	if known {
		if replace, err = all.meet(position); err != nil {
			v.add(stateName, err)
		}
		if replace {
			v.Warnings = append(v.Warnings, "the checkpoint is ahead of the log: the installation of a snapshot was "+
				"interrupted, and the next start completes it")
		}
	}
	facts := all.facts
	for _, key := range privateKeys {
		delete(facts, key)
	}
	v.Log = &VerifiedLog{Start: all.start.Index, Last: all.end.index, State: all.state, Facts: facts}
	if replace {
		v.Log.End = position
		return nil
	}
	v.Log.End, v.Log.Time, err = all.endPosition()
	return err
}

// endPosition returns the position of the last entry, and its timestamp if it is one of those that were kept.
func (all *contents) endPosition() (end raft.LogStart, timestamp int64, err error) {
	end = all.kept.Start
	for i := range all.kept.Entries {
		e := &all.kept.Entries[i]
		if end, err = advance(end, e, all.digestAt(e.Index)); err != nil {
			return end, 0, err
		}
		timestamp = e.Timestamp
	}
	return end, timestamp, nil
}

// nameEntries adds each damaged entry of a log to the damage. It returns the error that was found before if the entries
// are as they were written.
func (v *Verification) nameEntries(c *conn, format int64, found error) error {
	facts := make(map[string]string)
	err := c.query(factsStatement, func(row []driver.Value) error {
		facts[fmt.Sprint(row[0])] = fmt.Sprint(row[1])
		return nil
	})
	start, badStart := logStart(facts, format)
	if err != nil || badStart != nil {
		return errors.Join(found, err)
	}
	statement, err := c.prepare(rangeStatement, 2)
	if err != nil {
		return errors.Join(found, err)
	}
	named, readable := false, true
	rows := rowReader{format: format, end: tail{start.Index, start.Digest}}
	err = statement.query(func(row []driver.Value) error {
		if !readable {
			_, err := rows.seed(row, rows.end.index+1)
			readable = err == nil
			if readable {
				return nil
			}
		}
		_, err := rows.next(row)
		if err == nil {
			return nil
		}
		named = true
		v.add(databaseName, err)
		e, _, unparsed := parseRow(row)
		if unparsed == nil {
			_, unparsed = rows.seed(row, e.Index)
		}
		if readable = unparsed == nil; !readable {
			rows.end.index++
		}
		return nil
	}, int64(math.MinInt64), int64(-1))
	if err = errors.Join(err, statement.close()); err != nil || !named {
		return errors.Join(found, err)
	}
	return nil
}
