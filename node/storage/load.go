package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// contents is the checked content of a raft.db.
type contents struct {
	format  int64
	facts   map[string]string
	version uint64 // of node_state
	state   raft.HardState
	start   raft.LogStart // of the log on the disk
	digests []raft.Digest // of the log up to each entry
	kept    raft.Log      // the entries that the caller wants
	longest int           // bytes of a command
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

// readContents reads and checks everything in one transaction, and keeps the entries after an index. With a position it
// does not check the entries up to there.
func readContents(c *conn, format int64, after raft.Index, whole *raft.LogStart) (*contents, error) {
	if err := c.exec("BEGIN"); err != nil {
		return nil, err
	}
	all, err := readAll(c, format, after, whole)
	return all, errors.Join(err, c.exec("COMMIT"))
}

func readAll(c *conn, format int64, after raft.Index, whole *raft.LogStart) (*contents, error) {
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
	first := all.start
	if whole != nil {
		if err := all.skipTo(c, *whole); err != nil {
			return nil, err
		}
		first = *whole
	}
	if err := all.readLog(c, first, after); err != nil {
		return nil, err
	}
	return all, all.checkFacts()
}

// skipTo takes the digests up to a position from the rows as they are. A wrong one is detected where it is used: by the
// checksum of node_state, or by the mark.
func (all *contents) skipTo(c *conn, position raft.LogStart) error {
	statement, err := c.prepare(digestsStatement, 2)
	if err != nil {
		return err
	}
	last := all.start.Index
	err = statement.query(func(row []driver.Value) error {
		id, _ := row[0].(int64)
		digest, _ := row[1].(int64)
		for last = raft.Index(id); len(all.digests) < int(last-all.start.Index)-1; {
			all.digests = append(all.digests, 0)
		}
		all.digests = append(all.digests, raft.Digest(digest))
		return nil
	}, int64(all.start.Index), int64(position.Index))
	if err = errors.Join(err, statement.close()); err == nil && (last != position.Index || last == all.start.Index) {
		err = fmt.Errorf("%w: the log does not have entry %d", ErrDamaged, position.Index)
	}
	if err == nil {
		all.digests[len(all.digests)-1] = position.Digest
	}
	return err
}

// readLog reads every entry after a position, checks it, and keeps those after an index.
func (all *contents) readLog(c *conn, first raft.LogStart, after raft.Index) error {
	statement, err := c.prepare(rangeStatement, 2)
	if err != nil {
		return err
	}
	from := int64(math.MinInt64)
	if first.Index != all.start.Index {
		from = int64(first.Index) + 1
	}
	all.kept = raft.Log{Start: first, Removed: all.start.Index}
	rows := rowReader{format: all.format, end: tail{first.Index, first.Digest}}
	err = statement.query(func(row []driver.Value) error {
		e, err := rows.next(row)
		if err != nil {
			return err
		}
		all.digests = append(all.digests, rows.end.digest)
		all.longest = max(all.longest, len(e.Command))
		if e.Index > after {
			all.kept.Entries = append(all.kept.Entries, e)
			return nil
		}
		all.kept.Start, err = advance(all.kept.Start, &e, rows.end.digest)
		return err
	}, from, int64(-1))
	all.end = rows.end
	return errors.Join(err, statement.close())
}

// LoadLog returns the hard state and the entries after the index that is applied, and of those before it the last ones
// whose commands take at most tailBytes. It checks every entry on the disk. Open has checked everything, so a call
// before the first Save can fail only for an index after the end of the log.
func (d *DB) LoadLog(applied raft.Index, tailBytes int) (raft.HardState, raft.Log, error) {
	state, log, err := d.loadAfter(applied)
	if err != nil {
		return raft.HardState{}, raft.Log{}, err
	}
	from, err := d.tailFrom(log.Start.Index, tailBytes)
	if err != nil || from > log.Start.Index {
		return state, log, err
	}
	log, err = d.extendBack(log, from)
	return state, log, err
}

// tailFrom returns the first index from which the commands up to an index take at most so many bytes; the next index if
// there is none.
func (d *DB) tailFrom(last raft.Index, bytes int) (raft.Index, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	sizes, err := d.reader.prepare(sizesStatement, 1)
	if err != nil {
		return 0, explain("read", d.path, err)
	}
	from, left := last+1, int64(bytes)
	err = sizes.query(func(row []driver.Value) error {
		id, isID := row[0].(int64)
		size, isSize := row[1].(int64)
		if !isID || !isSize {
			return fmt.Errorf("%w: entry %v has a size of %v", ErrDamaged, row[0], row[1])
		}
		if left -= size; left < 0 {
			return io.EOF
		}
		from = raft.Index(id)
		return nil
	}, int64(last))
	return from, explain("read", d.path, errors.Join(err, sizes.close()))
}

// extendBack returns a log with the entries from an index up to its start in addition. Its configuration stays, which
// may be of one of these entries, and the seats of members that they remove are not found again: both are as at the
// end.
func (d *DB) extendBack(log raft.Log, from raft.Index) (raft.Log, error) {
	longer := raft.Log{Removed: log.Removed}
	seats := slices.Clone(log.Start.Seats)
	for next := from; next <= log.Start.Index; next = longer.Last() + 1 {
		part, err := d.ReadLog(next, int(log.Start.Index-next+1), math.MaxInt)
		if err != nil {
			return raft.Log{}, err
		}
		if next == from {
			longer.Start = part.Start
		}
		for i := range part.Entries {
			if seat, is := entryjson.Encoding().ParseSeat(part.Entries[i].Command); is {
				seats = slices.DeleteFunc(seats, func(s raft.Seat) bool { return s == seat })
			}
		}
		longer.Entries = append(longer.Entries, part.Entries...)
	}
	longer.Start.Seats, longer.Start.Configuration = seats, log.Start.Configuration
	longer.Entries = append(longer.Entries, log.Entries...)
	return longer, nil
}

// loadAfter returns the hard state and the entries after an index, or after the start of the log if that is later.
func (d *DB) loadAfter(after raft.Index) (raft.HardState, raft.Log, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	if err := d.broken(); err != nil {
		return raft.HardState{}, raft.Log{}, err
	}
	all := d.loaded.Swap(nil) // the caller owns the entries
	if all == nil || max(after, all.start.Index) < all.kept.Start.Index {
		var err error
		if all, err = readContents(d.reader, formatVersion, after, nil); err != nil {
			return raft.HardState{}, raft.Log{}, explain("read", d.path, err)
		}
		all.state.Commit = max(all.state.Commit, min(d.marker.commitIndex(), all.end.index))
	}
	if after > all.end.index {
		return raft.HardState{}, raft.Log{}, fmt.Errorf("read %s: the entries after %d are asked for, but the log ends at %d",
			d.path, after, all.end.index)
	}
	digest := all.kept.Start.Digest
	for len(all.kept.Entries) > 0 && all.kept.Entries[0].Index <= after {
		e := all.kept.Entries[0]
		digest = extend(digest, e)
		next, err := advance(all.kept.Start, &e, digest)
		if err != nil {
			return raft.HardState{}, raft.Log{}, explain("read", d.path, err)
		}
		all.kept.Start, all.kept.Entries = next, all.kept.Entries[1:]
	}
	return all.state, all.kept, nil
}

// pageOfRows is how many rows a read fetches from SQLite at a time: a long reader keeps the write-ahead log from
// being reused (trap S5).
const pageOfRows = 1000

// rangeBytes bounds the bytes of commands that Range returns: it stops at the entry that reaches them.
const rangeBytes = 1 << 20

// Range returns up to limit stored entries, from index from on, or from the first on if that is later: fewer if their
// commands are long, or if a Cut removes the next ones meanwhile, but at least one if there is one.
// It may be called from any goroutine.
func (d *DB) Range(from raft.Index, limit int) ([]raft.Entry, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	if from > math.MaxInt64 {
		return nil, nil // as int64 the index would be negative, before the first entry
	}
	p := page{budget: rangeBytes}
	from = max(from, d.start.Load().Index+1)
	for limit > len(p.entries) && p.budget > 0 {
		if err := d.broken(); err != nil {
			return nil, err
		}
		size, before := min(limit-len(p.entries), pageOfRows), len(p.entries)
		err := d.readPage(&p, from, size)
		switch {
		case errors.Is(err, raft.ErrRemoved) && before > 0:
			return p.entries, nil
		case errors.Is(err, raft.ErrRemoved):
			from = d.start.Load().Index + 1
			continue
		case err != nil:
			return nil, explain("read", d.path, err)
		}
		if len(p.entries) < before+size {
			break
		}
		from = p.entries[len(p.entries)-1].Index + 1
	}
	return p.entries, nil
}

// ReadLog returns the entries from an index on, and the position before them: at most so many entries, and no further
// one when their commands have reached maxBytes. It checks them against the digest at that position. Seats and the
// configuration of the position are absent. The error wraps raft.ErrRemoved if the entry before them, or the first one,
// is no longer on the disk. It may be called from any goroutine.
func (d *DB) ReadLog(from raft.Index, maxEntries, maxBytes int) (raft.Log, error) {
	d.readMu.Lock()
	defer d.readMu.Unlock()
	if err := d.broken(); err != nil {
		return raft.Log{}, err
	}
	if from > math.MaxInt64 {
		return raft.Log{}, fmt.Errorf("read %s: entry %d is asked for, and there is none", d.path, from)
	}
	p := page{budget: max(maxBytes, 1)}
	err := d.readPage(&p, from, min(max(maxEntries, 1), pageOfRows))
	start := d.start.Load()
	switch {
	case errors.Is(err, raft.ErrRemoved):
		return raft.Log{}, fmt.Errorf("read %s: %w: entry %d is asked for, and the log starts after entry %d", d.path, err,
			from, start.Index)
	case err != nil:
		return raft.Log{}, explain("read", d.path, err)
	case !p.begun:
		return raft.Log{}, fmt.Errorf("read %s: entry %d is asked for, but the log ends before entry %d", d.path, from,
			from-1)
	}
	return raft.Log{Start: p.start, Entries: p.entries, Removed: min(start.Index, p.start.Index)}, nil
}

// page is a part of the log that is being read.
type page struct {
	begun   bool          // start is known
	start   raft.LogStart // the position before the first entry, without seats
	entries []raft.Entry
	budget  int // the bytes of commands that may follow: it is used up by the last entry
}

// readPage appends up to limit entries, from index from on, until their bytes use up the budget. If a Cut moved the
// start of the log meanwhile, it reads again, or returns raft.ErrRemoved if the entry before them is removed.
func (d *DB) readPage(p *page, from raft.Index, limit int) error {
	for {
		start, before := d.start.Load(), *p
		if from <= start.Index {
			return raft.ErrRemoved
		}
		err := d.readRows(p, start, from, limit)
		if err == nil && p.begun || d.start.Load() == start {
			return err
		}
		*p = before
	}
}

// readRows reads the entries, and the one before them, from whose digest theirs continue.
func (d *DB) readRows(p *page, start *raft.LogStart, from raft.Index, limit int) error {
	rows := rowReader{format: formatVersion, end: tail{start.Index, start.Digest}}
	before := raft.LogStart{Index: start.Index, Term: start.Term, Digest: start.Digest}
	first, seeded := from, from == start.Index+1
	if seeded {
		p.begin(before)
	} else {
		first--
		limit++
	}
	return d.rangeRows.query(func(row []driver.Value) error {
		if !seeded {
			seeded = true
			term, err := rows.seed(row, from-1)
			if err == nil {
				p.begin(raft.LogStart{Index: from - 1, Term: term, Digest: rows.end.digest})
			}
			return err
		}
		e, err := rows.next(row)
		if err != nil {
			return err
		}
		p.entries = append(p.entries, e)
		if p.budget -= len(e.Command); p.budget <= 0 {
			return io.EOF // enough
		}
		return nil
	}, int64(first), int64(limit))
}

// begin sets the position before the first entry.
func (p *page) begin(start raft.LogStart) {
	if !p.begun {
		p.begun, p.start = true, start
	}
}
