package storage

import (
	"database/sql/driver"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A transaction that removes entries is bounded, because a save waits for it: it removes at most cutEntries, and no
// further one when their commands have reached cutBytes, since SQLite follows each long command from page to page. One
// that adds many removes twice as many, or the log would grow as long as such saves follow each other.
// Fewer than cutEntries do not ride with a save, unless they may take companyBytes: it would write four pages more for
// them.
const (
	cutEntries   = 512
	cutBytes     = 1 << 20
	companyBytes = 16 << 20
)

// waitingCut is the part of the log that is to be removed.
type waitingCut struct {
	to      raft.Index
	seats   []raft.Seat // that the entries up to there assigned
	config  raft.Configuration
	saved   bool       // there was a save since the last call of Cut
	company raft.Index // fewer entries wait when there are saves
	alone   bool       // the transaction is made for the cut
}

// longest bounds the bytes of a command in the log. A long command that was removed counts no more once everything is
// removed that was in the log with it.
type longest struct {
	bytes int // of a command up to the entry last
	last  raft.Index
	later int // bytes of a command after that entry
}

// add counts the command of an entry.
func (l *longest) add(index raft.Index, bytes int) {
	if index > l.last {
		l.later = max(l.later, bytes)
	} else {
		l.bytes = max(l.bytes, bytes) // it replaces another one
	}
}

// removed forgets the commands of removed entries, if the log starts after the entry last now. end is at or after its
// end.
func (l *longest) removed(start, end raft.Index) {
	if start >= l.last {
		*l = longest{bytes: l.later, last: end}
	}
}

func (l *longest) bound() int { return max(l.bytes, l.later) }

// Cut has the entries up to an index removed. seats are those that entries up to there assigned, and config is the
// configuration there; zero: the initial one. The entries are
// removed with the next saves, some in a transaction, so that the removal needs no sync of its own. A call after which
// there was no save until the next call makes that one remove some of what waits, in a transaction of its own. Cut
// reports whether entries wait. Each transaction moves the start of the log to the last entry that it removes. Cut
// refuses to remove an entry whose effect no checkpoint holds (trap T50). As long as damage in the checkpoint is known,
// none is removed: a restart may need it.
func (d *DB) Cut(to raft.Index, seats []raft.Seat, config raft.Configuration) (waits bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return false, err
	}
	if d.cut.to > d.start.Load().Index && !d.cut.saved && !d.checkpoint.found.Load() {
		d.cut.alone = true
		err := d.commit(maps.Clone(d.facts), d.state, nil)
		d.cut.alone = false
		if err != nil {
			return false, d.fail(explain("cut", d.path, err))
		}
	}
	start := d.start.Load().Index
	if held := raft.Index(d.checkpointed.Load()); to > max(held, start) {
		return false, fmt.Errorf("cut %s: invariant broken: entry %d would be removed, and the checkpoint ends at entry %d "+
			"(trap T50)", d.path, to, held)
	}
	if to > max(d.cut.to, start) {
		d.cut.to, d.cut.seats, d.cut.config = to, slices.Clone(seats), config
	}
	d.cut.saved = false
	return d.cut.to > start, nil
}

// cutSome removes the first of the entries that are to be removed, within a transaction, and writes the new start of
// the log to facts. It returns facts as they are if no entry is to be removed.
func (d *DB) cutSome(facts map[string]string, state *raft.HardState, added []raft.Entry) error {
	d.cut.saved = true
	start := d.start.Load()
	d.longest.removed(start.Index, d.end.index+raft.Index(len(added)))
	if d.cut.to <= start.Index || d.checkpoint.found.Load() {
		return nil
	}
	waits := d.cut.to - start.Index
	if waits < d.cut.company && int(waits)*d.longest.bound() < companyBytes && !d.cut.alone {
		return nil
	}
	next, err := d.nextStart(start, added)
	if err != nil {
		return err
	}
	state.Commit = max(state.Commit, d.marker.commitIndex(), next.Index)
	setHardState(facts, *state)
	facts[keyStart] = formatStart(next)
	d.loaded.Store(nil)
	d.start.Store(&next)
	removed, err := d.deleteTo.affect([]driver.Value{int64(next.Index)})
	if err == nil && removed != int64(next.Index-start.Index) {
		err = fmt.Errorf("%w: of the entries from %d to %d, there are %d", ErrDamaged, start.Index+1, next.Index, removed)
	}
	return err
}

