package storage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// statePages is the number of pages in the write-ahead log of state.db after which it is copied into the database.
const statePages = 4000

// SaveState makes a checkpoint durable in one transaction, together with the position in the log that it is of (traps
// T44, T50). A checkpoint of everything takes the place of the file, which may be damaged. If an error wraps
// snapshot.ErrDamagedState, the next one must be that. The last applied entry must be saved. It does not wait for a
// save, and no save waits for it. After an error the file is as before; if that is unknown, every later call returns
// the error (trap T53).
func (d *DB) SaveState(c snapshot.Checkpoint) error {
	s := &d.checkpoint
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(d.broken(), s.failure); err != nil {
		return err
	}
	if s.damage != nil && c.Delta.Since != 0 {
		return explain("save to", s.path, s.damage)
	}
	next := stateMeta{store: c.Delta.Meta, facts: c.Facts}
	if err := s.checkOrder(c); err != nil {
		return fmt.Errorf("save to %s: %w", s.path, err)
	}
	last := lastChanges(c.Delta)
	err := d.roomForState(c.Delta, last)
	if err != nil {
		return explain("save to", s.path, err)
	}
	if next.position, err = d.positionAt(raft.Index(c.Delta.Meta.Applied)); err != nil {
		return err
	}
	next.position.Seats, next.position.Configuration = slices.Clone(c.Seats), c.Configuration
	if c.Delta.Since == 0 && (s.reader != nil || s.damage != nil) {
		return d.rewriteState(c.Delta, last, next)
	}
	if err := s.save(c.Delta, last, next); err != nil {
		return s.giveUp(err)
	}
	s.meta = next
	d.checkpointed.Store(uint64(next.position.Index))
	switch err := s.copyPages(); {
	case isDamage(err, s.path):
		return s.giveUp(err)
	case err != nil:
		s.failure = explain("checkpoint", s.path, err)
		return s.failure
	}
	return nil
}

// checkOrder refuses a checkpoint that does not continue the one on the disk.
func (s *stateFile) checkOrder(c snapshot.Checkpoint) error {
	held := uint64(s.meta.position.Index)
	if c.Delta.Since != held && c.Delta.Since != 0 || c.Delta.Meta.Applied < held {
		return fmt.Errorf("the changes from revision %d to %d do not continue a checkpoint of revision %d", c.Delta.Since,
			c.Delta.Meta.Applied, held)
	}
	for _, change := range c.Delta.Changes {
		if change.Position>>positionBits != 0 {
			return fmt.Errorf("revision %d makes change %d, and one revision makes at most %d", change.Revision,
				change.Position, 1<<positionBits)
		}
	}
	return checkNames(c.Facts)
}

// giveUp undoes a transaction that found the disk full: nothing of it was synced. One that found the file damaged has
// that noted: a checkpoint of everything takes its place. Any other error is permanent.
func (s *stateFile) giveUp(err error) error {
	if s.failure != nil {
		return s.failure
	}
	if isDamage(err, s.path) {
		s.noteDamage(err)
		return explain("save to", s.path, s.damage)
	}
	err = explain("save to", s.path, err)
	if errors.Is(err, ErrDiskFull) && s.undo() {
		failed := s.giveBack()
		if failed == nil {
			return noRoom(err)
		}
		err = explain("checkpoint", s.path, failed)
	}
	s.failure = err
	return err
}

// save writes the transaction. last has the last change of each key.
func (s *stateFile) save(delta *kv.Delta, last []*kv.DeltaChange, next stateMeta) error {
	if err := s.open(); err != nil {
		return err
	}
	s.values, s.before = s.values[:0], lengthOf(s.path+walSuffix)
	if err := s.writer.exec(beginStatement); err != nil {
		return err
	}
	if err := s.writeRecords(last); err != nil {
		return err
	}
	if err := s.writeHistory(delta); err != nil {
		return err
	}
	if err := s.removeHistory(delta.Meta.Cut); err != nil {
		return err
	}
	if err := s.writeMeta(next.pairs()); err != nil {
		return err
	}
	return s.writer.exec(commitStatement)
}

// lastChanges returns the last change of each key, by key: neighbours share a page. Under load there are many changes
// of a key, so the earlier ones are dropped before the sort.
func lastChanges(delta *kv.Delta) []*kv.DeltaChange {
	const stepsAtOnce = 256
	var last []*kv.DeltaChange
	seen := make(map[string]struct{})
	p, steps := newPace(checkpointShare), 0
	step := func() {
		if steps++; steps%stepsAtOnce == 0 {
			p.pause()
		}
	}
	for i := range delta.Changes {
		step()
		change := &delta.Changes[len(delta.Changes)-1-i]
		if _, is := seen[change.Key]; !is {
			seen[change.Key] = struct{}{}
			last = append(last, change)
		}
	}
	slices.SortFunc(last, func(a, b *kv.DeltaChange) int {
		step()
		return cmp.Compare(a.Key, b.Key)
	})
	return last
}

// writeRecords writes the records of the changed keys, and deletes those of the deleted ones.
func (s *stateFile) writeRecords(changes []*kv.DeltaChange) error {
	b := rowBatch{file: s, one: s.putOne, many: s.putMany, columns: recordColumns, pace: newPace(checkpointShare)}
	for _, change := range changes {
		if change.Record == nil {
			if err := errors.Join(s.deleteOne.exec(change.Key), s.wrote()); err != nil {
				return err
			}
			b.pace.pause()
			continue
		}
		s.values = s.sum.appendRecord(s.values, change.Record)
		if err := b.added(); err != nil {
			return err
		}
	}
	return b.flush()
}

// writeMeta writes the pairs that changed, and deletes those that are gone.
func (s *stateFile) writeMeta(pairs map[string]string) error {
	old := s.meta.pairs()
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if value, is := old[key]; is && value == pairs[key] {
			continue
		}
		if err := s.putMeta.exec(key, pairs[key]); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, is := pairs[key]; is {
			continue
		}
		if err := s.deleteMeta.exec(key); err != nil {
			return err
		}
	}
	return nil
}

// rowBatch collects rows for statements that write several.
type rowBatch struct {
	file      *stateFile
	one, many *statement
	columns   int
	pace      *pace
	rows      int
}

// added counts a row in file.values, and writes the rows if they fill a statement.
func (b *rowBatch) added() error {
	b.rows++
	if b.rows < rowsPerInsert {
		return nil
	}
	b.rows = 0
	err := errors.Join(b.many.exec(b.file.values...), b.file.wrote())
	b.clear()
	b.pace.pause()
	return err
}

// flush writes the rows that are left.
func (b *rowBatch) flush() error {
	defer b.clear()
	for row := range slices.Chunk(b.file.values, b.columns) {
		if err := b.one.exec(row...); err != nil {
			return err
		}
	}
	return nil
}

func (b *rowBatch) clear() {
	clear(b.file.values) // they hold the values
	b.file.values = b.file.values[:0]
}

// positionAt returns the position of an entry, or of the start of the log, without seats and configuration.
func (d *DB) positionAt(index raft.Index) (raft.LogStart, error) {
	if index == 0 {
		return raft.LogStart{}, nil
	}
	log, err := d.ReadLog(index+1, 1, 1)
	if err != nil {
		return raft.LogStart{}, fmt.Errorf("find entry %d: %w", index, err)
	}
	return log.Start, nil
}
