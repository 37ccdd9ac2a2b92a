package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// contents is the checked content of a raft.db.
type contents struct {
	format  int64
	facts   map[string]string
	version uint64 // of node_state
	state   raft.HardState
	start   raft.LogStart
	entries []raft.Entry
	digests []raft.Digest // of the log up to each entry
	end     tail
	anchor  tail // the entry that the checksum of node_state covers
}

// digestAt returns the digest of the log up to an index that the log holds. It holds the position before its first
// entry.
func (all *contents) digestAt(i raft.Index) raft.Digest {
	if i == all.start.Index {
		return all.start.Digest
	}
	return all.digests[i-all.start.Index-1]
}

// readContents reads and checks everything, in one transaction.
func readContents(c *conn, format int64) (*contents, error) {
	if err := c.exec("BEGIN"); err != nil {
		return nil, err
	}
	all, err := readAll(c, format)
	return all, errors.Join(err, c.exec("COMMIT"))
}

func readAll(c *conn, format int64) (*contents, error) {
	all := &contents{format: format, facts: make(map[string]string)}
	err := c.query(factsStatement, func(row []driver.Value) error {
		key, isKey := row[0].(string)
		value, isValue := row[1].(string)
		if !isKey || !isValue {
			return fmt.Errorf("%w: node_state has a pair that is no text: %v = %v", ErrDamaged, row[0], row[1])
		}
		all.facts[key] = value
		return nil
	})
	if err != nil {
		return nil, err
	}
	if all.state, err = hardState(all.facts); err != nil {
		return nil, err
	}
	if all.version, err = stateVersion(all.facts, format); err != nil {
		return nil, err
	}
	if all.start, err = logStart(all.facts, format); err != nil {
		return nil, err
	}
	if err := all.readLog(c); err != nil {
		return nil, err
	}
	return all, all.checkFacts()
}

// readLog reads every entry and checks it.
func (all *contents) readLog(c *conn) error {
	statement, err := c.prepare(rangeStatement, 2)
	if err != nil {
		return err
	}
	rows := rowReader{format: all.format, end: tail{all.start.Index, all.start.Digest}}
	err = statement.query(func(row []driver.Value) error {
		e, err := rows.next(row)
		if err != nil {
			return err
		}
		all.entries = append(all.entries, e)
		all.digests = append(all.digests, rows.end.digest)
		return nil
	}, int64(math.MinInt64), int64(-1))
	all.end = rows.end
	return errors.Join(err, statement.close())
}

// LoadLog returns the hard state and the whole log. Open has checked every entry, so the first call cannot fail.
func (d *DB) LoadLog() (raft.HardState, raft.Log, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	if err := d.broken(); err != nil {
		return raft.HardState{}, raft.Log{}, err
	}
	if all := d.loaded; all != nil {
		d.loaded = nil // the caller owns the entries
		return all.state, raft.Log{Start: all.start, Entries: all.entries}, nil
	}
	all, err := readContents(d.reader, formatVersion)
	if err != nil {
		return raft.HardState{}, raft.Log{}, explain("read", d.path, err)
	}
	all.state.Commit = max(all.state.Commit, min(d.marker.commitIndex(), all.end.index))
	return all.state, raft.Log{Start: all.start, Entries: all.entries}, nil
}

// pageOfRows is how many rows a read fetches from SQLite at a time: a long reader keeps the write-ahead log from
// being reused (trap S5).
const pageOfRows = 1000

// rangeBytes bounds the bytes of commands that Range returns: it stops at the entry that reaches them.
const rangeBytes = 1 << 20

// Range returns up to limit stored entries, from index from on, or from the first on if that is later: fewer if their
// commands are long, but at least one.
// It may be called from any goroutine.
func (d *DB) Range(from raft.Index, limit int) ([]raft.Entry, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	var entries []raft.Entry
	if from > math.MaxInt64 {
		return nil, nil // as int64 the index would be negative, before the first entry
	}
	from = max(from, d.start.index+1)
	size := 0
	for limit > len(entries) && size < rangeBytes {
		if err := d.broken(); err != nil {
			return nil, err
		}
		page := min(limit-len(entries), pageOfRows)
		before := len(entries)
		var err error
		if entries, err = d.readPage(entries, from, page, &size); err != nil {
			return nil, explain("read", d.path, err)
		}
		if len(entries) < before+page {
			break
		}
		from = entries[len(entries)-1].Index + 1
	}
	return entries, nil
}

// readPage appends up to limit entries, from index from on, and adds their bytes to size; it stops at the entry that
// reaches rangeBytes. It also reads the entry before them, from whose digest theirs continue.
func (d *DB) readPage(entries []raft.Entry, from raft.Index, limit int, size *int) ([]raft.Entry, error) {
	rows := rowReader{format: formatVersion, end: d.start}
	seeded := from == d.start.index+1
	if !seeded {
		limit++
	}
	err := d.rangeRows.query(func(row []driver.Value) error {
		if !seeded {
			seeded = true
			return rows.seed(row, from-1)
		}
		e, err := rows.next(row)
		if err != nil {
			return err
		}
		entries = append(entries, e)
		if *size += len(e.Command); *size >= rangeBytes {
			return io.EOF // enough
		}
		return nil
	}, int64(from)-1, int64(limit))
	return entries, err
}
