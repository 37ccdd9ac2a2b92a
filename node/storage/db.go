package storage

import (
	"database/sql/driver"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Options configure a DB. The zero value is valid.
type Options struct {
	// SaveObserver is called with the duration of each Save that wrote, for metrics and for a watchdog, before Save
	// returns.
	SaveObserver func(took time.Duration)
	// Loading is called before a state of about so many bytes is loaded, and its result when it is: for the garbage
	// collector.
	Loading func(bytes int64) (loaded func())

	// inject makes calls to SQLite fail, in tests.
	inject injector
	// checkpointPages is the number of pages in the write-ahead log after which it is copied into the database, by
	// default defaultCheckpointPages.
	checkpointPages int
	// cutCompany is the number of entries, from which on those that are to be removed are removed with a save; 0:
	// cutEntries.
	cutCompany raft.Index
	// slicePages is the number of pages that a checkpoint copies at a time, by default defaultSlicePages.
	slicePages int
	// snapshotGrace is how long a copy of the checkpoint is kept after its last use, by default snapshotGrace.
	snapshotGrace time.Duration
	// snapshotPatience is how long a copy that is not read is kept from one who needs a newer one, by default
	// snapshotPatience.
	snapshotPatience time.Duration
}

// defaultCheckpointPages bounds the length of the write-ahead log, and defaultSlicePages how long a save waits for a
// checkpoint.
const (
	defaultCheckpointPages = 4000
	defaultSlicePages      = 250
)

// DB is the storage of one node. Its methods may be called from any goroutine. Writers wait for each other, and so do
// readers, but neither waits for the other.
type DB struct {
	path    string // of raft.db
	observe func(time.Duration)
	lock    *directoryLock
	marker  *marker

	checkpoint stateFile
	snapshots  snapshotFiles
	ballast    ballast

	// mu guards the writer: SQLite's connection and the state of the disk.
	mu         sync.Mutex
	writer     *conn
	begin      *statement
	commitTx   *statement
	insertOne  *statement
	insertMany *statement
	deleteFrom *statement
	rowBefore  *statement
	chain      *statement
	cutRows    *statement
	cutSizes   *statement
	deleteTo   *statement
	update     *statement
	upsert     *statement
	values     []driver.Value    // of the entries in an INSERT; reused to save the allocation
	facts      map[string]string // node_state, as it is on the disk
	state      raft.HardState    // as saved last
	version    uint64            // of node_state, as it is on the disk
	end        tail              // of the log, as it is on the disk
	anchor     tail              // the entry that the checksum of node_state covers
	found      mark              // what Open found, as a mark
	replace    bool              // Open must replace the log by the position of the checkpoint
	rescued    bool              // the log is whole behind the position of the checkpoint only: Open removes the rest
	cut        waitingCut        // the entries that the next transactions remove
	longest    longest           // command in the log
	unchained  []raft.Digest     // of a log of format 1, until the first transaction converts it
	format     int64             // as it is on the disk

	checkpointPages int
	slicePages      int
	pages           int   // written since the last checkpoint of everything
	slice           int   // written since the last slice
	pin             *conn // limits the next slice while pinned
	pinned          bool
	unsynced        int           // slices copied since the last sync; only the goroutine that copies them uses it
	synced          *os.File      // raft.db, to sync it without the lock
	due             chan struct{} // requests a slice
	done            chan struct{} // closed when no more will be requested

	// start is the position before the first entry. It is set before the removal of entries is committed, so that a
	// reader that finds them missing finds it moved.
	start atomic.Pointer[raft.LogStart]
	// checkpointed is the index up to which the state machine's effects are durable.
	checkpointed atomic.Uint64
	// stateFiles are what StateFiles returned last; nil: nothing yet.
	stateFiles atomic.Pointer[snapshot.Files]

	// readMu guards the reader.
	readMu    sync.Mutex
	reader    *conn
	rangeRows *statement
	loaded    atomic.Pointer[contents] // what Open read, until LoadLog returns it or the log changes

	closing    sync.Once
	closeError error

	// failure is the first error after which the state of the disk is unknown, or ErrClosed. It is permanent (trap
	// T53).
	failure atomic.Pointer[error]
}

// Path returns the path of raft.db.
func (d *DB) Path() string { return d.path }

// broken returns the error that ended this DB, if there was one.
func (d *DB) broken() error {
	if err := d.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail keeps the first error for every later call and returns it.
func (d *DB) fail(err error) error {
	d.failure.CompareAndSwap(nil, &err)
	return d.broken()
}

// Sizes returns the bytes that the log takes on the disk: raft.db and its write-ahead log.
func (d *DB) Sizes() (logBytes int64, err error) {
	for _, suffix := range []string{"", walSuffix} {
		info, err := os.Stat(d.path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		if err == nil {
			logBytes += info.Size()
		}
	}
	return logBytes, nil
}

// FreeBytes returns the bytes that may still be written to the file system of the data directory.
func (d *DB) FreeBytes() (int64, error) { return freeBytes(d.path) }

// Close releases the directory. It leaves one file, raft.db, if nothing failed before and no other process reads it;
// after a failure it leaves the files as they are, for the next start to check. A second Close returns the same
// error.
func (d *DB) Close() error {
	d.closing.Do(func() { d.closeError = d.close() })
	return d.closeError
}

func (d *DB) close() error {
	closed := ErrClosed
	d.mu.Lock()
	failed := d.broken() != nil
	d.failure.Store(&closed) // no save begins after this, so nothing is sent to d.due
	close(d.due)
	d.mu.Unlock()
	<-d.done
	apart := errors.Join(d.closeState(), explain("close", d.snapshots.dir, d.snapshots.close()))
	d.readMu.Lock()
	defer d.readMu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = nil
	var err error
	if !failed {
		err = explain("close", d.path, d.complete())
		failed = err != nil
	}
	err = errors.Join(err, d.closeConnections(failed))
	if err == nil && !failed {
		err = explain("close", d.path, d.removeMark())
	}
	return errors.Join(err, apart, d.marker.close(), d.lock.release())
}

// complete records in the database that it is complete, and makes that durable. If another process reads from the
// write-ahead log, the log stays, and so does the mark.
func (d *DB) complete() error {
	facts := maps.Clone(d.facts)
	state := d.state
	state.Commit = max(state.Commit, d.marker.commitIndex())
	setHardState(facts, state)
	facts[keyWAL] = walEmpty
	if err := d.commit(facts, state, nil); err != nil {
		return err
	}
	return d.copyPages(restartCheckpoint)
}

// removeMark removes the mark if the write-ahead log is gone. The removal of the log must be durable first: a log
// that reappeared without its mark would be refused.
func (d *DB) removeMark() error {
	if _, err := os.Lstat(d.path + walSuffix); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syncDirectory(filepath.Dir(d.path)); err != nil {
		return err
	}
	return os.Remove(d.path + markSuffix)
}

// closeConnections closes the writer last, because the last connection copies the write-ahead log into the database
// and removes it. After a failure the files stay as they are.
func (d *DB) closeConnections(failed bool) error {
	var errs []error
	if !failed {
		errs = append(errs, d.closeReader())
	}
	errs = append(errs, d.closeWriter())
	if failed {
		errs = append(errs, d.closeReader())
	}
	if d.synced != nil { // closing it earlier would drop SQLite's locks
		errs = append(errs, d.synced.Close())
	}
	return explain("close", d.path, errors.Join(errs...))
}

func (d *DB) closeState() error {
	d.checkpoint.mu.Lock()
	defer d.checkpoint.mu.Unlock()
	return explain("close", d.checkpoint.path, d.checkpoint.close())
}

func (d *DB) closeReader() error {
	if d.reader == nil {
		return nil
	}
	err := closeStatements(d.rangeRows)
	if d.pin != nil {
		err = errors.Join(err, d.unpin(), d.pin.close())
	}
	return errors.Join(err, d.reader.close())
}

func (d *DB) closeWriter() error {
	if d.writer == nil {
		return nil
	}
	return errors.Join(closeStatements(d.begin, d.commitTx, d.insertOne, d.insertMany, d.deleteFrom, d.rowBefore,
		d.chain, d.cutRows, d.cutSizes, d.deleteTo, d.update, d.upsert), d.writer.close())
}

func closeStatements(statements ...*statement) error {
	var errs []error
	for _, s := range statements {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}
