package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// walSuffix is appended to the name of the database to form that of its write-ahead log.
const walSuffix = "-wal"

// Open opens the raft.db in a directory, creates both if neither exists, and keeps other processes out until Close.
// It reads and checks everything before it opens anything for writing. It returns the errors of this package for a
// disk that it refuses.
func Open(dir string, opts Options) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makeDirectory(dir); err != nil {
		return nil, explain("make the data directory", dir, err)
	}
	if err := refuseNetworkDisk(dir); err != nil {
		return nil, explain("open", dir, err)
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, explain("lock", dir, err)
	}
	d := &DB{
		path: filepath.Join(dir, databaseName), observe: opts.SaveObserver, lock: lock,
		checkpointPages: opts.checkpointPages,
		due:             make(chan struct{}, 1), done: make(chan struct{}),
	}
	if d.checkpointPages == 0 {
		d.checkpointPages = defaultCheckpointPages
	}
	if err := d.open(opts.inject); err != nil {
		const failed = true // nothing may be written while closing
		err = errors.Join(explain("open", d.path, err), d.closeConnections(failed))
		if d.marker != nil {
			err = errors.Join(err, d.marker.close())
		}
		return nil, errors.Join(err, lock.release())
	}
	go d.runCheckpoints()
	return d, nil
}

func (d *DB) open(inject injector) error {
	for _, suffix := range ownSuffixes {
		if err := checkPrivate(d.path + suffix); err != nil {
			return err
		}
	}
	if err := createIfNew(d.path, inject); err != nil {
		return err
	}
	if err := d.inspect(inject); err != nil {
		return err
	}
	if err := d.openWriter(inject); err != nil {
		return err
	}
	var err error
	d.rangeRows, err = d.reader.prepare(rangeStatement, 2)
	return err
}