// nextStart returns the position to which one transaction moves the start of the log that adds entries.
func (d *DB) nextStart(start *raft.LogStart, added []raft.Entry) (raft.LogStart, error) {
	count, bytes := max(cutEntries, 2*len(added)), 0
	for i := range added {
		bytes += 2 * len(added[i].Command)
	}
	bytes = max(cutBytes, bytes)
	to := min(d.cut.to, start.Index+raft.Index(count))
	if !slices.Equal(d.cut.seats, start.Seats) || d.cut.config.Index != start.Configuration.Index {
		return d.readStart(start, to, int64(bytes))
	}
	if int(to-start.Index)*d.longest.bound() > bytes {
		var err error
		if to, err = d.reach(start.Index, to, int64(bytes)); err != nil {
			return raft.LogStart{}, err
		}
	}
	next, err := d.rowAt(to)
	next.Seats, next.Configuration = start.Seats, start.Configuration
	return next, err
}

// reach returns the entry with which the commands after a start reach so many bytes; the last one, to, if none does.
func (d *DB) reach(start, to raft.Index, most int64) (raft.Index, error) {
	at, bytes := start, int64(0)
	err := d.cutSizes.query(func(row []driver.Value) error {
		id, isID := row[0].(int64)
		length, isLength := row[1].(int64)
		if !isID || !isLength || raft.Index(id) != at+1 {
			return fmt.Errorf("%w: entry %v follows entry %d", ErrDamaged, row[0], at)
		}
		at++
		if bytes += length; bytes >= most {
			return io.EOF // enough
		}
		return nil
	}, int64(to), int64(to-start))
	if err == nil && at == start {
		err = fmt.Errorf("%w: entry %d is missing", ErrDamaged, start+1)
	}
	return at, err
}

// readStart returns the position up to an index, or before it if the entries have more bytes. It reads every entry.
func (d *DB) readStart(start *raft.LogStart, to raft.Index, most int64) (raft.LogStart, error) {
	next, bytes := *start, int64(0)
	err := d.cutRows.query(func(row []driver.Value) error {
		id, isID := row[0].(int64)
		term, isTerm := row[1].(int64)
		crc, isCRC := row[2].(int64)
		length, isLength := row[3].(int64)
		command, _ := row[4].([]byte) // only of one that is short, or begins as a configuration
		if !isID || !isTerm || !isCRC || !isLength || raft.Index(id) != next.Index+1 {
			return fmt.Errorf("%w: entry %v follows entry %d", ErrDamaged, row[0], next.Index)
		}
		e := raft.Entry{
			Index: raft.Index(id), Term: raft.Term(term), Type: entryjson.TypeOf(command), Command: command,
		}
		var err error
		if next, err = advance(next, &e, raft.Digest(crc)); err != nil {
			return err
		}
		if bytes += length; bytes >= most {
			return io.EOF // enough
		}
		return nil
	}, int64(to), int64(to-start.Index))
	if err == nil && next.Index == start.Index {
		err = fmt.Errorf("%w: entry %d is missing", ErrDamaged, next.Index+1)
	}
	if next.Index == d.cut.to {
		next.Seats, next.Configuration = d.cut.seats, d.cut.config
	}
	return next, err
}

// moveStart removes entries and writes the start of the log, in one transaction. end is that of the log afterwards.
func (d *DB) moveStart(
	facts map[string]string, start raft.LogStart, state raft.HardState, end tail, remove func() error,
) error {
	setHardState(facts, state)
	facts[keyStart] = formatStart(start)
	return d.transact(facts, state, nil, func() (tail, error) {
		d.loaded.Store(nil)
		d.start.Store(&start)
		return end, remove()
	})
}

// advance returns the position after an entry: the digest is that of the log up to it.
func advance(start raft.LogStart, e *raft.Entry, digest raft.Digest) (raft.LogStart, error) {
	next, err := start.After(e, digest, entryjson.Encoding())
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return next, err
}
