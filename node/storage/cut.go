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
// further one when their commands have reached cutBytes, since SQLite follows each long command from page to page.
const (
	cutEntries = 256
	cutBytes   = 1 << 20
)

// Cut removes the entries up to an index. seats are those that entries up to there assigned. Each transaction removes
// some entries and moves the start of the log to the last of them. Between two of them, saves go on. Cut refuses to
// remove an entry whose effect no checkpoint holds (trap T50). It does nothing if the entries were removed before.
func (d *DB) Cut(to raft.Index, seats []raft.Seat) error {
	for to > d.start.Load().Index {
		if err := d.cutSome(to, seats); err != nil {
			return err
		}
	}
	return nil
}

// cutSome removes the first entries, in one transaction.
func (d *DB) cutSome(to raft.Index, seats []raft.Seat) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return err
	}
	if held := raft.Index(d.checkpointed.Load()); to > held {
		return fmt.Errorf("cut %s: invariant broken: entry %d would be removed, and the checkpoint ends at entry %d "+
			"(trap T50)", d.path, to, held)
	}
	start, err := d.nextStart(to)
	if err != nil {
		return d.fail(explain("cut", d.path, err))
	}
	if start.Index == to {
		start.Seats = slices.Clone(seats)
	}
	state := d.state
	state.Commit = max(state.Commit, d.marker.commitIndex(), start.Index)
	remove := func() error { return d.deleteTo.exec(int64(start.Index)) }
	if err := d.moveStart(start, state, d.end, remove); err != nil {
		return d.fail(explain("cut", d.path, err))
	}
	return nil
}

// nextStart returns the position to which one transaction moves the start of the log on its way to an index.
func (d *DB) nextStart(to raft.Index) (raft.LogStart, error) {
	next, bytes := *d.start.Load(), int64(0)
	err := d.cutRows.query(func(row []driver.Value) error {
		id, isID := row[0].(int64)
		term, isTerm := row[1].(int64)
		crc, isCRC := row[2].(int64)
		length, isLength := row[3].(int64)
		command, _ := row[4].([]byte) // only of a short one
		if !isID || !isTerm || !isCRC || !isLength || raft.Index(id) != next.Index+1 {
			return fmt.Errorf("%w: entry %v follows entry %d", ErrDamaged, row[0], next.Index)
		}
		e := raft.Entry{
			Index: raft.Index(id), Term: raft.Term(term), Type: entryjson.TypeOf(command), Command: command,
		}
		next = advance(next, e, raft.Digest(crc))
		if bytes += length; bytes >= cutBytes {
			return io.EOF // enough
		}
		return nil
	}, int64(to), int64(cutEntries))
	if err == nil && next.Index == d.start.Load().Index {
		err = fmt.Errorf("%w: entry %d is missing", ErrDamaged, next.Index+1)
	}
	return next, err
}

// moveStart removes entries and writes the start of the log, in one transaction. end is that of the log afterwards.
func (d *DB) moveStart(start raft.LogStart, state raft.HardState, end tail, remove func() error) error {
	facts := maps.Clone(d.facts)
	setHardState(facts, state)
	facts[keyStart] = formatStart(start)
	return d.transact(facts, state, nil, func() (tail, error) {
		d.loaded.Store(nil)
		d.start.Store(&start)
		return end, remove()
	})
}

// advance returns the position after an entry: the digest is that of the log up to it. A seat that the position holds
// already is not added again.
func advance(start raft.LogStart, e raft.Entry, digest raft.Digest) raft.LogStart {
	next := raft.LogStart{Index: e.Index, Term: e.Term, Digest: digest, Seats: start.Seats}
	if e.Type != raft.EntrySeat {
		return next
	}
	if seat, is := entryjson.Encoding().ParseSeat(e.Command); is && !slices.Contains(start.Seats, seat) {
		next.Seats = append(slices.Clip(start.Seats), seat)
	}
	return next
}
