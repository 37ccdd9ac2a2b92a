package storage

import (
	"cmp"
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
		checkpointPages: opts.checkpointPages, slicePages: opts.slicePages,
		due: make(chan struct{}, 1), done: make(chan struct{}),
	}
	d.ballast.path = d.path + ballastSuffix
	d.cut.company = cmp.Or(opts.cutCompany, cutEntries)
	if d.checkpointPages == 0 {
		d.checkpointPages = defaultCheckpointPages
	}
	if d.slicePages == 0 {
		d.slicePages = defaultSlicePages
	}
	d.checkpoint = stateFile{path: filepath.Join(dir, stateName), inject: opts.inject, loading: opts.Loading}
	d.snapshots = snapshotFiles{
		dir: filepath.Join(dir, snapshotsName), state: d.checkpoint.path, inject: opts.inject, grace: opts.snapshotGrace,
		patience: cmp.Or(opts.snapshotPatience, snapshotPatience),
	}
	if d.snapshots.grace == 0 {
		d.snapshots.grace = snapshotGrace
	}
	if err := d.open(opts.inject); err != nil {
		const failed = true // nothing may be written while closing
		d.checkpoint.failure = err
		err = errors.Join(err, d.closeConnections(failed), d.checkpoint.close())
		if d.marker != nil {
			err = errors.Join(err, d.marker.close())
		}
		return nil, errors.Join(err, lock.release())
	}
	go d.runCheckpoints()
	return d, nil
}

// HasData reports whether a directory has the database of a node. It creates nothing.
func HasData(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, databaseName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, explain("open", dir, err)
}

func (d *DB) open(inject injector) error {
	path, pending, err := d.checkFiles()
	if err != nil {
		return explain("open", d.path, err)
	}
	if err := createIfNew(d.path, d.checkpoint.path, inject); err != nil {
		return explain("open", d.path, err)
	}
	switch err := d.checkpoint.readExisting(path); {
	case isDamage(err, path):
		d.checkpoint.noteDamage(err)
	case err != nil:
		return explain("open", path, err)
	}
	if err := d.inspect(inject); err != nil {
		return explain("open", d.path, err)
	}
	if err := d.openWriter(inject); err != nil {
		return explain("open", d.path, err)
	}
	if d.rangeRows, err = d.reader.prepare(rangeStatement, 2); err != nil {
		return explain("open", d.path, err)
	}
	return explain("open", d.checkpoint.path, d.openCheckpoint(pending))
}

// checkFiles refuses files that the node did not make. It returns the one that the checkpoint is in.
func (d *DB) checkFiles() (path string, pending bool, err error) {
	for _, suffix := range ownSuffixes {
		if err := errors.Join(checkPrivate(d.path+suffix), checkPrivate(d.checkpoint.path+suffix)); err != nil {
			return "", false, err
		}
	}
	if err := errors.Join(d.ballast.open(), d.spendBallast(0), d.snapshots.open()); err != nil {
		return "", false, err
	}
	return d.checkpointPath()
}

