package storage

import (
	"database/sql/driver"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// stateFile is state.db: the checkpoint of the state machine. No method of it waits for the writer of raft.db, and no
// save waits for it.
type stateFile struct {
	path   string
	inject injector

	// mu is held while a checkpoint is written, copied, read or replaced.
	mu         sync.Mutex
	writer     *conn
	putOne     *statement
	putMany    *statement
	deleteOne  *statement
	putSegment *statement
	cutHistory *statement
	putMeta    *statement
	deleteMeta *statement
	reader     *conn
	meta       stateMeta // as it is on the disk
	pages      int       // written since the write-ahead log was copied into the database
	values     []driver.Value
	sum        rowSum
	segment    segment
	failure    error // the first after which the state of the file is unknown (trap T53)
}

// readExisting opens the file at a path for reading, and reads what it is a checkpoint of. A missing file is a
// checkpoint of nothing, and so is an empty one: sqlite3 makes it if it is asked to open a missing one.
func (s *stateFile) readExisting(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if s.reader, err = connect(path, "ro", commonPragmas, s.inject); err != nil {
		return err
	}
	if _, err := stateKind.check(s.reader); err != nil {
		return err
	}
	s.meta, err = readMeta(s.reader)
	return err
}

// open opens the file for writing, unless it is open, and creates it if there is none.
func (s *stateFile) open() (err error) {
	if s.writer != nil {
		return nil
	}
	if s.reader == nil {
		if err := createWhole(s.path, statePragmas, stateCreation(), s.inject); err != nil {
			return err
		}
		if err := s.readExisting(s.path); err != nil {
			return err
		}
	}
	if s.writer, err = connect(s.path, "rw", slices.Concat(statePragmas, commonPragmas), s.inject); err != nil {
		return err
	}
	if err := s.prepare(); err != nil { // a full disk, perhaps: the next checkpoint opens it again
		return errors.Join(err, s.closeWriter())
	}
	return nil
}

// prepare prepares the statements of the writer.
func (s *stateFile) prepare() (err error) {
	for _, p := range []struct {
		to        **statement
		text      string
		arguments int
	}{
		{&s.putOne, putRecordsStatement(1), recordColumns},
		{&s.putMany, putRecordsStatement(rowsPerInsert), recordColumns * rowsPerInsert},
		{&s.deleteOne, deleteRecordStatement, 1},
		{&s.putSegment, putSegmentStatement, historyColumns},
		{&s.cutHistory, cutHistoryStatement, 3},
		{&s.putMeta, putMetaStatement, 2},
		{&s.deleteMeta, deleteMetaStatement, 1},
	} {
		if *p.to, err = s.writer.prepare(p.text, p.arguments); err != nil {
			return err
		}
	}
	return nil
}

// pace makes a long operation leave most of a processor to others: after each part of it, it sleeps a multiple of the
// time that the part took. If the machine is busy, parts take longer, and so do the pauses.
type pace struct {
	rest  time.Duration // for each nanosecond of work
	began time.Time     // of the part
}

// The paces of the operations: a checkpoint may take long, and a follower waits for a snapshot.
const (
	checkpointRest = 3
	snapshotRest   = 1
)

// leastPart is what is worth a pause, and longestPause the limit of one, so that a stopped process does not sleep long.
const (
	leastPart    = time.Millisecond
	longestPause = 50 * time.Millisecond
)

func newPace(rest time.Duration) *pace { return &pace{rest: rest, began: time.Now()} }

// pause is called between two parts. A nil pace has no pauses.
func (p *pace) pause() {
	if p == nil {
		return
	}
	wait := p.after(time.Since(p.began))
	if wait == 0 {
		runtime.Gosched()
		return
	}
	time.Sleep(wait)
	p.began = time.Now()
}

// after returns how long to sleep after a part that took so long; 0: not yet.
func (p *pace) after(took time.Duration) time.Duration {
	if took < leastPart {
		return 0
	}
	return min(p.rest*took, longestPause)
}

// close closes the connections: the writer last, so that SQLite copies the write-ahead log into the database, unless
// something failed: then the files stay as they are.
func (s *stateFile) close() error {
	var errs []error
	failed := s.failure != nil
	if !failed {
		errs = append(errs, s.closeReader())
	}
	errs = append(errs, s.closeWriter())
	if failed {
		errs = append(errs, s.closeReader())
	}
	return errors.Join(errs...)
}

func (s *stateFile) closeWriter() error {
	if s.writer == nil {
		return nil
	}
	err := errors.Join(closeStatements(s.putOne, s.putMany, s.deleteOne, s.putSegment, s.cutHistory, s.putMeta,
		s.deleteMeta), s.writer.close())
	s.writer, s.putOne, s.putMany, s.deleteOne, s.putSegment = nil, nil, nil, nil, nil
	s.cutHistory, s.putMeta, s.deleteMeta = nil, nil, nil
	return err
}

func (s *stateFile) closeReader() error {
	if s.reader == nil {
		return nil
	}
	err := s.reader.close()
	s.reader = nil
	return err
}
