package storage

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/storage/sqlitefile"
)

// readFile reads and checks a snapshot, with pauses if there is a pace.
func readFile(path string, inject injector, p *pace) (*kv.Store, stateMeta, error) {
	c, err := connect(path, "immutable", commonPragmas, inject)
	if err != nil {
		return nil, stateMeta{}, err
	}
	store, meta, err := readSnapshot(c, p)
	return store, meta, errors.Join(err, c.close())
}

func readSnapshot(c *conn, p *pace) (*kv.Store, stateMeta, error) {
	if _, err := stateKind.check(c); err != nil {
		return nil, stateMeta{}, err
	}
	store, meta, err := readPages(c, p)
	if errors.Is(err, sqlitefile.ErrUnsupported) {
		store, meta, err = readWithSQLite(c, p)
	}
	if err == nil && (meta.position.Index == 0 || meta.position.Term == 0 || meta.position.Digest == 0) {
		err = fmt.Errorf("%w: it is a checkpoint of nothing", ErrDamaged)
	}
	return store, meta, err
}

// readWithSQLite reads a file that another program changed, such as one with a further index.
func readWithSQLite(c *conn, p *pace) (*kv.Store, stateMeta, error) {
	if err := checkPaced(c, p); err != nil {
		return nil, stateMeta{}, err
	}
	return readPaced(c, p)
}

// The columns of sqlite_schema, and the row of the index of table meta.
const (
	schemaName, schemaRoot, schemaColumns = 1, 3, 5

	metaIndex = "sqlite_autoindex_meta_1"
)

// readPages reads and checks a snapshot page by page, which takes less than readWithSQLite: the checks of the structure
// and of the rows are one pass.
func readPages(c *conn, p *pace) (store *kv.Store, meta stateMeta, err error) {
	file, err := os.Open(c.path)
	if err != nil {
		return nil, stateMeta{}, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, stateMeta{}, err
	}
	if meta, err = readMeta(c); err != nil {
		return nil, stateMeta{}, err
	}
	err = c.do("read pages", func() error {
		pages, err := sqlitefile.Open(pacedReader{file, p}, info.Size())
		if err == nil {
			store, err = loadPages(pages, &meta)
		}
		if errors.Is(err, sqlitefile.ErrMalformed) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return err
	})
	if err != nil {
		return nil, stateMeta{}, err
	}
	found, err := c.value(`PRAGMA integrity_check('meta')`) // it has an index, whose rows are those of the table
	if err == nil && found != "ok" {
		err = fmt.Errorf("%w: %v", ErrDamaged, found)
	}
	return store, meta, err
}

// pacedReader reads with pauses.
type pacedReader struct {
	io.ReaderAt
	pace *pace
}

func (r pacedReader) ReadAt(into []byte, offset int64) (int, error) {
	r.pace.pause()
	return r.ReaderAt.ReadAt(into, offset)
}

// loadPages loads the store, and reads every other page.
func loadPages(pages *sqlitefile.File, meta *stateMeta) (*kv.Store, error) {
	roots, err := readRoots(pages)
	if err != nil {
		return nil, err
	}
	loader := kv.NewLoader(meta.store)
	var rows recordReader
	err = pages.Index(roots["kv"], func(row *sqlitefile.Row) error {
		if row.Columns() != recordColumns {
			return fmt.Errorf("%w: kv has a row of %d columns", ErrDamaged, row.Columns())
		}
		record, err := rows.next(row)
		if err != nil {
			return err
		}
		return misfit(loader.Add(record))
	})
	if err != nil {
		return nil, err
	}
	add, ignore := addPast(loader, meta.store.Cut), func(*sqlitefile.Row) error { return nil }
	err = pages.Table(roots["history"], func(row *sqlitefile.Row) error { return segmentOf(row, add) })
	for _, walk := range []func() error{
		func() error { return pages.Table(roots["meta"], ignore) },
		func() error { return pages.Index(roots[metaIndex], ignore) },
		pages.Finish,
	} {
		if err == nil {
			err = walk()
		}
	}
	if err != nil {
		return nil, err
	}
	store, err := loader.Store()
	return store, misfit(err)
}

// readRoots returns the first pages of the tables and of the index of a checkpoint. Anything else in the file was made
// by another program.
func readRoots(pages *sqlitefile.File) (map[string]uint32, error) {
	roots := map[string]uint32{"kv": 0, "history": 0, "meta": 0, metaIndex: 0}
	found := 0
	err := pages.Table(1, func(row *sqlitefile.Row) error {
		if row.Columns() != schemaColumns {
			return fmt.Errorf("%w: sqlite_schema has a row of %d columns", ErrDamaged, row.Columns())
		}
		name, _ := row.Text(schemaName)
		root, _ := row.Integer(schemaRoot)
		if _, ours := roots[string(name)]; !ours {
			return fmt.Errorf("%w: it has %q", sqlitefile.ErrUnsupported, name)
		}
		roots[string(name)] = uint32(root)
		found++
		return nil
	})
	if err == nil && found != len(roots) {
		err = fmt.Errorf("%w: it has %d tables and indexes", sqlitefile.ErrUnsupported, found)
	}
	return roots, err
}

// segmentOf is readSegment for a row of the table's tree, in which the id is not a column.
func segmentOf(row *sqlitefile.Row, each func(kv.Past) error) error {
	right := row.Columns() == historyColumns
	var numbers [3]int64 // last_revision, versions, crc
	var data []byte
	if right {
		data, right = row.Blob(3)
		for i, column := range [...]int{1, 2, 4} {
			n, is := row.Integer(column)
			numbers[i], right = n, right && is
		}
	}
	if !right {
		return fmt.Errorf("%w: row %d of history has a column of the wrong type", ErrDamaged, row.ID())
	}
	return parseSegment(row.ID(), numbers[0], numbers[1], data, numbers[2], each)
}
