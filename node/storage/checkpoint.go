package storage

import (
	"errors"

	sqlite3 "modernc.org/sqlite/lib"
)

// Checkpoints copy the pages of the write-ahead log into the database, so that the log can be reused from its
// beginning. They run on the connection that writes, between two transactions: SQLite had a bug where two connections
// did so at once (trap S2). A save waits for one that is running, so they come in slices.
//
// SQLite has no limit for the pages of a checkpoint, but copies none that was written after the beginning of a read
// transaction. Such a transaction, the pin, begins with each slice and limits the next one. A checkpoint that is
// limited does not sync the database either: that is done here, without a lock, after several slices, because a sync of
// one file delays those of the others. The last slice of a round has no pin. It copies what is left, SQLite syncs the
// little that is not synced, and the log begins anew.
//
// A copy that finds the disk full has lost nothing: the write-ahead log is synced, and does not begin anew before all
// of it is copied. A later one copies it again. It does not begin if there is less room than it may need (ballast.go).
// A sync that fails is another matter (trap T53).

const (
	// slicesPerSync is the number of slices that are copied before the database is synced.
	slicesPerSync = 4
	// restartCheckpoint also makes the next transaction begin a new round of the log, with a new salt.
	restartCheckpoint = `PRAGMA wal_checkpoint(RESTART)`
	// passiveCheckpoint waits for no reader, and copies what readers allow.
	passiveCheckpoint = `PRAGMA wal_checkpoint(PASSIVE)`
	// truncateCheckpoint also gives the disk back what the log takes, if no program reads it.
	truncateCheckpoint = `PRAGMA wal_checkpoint(TRUNCATE)`
	// pinStatement begins the read transaction that limits a checkpoint, and unpinStatement ends it.
	pinStatement   = `BEGIN; SELECT key FROM node_state LIMIT 1`
	unpinStatement = commitStatement
)

// countPages requests a slice when enough has been written since the last one. It copies everything inline if the
// background is behind, so that the write-ahead log does not grow without limit.
func (d *DB) countPages() error {
	pages, err := d.writer.pagesWritten()
	if err != nil {
		return err
	}
	d.pages += pages
	d.slice += pages
	switch {
	case d.pages >= 2*d.checkpointPages:
		if err := d.copyPages(passiveCheckpoint); !foundNoRoom(err) {
			return err
		}
	case d.pages >= d.checkpointPages, d.slice >= d.slicePages:
		select {
		case d.due <- struct{}{}:
		default: // already requested
		}
	}
	return nil
}

// copyPages runs a checkpoint of everything, and syncs the mark. If another program's reader kept it from copying
// everything, the next one does.
func (d *DB) copyPages(kind string) error {
	if err := d.copyRest(kind); err != nil {
		return err
	}
	return d.marker.sync()
}

func (d *DB) copyRest(kind string) error {
	d.pages, d.slice = 0, 0
	if err := d.roomToCopy(); err != nil {
		return err
	}
	if err := d.unpin(); err != nil {
		return err
	}
	return d.writer.exec(kind)
}

// copySlice copies the pages up to the pin, and sets the next pin. It reports whether it copied any.
func (d *DB) copySlice() (copied bool, err error) {
	d.slice = 0
	if err := d.roomToCopy(); err != nil {
		return false, err
	}
	if d.pinned {
		copied = true
		if err := errors.Join(d.writer.exec(passiveCheckpoint), d.unpin()); err != nil {
			return copied, err
		}
	}
	if err := d.pin.exec(pinStatement); err != nil {
		return copied, err
	}
	d.pinned = true
	return copied, nil
}

// foundNoRoom reports whether SQLite could not write a page, because the disk is full. An I/O error on a disk that is
// nearly full (kindOfCode) is none of these: a sync may have failed.
func foundNoRoom(err error) bool {
	var failure interface {
		error
		Code() int
	}
	return errors.As(err, &failure) && failure.Code()&0xff == sqlite3.SQLITE_FULL
}

func (d *DB) unpin() error {
	if !d.pinned {
		return nil
	}
	d.pinned = false
	return d.pin.exec(unpinStatement)
}

// runCheckpoints runs requested slices until Close.
func (d *DB) runCheckpoints() {
	defer close(d.done)
	for range d.due {
		if err := d.checkpointSlice(); err != nil && !foundNoRoom(err) {
			_ = d.fail(explain("checkpoint", d.path, err)) // the next Save returns it
		}
	}
}

// checkpointSlice copies a slice, if one is due, and ends the round if enough was written in it. It syncs without the
// lock. What the ballast gave to a save on a full disk is not for a slice, after which the log would go on growing:
// then the round ends at once.
func (d *DB) checkpointSlice() error {
	copied, whole, err := d.locked(func() (bool, error) {
		if d.slice < d.slicePages || d.ballast.isSpent() {
			return false, nil
		}
		return d.copySlice()
	})
	if copied {
		d.unsynced++
	}
	if err == nil && d.unsynced >= slicesPerSync {
		d.unsynced = 0
		err = d.synced.Sync()
	}
	if err != nil || !whole {
		return err
	}
	_, _, err = d.locked(func() (bool, error) { return true, d.copyRest(passiveCheckpoint) })
	if err == nil {
		err = d.marker.file.Sync()
	}
	return err
}

// locked runs a step of a checkpoint unless the DB is broken. It also reports whether the round must end.
func (d *DB) locked(step func() (bool, error)) (copied, whole bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken() != nil {
		return false, false, nil
	}
	copied, err = step()
	return copied, d.pages >= d.checkpointPages || d.ballast.isSpent(), err
}

// Checkpoint copies the write-ahead log into the database. It is called for a graceful stop.
func (d *DB) Checkpoint() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return err
	}
	if err := d.copyPages(restartCheckpoint); err != nil {
		return d.fail(explain("checkpoint", d.path, err))
	}
	return nil
}
