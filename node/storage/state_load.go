package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// LoadState returns the state machine as the last checkpoint holds it; an empty one if there was none. It checks every
// row (traps T54, S10). The error wraps snapshot.ErrDamagedState if the checkpoint cannot be used, or is missing while
// the log does not begin at entry 1.
func (d *DB) LoadState() (*kv.Store, error) {
	s := &d.checkpoint
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(d.broken(), s.failure); err != nil {
		return nil, err
	}
	if s.damage == nil && s.reader == nil {
		return kv.New(), nil
	}
	if s.damage == nil {
		loaded := s.beginLoad(s.path)
		store, _, err := readState(s.reader)
		loaded()
		if !isDamage(err, s.path) {
			return store, explain("read", s.path, err)
		}
		s.noteDamage(err)
	}
	return nil, explain("read", s.path, s.damage)
}

// beginLoad reports that the state in a file is about to be loaded. In memory it takes about a
// third more than in the file.
func (s *stateFile) beginLoad(path string) (loaded func()) {
	info, err := os.Stat(path)
	if err != nil || s.loading == nil {
		return func() {}
	}
	return s.loading(info.Size() * 3 / 2)
}

// readState reads and checks everything, in one transaction. Nothing may write to the file meanwhile.
func readState(c *conn) (*kv.Store, stateMeta, error) { return readPaced(c, nil) }

// readPaced is readState with pauses.
func readPaced(c *conn, p *pace) (*kv.Store, stateMeta, error) {
	if err := c.exec("BEGIN"); err != nil {
		return nil, stateMeta{}, err
	}
	store, meta, err := loadStore(c, p)
	return store, meta, errors.Join(err, c.exec("COMMIT"))
}

func loadStore(c *conn, p *pace) (*kv.Store, stateMeta, error) {
	meta, err := readMeta(c)
	if err != nil {
		return nil, stateMeta{}, err
	}
	loader := kv.NewLoader(meta.store)
	if err := loadRecords(c, loader, p); err != nil {
		return nil, stateMeta{}, err
	}
	err = c.query(historyStatement, func(row []driver.Value) error {
		p.pause()
		return readSegment(row, addPast(loader, meta.store.Cut))
	})
	if err != nil {
		return nil, stateMeta{}, err
	}
	store, err := loader.Store()
	return store, meta, misfit(err)
}

// addPast returns a function that adds versions of the history to a store that is loaded. A segment may have versions
// that are cut before others that are not.
func addPast(loader *kv.Loader, cut uint64) func(kv.Past) error {
	return func(past kv.Past) error {
		if past.Until <= cut {
			return nil
		}
		return misfit(loader.AddPast(past))
	}
}

// checkPaced is checkStructure with pauses.
func checkPaced(c *conn, p *pace) error {
	d, err := c.openDirect(p)
	if err != nil {
		return err
	}
	err = c.do(structureQuery, func() error {
		return d.query(structureQuery, func(row *directRow) error {
			if found, _ := row.Text(0); string(found) != "ok" {
				return fmt.Errorf("%w: %s", ErrDamaged, found)
			}
			return nil
		})
	})
	return errors.Join(err, d.close())
}

// recordsDirectly reads the rows of kv without a conversion of their values.
const recordsDirectly = `SELECT key, value, content_type, revision, create_revision, version, position, modified, ` +
	`crc FROM kv ORDER BY key`

// loadRecords adds every record. It reads the table through a connection of its own, which costs half of what it would
// through the driver: a start waits for it.
func loadRecords(c *conn, loader *kv.Loader, p *pace) error {
	d, err := c.openDirect(p)
	if err != nil {
		return err
	}
	var rows recordReader
	err = c.do(recordsDirectly, func() error {
		return d.query(recordsDirectly, func(row *directRow) error {
			record, err := rows.next(row)
			if err != nil {
				return err
			}
			return misfit(loader.Add(record))
		})
	})
	return errors.Join(err, d.close())
}

// recordReader reads rows of recordsDirectly. It makes two allocations for each: key and value.
type recordReader struct {
	sum         rowSum
	contentType string // of the last row
}

// recordRow is a row of kv, as SQLite or a page of the file has it. What it returns is valid until the next row.
type recordRow interface {
	Text(column int) (text []byte, is bool)
	Value(column int) (bytes []byte, is bool)
	Integer(column int) (n int64, is bool)
	Real(column int) (x float64, is bool)
}

// next reads a row and checks it.
func (r *recordReader) next(row recordRow) (kv.Record, error) {
	var c recordColumnsOf
	var isText, isValue, isName, isReal bool
	c.key, isText = row.Text(0)
	c.value, isValue = row.Value(1)
	c.contentType, isName = row.Text(2)
	c.right = isText && isValue && isName
	for i, column := range [...]int{3, 4, 5, 6, 8} {
		n, is := row.Integer(column)
		c.numbers[i], c.right = n, c.right && is
	}
	c.modified, isReal = row.Real(7)
	c.right = c.right && isReal
	return r.record(&c)
}

// recordColumnsOf are the columns of a row of kv, which are valid until the next row.
type recordColumnsOf struct {
	key, value, contentType []byte
	numbers                 [5]int64 // revision, create_revision, version, position, crc
	modified                float64
	right                   bool // each has the right type
}

// record returns the record of a row, after its checksum was checked.
func (r *recordReader) record(c *recordColumnsOf) (kv.Record, error) {
	if !c.right {
		return kv.Record{}, fmt.Errorf("%w: the row of key %q in kv has a column of the wrong type", ErrDamaged, c.key)
	}
	if string(c.contentType) != r.contentType {
		r.contentType = string(c.contentType)
	}
	record := kv.Record{
		Key: string(c.key), Value: append(make([]byte, 0, len(c.value)), c.value...), ContentType: r.contentType,
		ModRevision: uint64(c.numbers[0]), CreateRevision: uint64(c.numbers[1]), Version: uint64(c.numbers[2]),
		Position: int(c.numbers[3]), Modified: microseconds(c.modified),
	}
	if crc, want := c.numbers[4], r.sum.of(&record); crc != want {
		return kv.Record{}, fmt.Errorf("%w: the row of key %q in kv has checksum %08x, but %08x was written with it",
			ErrDamaged, record.Key, want, crc)
	}
	return record, nil
}

// misfit marks an error of a kv.Loader: the rows are not those that were written.
func misfit(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
