package storage

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// meet compares the log with the position of the checkpoint, and takes the commit index from it: what is applied is
// committed. It reports whether the log must be replaced by that position: the installation of a snapshot ended
// between its two files (traps T31, T37).
func (all *contents) meet(position raft.LogStart) (replace bool, err error) {
	applied, here := position.Index, all.kept.Start
	same := here.Index == applied && here.Term == position.Term && here.Digest == position.Digest
	switch {
	case applied < all.start.Index:
		return false, fmt.Errorf("%w: the log starts after entry %d, but the checkpoint %s ends at entry %d",
			errTooOld, all.start.Index, stateName, applied)
	case same:
		all.state.Commit = max(all.state.Commit, applied)
		return false, nil
	case applied > all.state.Commit:
		return true, nil
	case here.Index == applied:
		return false, fmt.Errorf("%w: entry %d has term %d and the log up to it digest %08x, but the checkpoint %s was made "+
			"with term %d and digest %08x", ErrDamaged, applied, here.Term, uint32(here.Digest), stateName, position.Term,
			uint32(position.Digest))
	}
	return false, fmt.Errorf("%w: the log ends at entry %d, but the checkpoint %s includes entry %d", ErrIncomplete,
		all.end.index, stateName, applied)
}

// readWhole reads and checks the log. If an entry is damaged that the checkpoint includes, the log is read as one that
// starts at the position of the checkpoint, whose digest the entries behind it must continue: what was in front of it
// is not needed any more, and is removed. Then the checkpoint must be whole.
func (d *DB) readWhole(format int64) (*contents, error) {
	s := &d.checkpoint
	position := s.meta.position
	all, err := readContents(d.reader, format, position.Index, nil)
	if !errors.Is(err, ErrDamaged) || s.reader == nil || format < chainedFormat {
		return all, err
	}
	behind, failed := readContents(d.reader, format, position.Index, &position)
	if failed != nil {
		return nil, err
	}
	if _, _, failed := readState(s.reader); failed != nil {
		return nil, errors.Join(err, failed)
	}
	d.rescued = true
	return behind, nil
}

// meetCheckpoint compares the log with the checkpoint, if that can be used. One that is missing, or is older than the
// start of the log, cannot.
func (d *DB) meetCheckpoint(all *contents) (err error) {
	s := &d.checkpoint
	if s.damage != nil {
		return nil
	}
	d.replace, err = all.meet(s.meta.position)
	if errors.Is(err, errTooOld) {
		s.noteDamage(err)
		return nil
	}
	return err
}

// openCheckpoint opens the checkpoint for writing. It first ends an installation that a crash interrupted.
func (d *DB) openCheckpoint(pending bool) error {
	s := &d.checkpoint
	if s.reader == nil {
		return nil // it is created with the first checkpoint, or damaged
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if pending {
		position := s.meta.position
		if err := s.closeReader(); err != nil {
			return err
		}
		return d.completeInstallation(position)
	}
	err := s.open()
	if isDamage(err, s.path) {
		s.noteDamage(err)
		return nil
	}
	if err != nil {
		return err
	}
	d.checkpointed.Store(uint64(s.meta.position.Index))
	if d.replace || d.rescued {
		return d.startAt(s.meta.position, d.replace)
	}
	return nil
}

// completeInstallation makes the pending file, which is of a position, the checkpoint, and its position the start of
// the log (trap T37). The file has its pending name until all else is done, so that the next start does it again after
// a crash. The caller has d.mu.
func (d *DB) completeInstallation(position raft.LogStart) error {
	f := &d.snapshots
	f.replaced.Add(1) // copies of the state before are not sent any more
	if err := f.clearState(differsName(d.facts[snapshot.FactStateDiffers])); err != nil {
		return err
	}
	const installed = true
	if err := d.startAt(position, installed); err != nil {
		return err
	}
	return d.usePending()
}

// usePending makes the pending file the checkpoint, once the files of the old one are out of its way. The caller has
// d.mu.
func (d *DB) usePending() error {
	s := &d.checkpoint
	if err := d.snapshots.placeState(); err != nil {
		return err
	}
	if err := s.readExisting(s.path); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	s.damage = nil
	s.found.Store(false)
	d.checkpointed.Store(uint64(s.meta.position.Index))
	return nil
}

// startAt makes a position the start of the log, in one transaction. If the log holds that position, what follows it
// stays. Otherwise nothing does (trap T31). The commit index is at least that position. If the state was installed, the
// fact that it differs is removed with it. A cut that waits is given up: the checkpoint that held those entries is
// replaced (trap T50).
func (d *DB) startAt(position raft.LogStart, installed bool) error {
	d.cut.to, d.cut.seats, d.cut.config = 0, nil, raft.Configuration{}
	position.Seats = slices.Clone(position.Seats)
	facts, state := maps.Clone(d.facts), d.state
	if installed && isSet(facts[snapshot.FactStateDiffers]) {
		facts[snapshot.FactStateDiffers] = "0"
	}
	state.Commit = max(state.Commit, d.marker.commitIndex(), position.Index)
	held, err := d.rescued, error(nil) // the entry of a position whose log was rescued may not be readable
	if d.rescued = false; !held {
		held, err = d.holds(position)
	}
	if err != nil {
		return err
	}
	if held {
		return d.moveStart(facts, position, state, d.end, func() error { return d.deleteTo.exec(int64(position.Index)) })
	}
	state.Commit = position.Index
	end := tail{position.Index, position.Digest}
	return d.moveStart(facts, position, state, end, func() error { return d.deleteFrom.exec(int64(math.MinInt64)) })
}

// holds reports whether the log has an entry with the term and the digest of a position.
func (d *DB) holds(position raft.LogStart) (bool, error) {
	start := d.start.Load()
	if position.Index <= start.Index || position.Index > d.end.index {
		same := position.Index == start.Index && position.Term == start.Term && position.Digest == start.Digest
		return same, nil
	}
	at, err := d.rowAt(position.Index)
	return err == nil && at.Term == position.Term && at.Digest == position.Digest, err
}

// checkpointPath returns the file that the checkpoint is in: that of an installation that a crash interrupted, if there
// is one.
func (d *DB) checkpointPath() (path string, pending bool, err error) {
	path = filepath.Join(d.snapshots.dir, pendingName)
	switch _, err := os.Lstat(path); {
	case err == nil:
		return path, true, checkPrivate(path)
	case !errors.Is(err, os.ErrNotExist):
		return "", false, err
	}
	return d.checkpoint.path, false, nil
}
