package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// ErrMisused reports that a node asked of its disk what no node may ask.
var ErrMisused = errors.New("sim: the disk is not used as agreed")

// LoadState reads state.db. If it is ahead of the commit index, the log is made to fit first: the commit index becomes
// that of the state where the log has its last entry; else a snapshot was being installed, and the log is reset to its
// position.
func (s *storage) LoadState() (*kv.Store, error) {
	s.pass(s.disk.Faults.Latency)
	if s.disk.happens(s.disk.Faults.Unreadable, readError) {
		return nil, errRead
	}
	if err := s.ready(); err != nil {
		return nil, err
	}
	if d := s.disk; d.stateDamaged || d.state.Start.Index < d.image.log.Start.Index {
		d.stateDamaged = true
		return nil, fmt.Errorf("sim: state.db is damaged or missing: %w", snapshot.ErrDamagedState)
	}
	if err := s.repair(); err != nil {
		return nil, err
	}
	return s.disk.state.Load()
}

// SetStateAside leaves nothing of a state.db that LoadState refused.
func (s *storage) SetStateAside() error {
	s.pass(s.disk.Faults.Latency)
	if err := s.ready(); err != nil {
		return err
	}
	if !s.disk.stateDamaged {
		return s.disk.misuse("state.db is set aside, and it is not damaged")
	}
	if s.disk.happens(s.disk.Faults.StateError, stateError) {
		return errDisk
	}
	s.disk.stateDamaged = false
	return nil
}

// repair makes the log fit a state that is ahead of it, or whose installation was interrupted.
func (s *storage) repair() error {
	d := s.disk
	if pending := d.installing; pending != nil && pending == d.state {
		return s.resetLog(pending.Start)
	}
	d.installing = nil
	if d.state.Start.Index <= s.state.Commit {
		return nil
	}
	if d.IsAhead() {
		return s.resetLog(d.state.Start)
	}
	state := s.state
	state.Commit = d.state.Start.Index
	return s.commit(record{state: state})
}

// resetLog makes the log start at the position of an installed state, which is not the one that differed. What it holds
// after that stays if it has that very position.
func (s *storage) resetLog(start raft.LogStart) error {
	state := s.state
	state.Commit = max(state.Commit, start.Index)
	if s.disk.image.log.Last() < state.Commit {
		state.Commit = start.Index
	}
	facts := map[string]string{factStart: startText(start)}
	if s.disk.StateDiffers() {
		facts[snapshot.FactStateDiffers] = "0"
	}
	err := s.commit(record{state: state, facts: facts})
	if err == nil {
		s.disk.installing = nil
	}
	return err
}

// startText returns the start of a log as a fact.
func startText(start raft.LogStart) string {
	text, err := json.Marshal(start)
	if err != nil {
		panic(fmt.Sprintf("sim: the start of a log cannot be encoded: %v", err))
	}
	return string(text)
}

// SaveState puts a checkpoint in the place of the last one, as a whole, after some time and before some more.
func (s *storage) SaveState(c snapshot.Checkpoint) error {
	if err := s.ready(); err != nil {
		return err
	}
	d := s.disk
	if d.StateDiffers() || d.stateDamaged {
		return d.misuse("a checkpoint is written of a state that differs, or over one that is damaged")
	}
	start, is := d.image.position(raft.Index(c.Delta.Meta.Applied))
	if !is {
		return d.misuse("a checkpoint of entry %d is written, which the log does not hold",
			c.Delta.Meta.Applied)
	}
	if since := c.Delta.Since; since != d.state.Meta.Applied && since != 0 {
		return d.misuse("a checkpoint continues from revision %d, and state.db has %d", since, d.state.Meta.Applied)
	}
	if err := d.roomApart(reserve / 2); err != nil {
		return err
	}
	before, after := d.stateLatency()
	if err := s.putState(d.state.With(&c, start), before, after); err != nil {
		return err
	}
	d.Kept.Checkpoints++
	return nil
}