// createIfNew creates the database if there is none. It creates it under another name and renames it when it is
// complete and durable, so that a raft.db is never incomplete, and an empty one is damaged.
func createIfNew(path, state string, inject injector) error {
	switch info, err := os.Stat(path); {
	case err == nil && info.Size() == 0:
		return errEmptyFile
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if info, err := os.Stat(path + walSuffix); err == nil && info.Size() > 0 {
		return fmt.Errorf("%w: the file is missing, but its write-ahead log is there", ErrDamaged)
	}
	if _, err := os.Stat(state); err == nil {
		return fmt.Errorf("%w: the file is missing, but %s is there", ErrDamaged, stateName)
	}
	return createWhole(path, writerPragmas, creation(initialFacts(), chainedFormat), inject)
}

// createWhole creates a database under another name, and renames it when it is complete and durable.
func createWhole(path string, settings []pragma, statements []string, inject injector) error {
	unfinished := path + ".new"
	for _, suffix := range ownSuffixes {
		if err := os.Remove(unfinished + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := create(unfinished, settings, statements, inject); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path)) // trap T56
}

// create creates a database with empty tables. Closing its only connection leaves one durable file. SQLite gives the
// files beside it the mode of this one.
func create(path string, settings []pragma, statements []string, inject injector) error {
	f, err := openPrivate(path)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	c, err := connect(path, "rw", slices.Concat(settings, commonPragmas), inject)
	if err != nil {
		return err
	}
	for _, statement := range statements {
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
	format, err := raftKind.check(d.reader)
	if err != nil {
		return err
	}
	if err := checkStructure(d.reader); err != nil {
		return err
	}
	all, err := d.readWhole(format)
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
	if err := d.meetCheckpoint(all); err != nil {
		return err
	}
	d.take(all, last)
	return nil
}

// take stores what was read.
func (d *DB) take(all *contents, last *mark) {
	d.loaded.Store(all)
	d.facts, d.state, d.version, d.end, d.anchor = all.facts, all.state, all.version, all.end, all.anchor
	d.longest, d.format = longest{bytes: all.longest, last: all.end.index}, all.format
	d.start.Store(&all.start)
	d.found = mark{version: all.version, state: all.state, end: all.end}
	if last != nil {
		d.found.sequence = last.sequence
	}
	if all.format < chainedFormat {
		d.unchained = append([]raft.Digest{}, all.digests...) // not nil
	}
	all.digests = nil
}

// kind describes a kind of database of this package.
type kind struct {
	application int64
	format      int64             // the highest one that this program reads
	tables      map[string]string // the statement that made each
}

// raftKind describes a raft.db.
var raftKind = kind{
	application: applicationID, format: formatVersion,
	tables: map[string]string{"logs": logsTable, "node_state": nodeStateTable},
}

// check refuses an SQLite that is too old, and a database that is foreign or too new. It returns the format.
func (k *kind) check(c *conn) (format int64, err error) {
	if err := checkSQLite(c, oldestSQLite); err != nil {
		return 0, err
	}
	application, err := c.value(`PRAGMA application_id`)
	if err != nil {
		return 0, err
	}
	if application != k.application {
		return 0, fmt.Errorf("%w: it is an SQLite database of another program (application_id %v, and must be %d)",
			ErrNotDatabase, application, k.application)
	}
	version, err := c.value(`PRAGMA user_version`)
	if err != nil {
		return 0, err
	}
	format, is := version.(int64)
	if !is || format > k.format {
		return 0, fmt.Errorf("%w: its format is %v, and this program reads formats up to %d",
			ErrNewerFormat, version, k.format)
	}
	return format, k.checkTables(c)
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
func (k *kind) checkTables(c *conn) error {
	want := maps.Clone(k.tables)
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

// structureQuery returns "ok", or what is wrong.
const structureQuery = `PRAGMA integrity_check(1)`

// checkStructure makes SQLite check for damage that the checksums of rows cannot detect: a page in two places, an
// index that misses a row.
func checkStructure(c *conn) error {
	found, err := c.value(structureQuery)
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
	if d.pin, err = connect(d.path, "ro", commonPragmas, inject); err != nil {
		return err
	}
	if d.synced, err = openPrivate(d.path); err != nil {
		return err
	}
	// Everything that was read is durable after this, so the mark may record it.
	if err := d.copyAtStart(); err != nil {
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
	return d.setFormat(chainedFormat)
}

// setFormat writes the format, within a transaction.
func (d *DB) setFormat(format int64) error {
	d.format = format
	return d.writer.exec(setFormatStatement(format))
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
		{&d.cutRows, cutRowsStatement, 2},
		{&d.cutSizes, cutSizesStatement, 2},
		{&d.deleteTo, deleteToStatement, 1},
		{&d.update, updateStatement, 2},
		{&d.upsert, upsertStatement, 2},
	} {
		if *p.to, err = d.writer.prepare(p.text, p.arguments); err != nil {
			return err
		}
	}
	return nil
}
