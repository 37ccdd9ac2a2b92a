package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// A position in a scrub of state.db: the last key of kv or the last id of history, behind a letter.
const (
	scrubKeys    = "k"
	scrubHistory = "h"
)

// segmentRows is how many rows of kv count as much as one of history, which has many versions.
const segmentRows = 64

var (
	scrubRecordsStatement = strings.Replace(recordsStatement, " ORDER BY", " WHERE key > ? ORDER BY", 1) + ` LIMIT ?`
	scrubHistoryStatement = strings.Replace(historyStatement, " ORDER BY", " WHERE id > ? ORDER BY", 1) + ` LIMIT ?`
)

// ScrubState reads up to limit rows of the checkpoint, from a position on, "" for the first row, and checks each (trap
// S10). It returns the position to go on from, "" at the end. A damaged row, or a page that SQLite cannot read, is an
// error that wraps snapshot.ErrDamagedState. Checkpoints wait for it, so the limit should be small.
func (d *DB) ScrubState(from string, limit int) (next string, err error) {
	s := &d.checkpoint
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(d.broken(), s.failure); err != nil || s.reader == nil {
		return "", err
	}
	if rest, is := strings.CutPrefix(from, scrubHistory); is {
		next, err = s.scrubHistory(rest, limit)
	} else {
		next, err = s.scrubRecords(strings.TrimPrefix(from, scrubKeys), limit)
	}
	if err = s.noteFound(err); errors.Is(err, snapshot.ErrDamagedState) {
		return "", fmt.Errorf("scrub %s: %w", s.path, err)
	}
	return next, explain("scrub", s.path, err)
}

func (s *stateFile) scrubRecords(after string, limit int) (next string, err error) {
	rows, sum := 0, rowSum{}
	err = s.scan(scrubRecordsStatement, func(row []driver.Value) error {
		record, err := sum.record(row)
		rows, next = rows+1, scrubKeys+record.Key
		return err
	}, after, int64(limit))
	if err == nil && rows < limit {
		next = scrubHistory + "-1"
	}
	return next, err
}

func (s *stateFile) scrubHistory(after string, limit int) (next string, err error) {
	last, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return "", fmt.Errorf("the position %q in the history is none", after)
	}
	rows, limit := 0, max(1, limit/segmentRows)
	err = s.scan(scrubHistoryStatement, func(row []driver.Value) error {
		rows++
		if id, is := row[0].(int64); is {
			last = id
		}
		return readSegment(row, func(kv.Past) error { return nil })
	}, last, int64(limit))
	if err != nil || rows < limit {
		return "", err
	}
	return scrubHistory + strconv.FormatInt(last, 10), nil
}

// scan runs a statement on a connection of its own: another one may still hold the pages in memory.
func (s *stateFile) scan(text string, each func(row []driver.Value) error, arguments ...driver.Value) error {
	return scrubFile(s.path, s.inject, text, each, arguments...)
}

func scrubFile(path string, inject injector, text string, each func(row []driver.Value) error,
	arguments ...driver.Value,
) error {
	c, err := connect(path, "ro", commonPragmas, inject)
	if err != nil {
		return err
	}
	statement, err := c.prepare(text, len(arguments))
	if err == nil {
		err = errors.Join(statement.query(each, arguments...), statement.close())
	}
	return errors.Join(err, c.close())
}

// ScrubLog reads up to limit entries, from an index on or from the first one if that is later, and checks each against
// the digest of the log before it. It returns the last index that it read, 0 at the end. Damage is an error that wraps
// snapshot.ErrDamagedLog; the damaged entry is at the returned index, 0 if SQLite cannot read a page. It may be called
// from any goroutine.
func (d *DB) ScrubLog(from raft.Index, limit int) (last raft.Index, err error) {
	if err := d.broken(); err != nil {
		return 0, err
	}
	start := d.start.Load()
	from = max(from, start.Index+1)
	rows := rowReader{format: formatVersion, end: tail{start.Index, start.Digest}}
	seeded := from == start.Index+1
	first := from
	if !seeded {
		first--
	}
	err = scrubFile(d.path, nil, rangeStatement, func(row []driver.Value) error {
		if !seeded {
			seeded = true
			_, err := rows.seed(row, from-1)
			return err
		}
		last = max(last, from-1) + 1
		_, err := rows.next(row)
		return err
	}, int64(first), int64(limit+1))
	switch {
	case d.start.Load() != start:
		return from, nil // entries were removed meanwhile: go on behind them
	case errors.Is(err, ErrDamaged):
		return max(last, from), explain("scrub", d.path, fmt.Errorf("%w: %w", snapshot.ErrDamagedLog, err))
	case isDamage(err, d.path):
		return 0, explain("scrub", d.path, fmt.Errorf("%w: %w", snapshot.ErrDamagedLog, err))
	}
	return last, explain("scrub", d.path, err)
}