// putState replaces state.db: some time before it may be there, and some after. The process may be killed in every
// pass: the file is then the old one or the new one.
func (s *storage) putState(next *snapshottest.File, before, after time.Duration) error {
	d := s.disk
	if d.replacing || d.nextState != nil {
		return d.misuse("state.db is replaced before the end of another replacement, or after one that failed " +
			"(trap T35)")
	}
	d.replacing = true
	defer func() { d.replacing = false }()
	s.pass(before)
	if d.life != s {
		return errClosed
	}
	d.nextState = next
	if d.happens(d.Faults.StateError, stateError) {
		return errDisk // a crash decides which of the two is there
	}
	s.pass(after)
	if d.life != s {
		return errClosed
	}
	d.state, d.nextState = next, nil
	d.note("its state.db has %d", next.Start.Index)
	return nil
}

// stateLatency draws how long it takes to replace state.db, before it may be there and after.
func (d *disk) stateLatency() (before, after time.Duration) {
	takes := 4 * (d.Faults.Latency/2 + d.upTo(d.Faults.Latency))
	if d.happens(d.Faults.StateSlow, slowState) {
		takes += lasts(d.rng, d.Faults.StateSlowFor)
	}
	before = d.upTo(takes)
	return before, takes - before
}

// Cut appends a record that moves the start of the log. No entry waits.
func (s *storage) Cut(to raft.Index, seats []raft.Seat, config raft.Configuration) (waits bool, err error) {
	if err := s.ready(); err != nil {
		return false, err
	}
	if to == s.first-1 {
		return false, nil // removed already
	}
	start, is := s.disk.image.position(to)
	if !is || to < s.first {
		return false, s.disk.misuse("the log is cut at entry %d, and has the entries %d to %d", to, s.first, s.last)
	}
	start.Seats, start.Configuration = seats, config
	err = s.commit(record{state: s.state, facts: map[string]string{factStart: startText(start)}})
	if err == nil {
		s.disk.Kept.Cuts++
		s.disk.note("its log starts after %d", to)
	}
	return false, err
}

// LoadLog reads the journal from the start and checks every record of it. It fails with ErrDamaged, which states where,
// if something is wrong that a torn write does not explain (trap T54).
func (s *storage) LoadLog(applied raft.Index, tailBytes int) (raft.HardState, raft.Log, error) {
	s.pass(s.disk.Faults.Latency)
	if s.disk.happens(s.disk.Faults.Unreadable, readError) {
		return raft.HardState{}, raft.Log{}, errRead
	}
	m, err := s.read()
	if err != nil {
		return raft.HardState{}, raft.Log{}, err
	}
	if last := m.log.Last(); applied > last {
		return raft.HardState{}, raft.Log{}, s.disk.misuse("the log after entry %d is read, and it ends at %d", applied, last)
	}
	after := max(applied, m.log.Start.Index)
	for e := m.log.Entry(after); e != nil && tailBytes >= len(e.Command); e = m.log.Entry(after) {
		tailBytes -= len(e.Command)
		after--
	}
	log, _ := m.after(after)
	return m.state, log, nil
}

// ReadLog reads a part of the log.
func (s *storage) ReadLog(from raft.Index, maxEntries, maxBytes int) (raft.Log, error) {
	s.pass(s.disk.Faults.Latency/2 + s.disk.upTo(s.disk.Faults.Latency))
	if err := s.ready(); err != nil {
		return raft.Log{}, err
	}
	m := &s.disk.image
	if from <= m.log.Start.Index {
		return raft.Log{}, fmt.Errorf("sim: entry %d is read, and the log starts after %d: %w", from, m.log.Start.Index,
			raft.ErrRemoved)
	}
	log, is := m.after(from - 1)
	if !is || len(log.Entries) == 0 {
		return raft.Log{}, s.disk.misuse("entry %d is read, and the log ends at %d", from, m.log.Last())
	}
	n, bytes := 1, len(log.Entries[0].Command)
	for n < len(log.Entries) && n < maxEntries && bytes+len(log.Entries[n].Command) <= maxBytes {
		bytes += len(log.Entries[n].Command)
		n++
	}
	log.Entries = log.Entries[:n:n]
	s.disk.Kept.Reads++
	return log, nil
}