// createIfNew creates the database if there is none. It creates it under another name and renames it when it is
// complete and durable, so that a raft.db is never incomplete, and an empty one is damaged.
func createIfNew(path string, inject injector) error {
	switch info, err := os.Stat(path); {
	case err == nil && info.Size() == 0:
		return fmt.Errorf("%w: the file is empty, and never was when it was made", ErrDamaged)
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if info, err := os.Stat(path + walSuffix); err == nil && info.Size() > 0 {
		return fmt.Errorf("%w: the file is missing, but its write-ahead log is there", ErrDamaged)
	}
	unfinished := path + ".new"
	for _, suffix := range ownSuffixes {
		if err := os.Remove(unfinished + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := create(unfinished, inject); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path)) // trap T56
}

// create creates a database with empty tables. Closing its only connection leaves one durable file. SQLite gives the
// files beside it the mode of this one.
func create(path string, inject injector) error {
	f, err := openPrivate(path)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	c, err := connect(path, "rw", slices.Concat(writerPragmas, commonPragmas), inject)
	if err != nil {
		return err
	}
	for _, statement := range creation(initialFacts()) {
		if err := c.exec(statement); err != nil {
			return errors.Join(err, c.close())
		}
	}
	err = c.exec(restartCheckpoint) // closing would do the same, but would not return an error
	return errors.Join(err, c.close())
}

// inspect reads the database through a connection that cannot write, which stays open as the reader.
func (d *DB) inspect(inject injector) error {
	if err := unix.Access(d.path, unix.W_OK); err != nil {
		return err // SQLite would open it read-only, and fail only at the first write
	}
	walUsed, err := checkWAL(d.path + walSuffix)
	if err != nil {
		return err
	}
	if d.reader, err = connect(d.path, "ro", commonPragmas, inject); err != nil {
		return err
	}
	format, err := checkFormat(d.reader)
	if err != nil {
		return err
	}
	if err := checkStructure(d.reader); err != nil {
		return err
	}
	all, err := readContents(d.reader, format)
	if err != nil {
		return err
	}
	last, err := readMark(d.path + markSuffix)
	if err != nil {
		return err
	}
	needed := format >= chainedFormat && (walUsed || all.facts[keyWAL] == walNeeded)
	if err := all.checkMark(last, needed); err != nil {
		return err
	}
	d.take(all, last)
	return nil
}

// take stores what was read.
func (d *DB) take(all *contents, last *mark) {
	d.loaded = all
	d.facts, d.state, d.version, d.end, d.anchor = all.facts, all.state, all.version, all.end, all.anchor
	d.start = tail{all.start.Index, all.start.Digest}
	d.found = mark{version: all.version, state: all.state, end: all.end}
	if last != nil {
		d.found.sequence = last.sequence
	}
	if all.format < chainedFormat {
		d.unchained = append([]raft.Digest{}, all.digests...) // not nil
	}
	all.digests = nil
}

// checkFormat refuses an SQLite that is too old, and a database that is foreign or too new.
func checkFormat(c *conn) (format int64, err error) {
	if err := checkSQLite(c, oldestSQLite); err != nil {
		return 0, err
	}
	application, err := c.value(`PRAGMA application_id`)
	if err != nil {
		return 0, err
	}
	if application != int64(applicationID) {
		return 0, fmt.Errorf("%w: it is an SQLite database of another program (application_id %v, and must be %d)",
			ErrNotDatabase, application, applicationID)
	}
	version, err := c.value(`PRAGMA user_version`)
	if err != nil {
		return 0, err
	}
	format, is := version.(int64)
	if !is || format > formatVersion {
		return 0, fmt.Errorf("%w: its format is %v, and this program reads formats up to %d",
			ErrNewerFormat, version, formatVersion)
	}
	return format, checkTables(c)
}

// checkSQLite refuses a library that would lose transactions.
func checkSQLite(c *conn, oldest [3]int) error {
	text, err := c.value(`SELECT sqlite_version()`)
	if err != nil {
		return err
	}
	var v [3]int
	if _, err := fmt.Sscanf(fmt.Sprint(text), "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
		return fmt.Errorf("sqlite_version() is %v: %w", text, err)
	}
	if slices.Compare(v[:], oldest[:]) < 0 {
		return fmt.Errorf("SQLite %v is too old: in versions before %v the write-ahead log can lose transactions",
			v, oldest)
	}
	return nil
}

// checkTables checks that the tables are the expected ones.
func checkTables(c *conn) error {
	want := map[string]string{"logs": logsTable, "node_state": nodeStateTable}
	err := c.query(`SELECT name, sql FROM sqlite_schema WHERE type = 'table'`, func(row []driver.Value) error {
		if name, is := row[0].(string); is && row[1] == want[name] {
			delete(want, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name := range want {
		return fmt.Errorf("%w: the table %s is missing, or not as it was made", ErrDamaged, name)
	}
	return nil
}

// checkStructure makes SQLite check for damage that the checksums of rows cannot detect: a page in two places, an
// index that misses a row.
func checkStructure(c *conn) error {
	found, err := c.value(`PRAGMA integrity_check(1)`)
	if err == nil && found != "ok" {
		err = fmt.Errorf("%w: %v", ErrDamaged, found)
	}
	return err
}

// openWriter opens the connection that writes, and starts a new round of the write-ahead log, so that the unfinished
// transaction of one process is never beside the next one's.
func (d *DB) openWriter(inject injector) (err error) {
	if d.writer, err = connect(d.path, "rw", slices.Concat(writerPragmas, commonPragmas), inject); err != nil {
		return err
	}
	// Everything that was read is durable after this, so the mark may record it.
	if err := d.writer.exec(restartCheckpoint); err != nil {
		return err
	}
	if d.marker, err = openMarker(d.path+markSuffix, d.found, inject); err != nil {
		return err
	}
	if err := growWAL(d.path+walSuffix, d.checkpointPages); err != nil {
		return err
	}
	if err := d.prepareWriter(); err != nil {
		return err
	}
	return d.beginUse()
}

// beginUse records in the database itself that it is not complete without its write-ahead log from now on. After a
// crash it is recorded already.
func (d *DB) beginUse() error {
	if d.facts[keyWAL] == walNeeded {
		return nil
	}
	facts := maps.Clone(d.facts)
	facts[keyWAL] = walNeeded
	setHardState(facts, d.state)
	if err := d.commit(facts, d.state, nil); err != nil {
		return err
	}
	return d.copyPages(restartCheckpoint)
}

// chainRows converts a log of format 1 within the first transaction: each crc becomes the digest of the log up to it.
func (d *DB) chainRows() error {
	for i, digest := range d.unchained {
		if err := d.chain.execOne(int64(digest), int64(i)+1); err != nil {
			return err
		}
	}
	d.unchained = nil
	return d.writer.exec(setFormatStatement)
}

func (d *DB) prepareWriter() (err error) {
	for _, p := range []struct {
		to        **statement
		text      string
		arguments int
	}{
		{&d.begin, beginStatement, 0},
		{&d.commitTx, commitStatement, 0},
		{&d.insertOne, insertStatement(1), columnsPerRow},
		{&d.insertMany, insertStatement(rowsPerInsert), columnsPerRow * rowsPerInsert},
		{&d.deleteFrom, deleteStatement, 1},
		{&d.rowBefore, rangeStatement, 2},
		{&d.chain, chainStatement, 2},
		{&d.update, updateStatement, 2},
		{&d.upsert, upsertStatement, 2},
	} {
		if *p.to, err = d.writer.prepare(p.text, p.arguments); err != nil {
			return err
		}
	}
	return nil
}
