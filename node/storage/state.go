package storage

import (
	"database/sql/driver"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// stateFile is state.db: the checkpoint of the state machine. No method of it waits for the writer of raft.db, and no
// save waits for it.
type stateFile struct {
	path    string
	inject  injector
	loading func(bytes int64) (loaded func()) // nil: nothing is called

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
	pages      int       // written to the write-ahead log since it was last to be copied into the database
	kept       int       // pages at the beginning of the write-ahead log that are not overwritten yet
	before     int64     // length of the write-ahead log before the transaction
	log        *os.File  // the write-ahead log, once much was written to it
	behind     int       // pages that were written since log was written back
	synced     *os.File  // the database, to sync it
	values     []driver.Value
	sum        rowSum
	segment    segment
	damage     error // why the file cannot be used; nil: it can
	failure    error // the first after which the state of the file is unknown (trap T53)

	// found: there is damage in the file, whether it can be used or not. Until another file is in its place, it is not
	// copied, and no entry is removed from the log.
	found atomic.Bool
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
	err = errors.Join(s.openSynced(), s.noteKept(keptStatement), s.prepare())
	if err != nil { // a full disk, perhaps: the next checkpoint opens it again
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

// pace makes a long operation leave a part of a processor to others: after each part of it, it sleeps for a share of
// the time that the part took. If the machine is busy, parts take longer, and so do the pauses. With one processor the
// runtime also reads from the network in a pause: runtime.Gosched alone would leave that to a check every 10 ms.
type pace struct {
	share   share
	began   time.Time // of the part
	yielded time.Time // when others were let run last
}

// share is how long a pace rests for how long a work. With others, the work includes what others did while they were
// let run between two parts, so that a pace rests longer when there are others.
type share struct {
	rest, work time.Duration
	others     bool
}

// The paces of the operations: a checkpoint may take long, a follower waits for a copy, and a node that verifies a
// snapshot has little else to do.
var (
	checkpointShare = share{3, 1, true}
	copyShare       = share{1, 1, false}
	verifyShare     = share{1, 4, false}
)

// leastPart is the work that is worth a pause, leastPause the shortest one, because the runtime waits in milliseconds
// when there is nothing to run, and longestPause the limit of one, so that a stopped process does not sleep long. After
// yieldAfter others are let run: more often would cost a turn of all of them each time.
const (
	leastPart    = time.Millisecond
	yieldAfter   = time.Millisecond / 2
	leastPause   = time.Millisecond
	longestPause = 50 * time.Millisecond
)

func newPace(s share) *pace { return &pace{share: s, began: time.Now()} }

// pause is called between two parts. A nil pace has no pauses.
func (p *pace) pause() {
	if p == nil {
		return
	}
	now := time.Now()
	wait := p.after(now.Sub(p.began))
	switch {
	case wait > 0:
		time.Sleep(wait)
		p.began = time.Now()
		p.yielded = p.began
	case p.share.others:
		runtime.Gosched()
	case now.Sub(p.yielded) >= yieldAfter:
		runtime.Gosched()
		p.yielded = time.Now()
		p.began = p.began.Add(p.yielded.Sub(now))
	}
}

// restart begins a part, so that a wait for the disk counts as no work.
func (p *pace) restart() { p.began = time.Now() }

// after returns how long to sleep after a part that took so long; 0: not yet.
func (p *pace) after(took time.Duration) time.Duration {
	wait := p.share.rest * took / p.share.work
	if took < leastPart || wait < leastPause {
		return 0
	}
	return min(wait, longestPause)
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
	return errors.Join(append(errs, s.closeSynced())...)
}

func (s *stateFile) closeWriter() error {
	if s.writer == nil {
		return nil
	}
	err := errors.Join(closeStatements(s.putOne, s.putMany, s.deleteOne, s.putSegment, s.cutHistory, s.putMeta,
		s.deleteMeta), s.closeLog(), s.writer.close())
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
