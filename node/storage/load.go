package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// contents is everything in a raft.db, checked.
type contents struct {
	facts   map[string]string
	state   raft.HardState
	entries []raft.Entry
	end     tail
	anchor  tail // the entry that the checksum of node_state covers
}

// readContents reads everything and refuses what it cannot trust. A transaction holds the parts together.
func readContents(c *conn) (*contents, error) {
	if err := c.exec("BEGIN"); err != nil {
		return nil, err
	}
	all, err := readAll(c)
	return all, errors.Join(err, c.exec("COMMIT"))
}

func readAll(c *conn) (*contents, error) {
	all := &contents{facts: make(map[string]string)}
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
	if err := all.readLog(c); err != nil {
		return nil, err
	}
	all.anchor, err = checkFacts(all.facts, all.state, all.entries)
	return all, err
}

// readLog reads every entry and checks that they follow each other from 1 on.
func (all *contents) readLog(c *conn) error {
	statement, err := c.prepare(rangeStatement, 2)
	if err != nil {
		return err
	}
	err = statement.query(func(row []driver.Value) error {
		e, crc, err := parseRow(row)
		if err != nil {
			return err
		}
		if e.Index != all.end.index+1 {
			return fmt.Errorf("%w: entry %d follows entry %d", ErrDamaged, e.Index, all.end.index)
		}
		all.entries = append(all.entries, e)
		all.end = tail{e.Index, crc}
		return nil
	}, int64(math.MinInt64), int64(-1))
	return errors.Join(err, statement.close())
}

// LoadLog reads the hard state and the whole log. Open has checked every entry, so there is nothing left to
// refuse the first time.
func (d *DB) LoadLog() (raft.HardState, []raft.Entry, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	if err := d.broken(); err != nil {
		return raft.HardState{}, nil, err
	}
	if all := d.loaded; all != nil {
		d.loaded = nil // the entries are the caller's now
		return all.state, all.entries, nil
	}
	all, err := readContents(d.reader)
	if err != nil {
		return raft.HardState{}, nil, explain("read", d.path, err)
	}
	return all.state, all.entries, nil
}

// pageOfRows is how many rows a read takes from SQLite at a time: a long reader keeps the write-ahead log from
// being used again (trap S5).
const pageOfRows = 1000

// rangeBytes is how many bytes of commands Range reads: it stops at the entry that reaches them.
const rangeBytes = 1 << 20

// Range reads up to limit stored entries, from index from on: fewer if their commands are long, but at least one. It may
// be called from any goroutine.
func (d *DB) Range(from raft.Index, limit int) ([]raft.Entry, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	var entries []raft.Entry
	if from > math.MaxInt64 {
		return nil, nil // SQLite would take it for a negative number, before the first entry
	}
	size := 0
	for limit > len(entries) && size < rangeBytes {
		if err := d.broken(); err != nil {
			return nil, err
		}
		page := min(limit-len(entries), pageOfRows)
		before := len(entries)
		err := d.rangeRows.query(func(row []driver.Value) error {
			e, _, err := parseRow(row)
			if err != nil {
				return err
			}
			entries = append(entries, e)
			if size += len(e.Command); size >= rangeBytes {
				return io.EOF // enough
			}
			return nil
		}, int64(from), int64(page))
		if err != nil {
			return nil, explain("read", d.path, err)
		}
		if len(entries) < before+page {
			break
		}
		from = entries[len(entries)-1].Index + 1
	}
	return entries, nil
}
