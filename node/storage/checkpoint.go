package storage

import (
	"database/sql/driver"
	"fmt"
)

// Checkpoints copy the pages of the write-ahead log into the database, so that the log can be used again from
// its beginning. They run on the connection that writes, between two transactions: SQLite had a bug where
// two connections did so at once (trap S2). Nobody waits for one unless the next save comes while it runs.

const (
	// restartCheckpoint also makes the next transaction begin a new round of the log, with a new salt.
	restartCheckpoint = `PRAGMA wal_checkpoint(RESTART)`
	// passiveCheckpoint waits for nobody, and copies what readers allow.
	passiveCheckpoint = `PRAGMA wal_checkpoint(PASSIVE)`
)

// countPages asks for a checkpoint when enough has been written since the last one.
func (d *DB) countPages() error {
	pages, err := d.writer.pagesWritten()
	if err != nil {
		return err
	}
	d.pages += pages
	if d.pages >= d.checkpointPages {
		select {
		case d.due <- struct{}{}:
		default: // it was asked for already
		}
	}
	return nil
}

// runCheckpoints does those that are due, until Close.
func (d *DB) runCheckpoints() {
	defer close(d.done)
	for range d.due {
		_ = d.checkpoint(passiveCheckpoint) // fail keeps the error, and the next Save returns it
	}
}

// Checkpoint copies what is in the write-ahead log into the database; for a graceful stop.
func (d *DB) Checkpoint() error { return d.checkpoint(restartCheckpoint) }

func (d *DB) checkpoint(kind string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken(); err != nil {
		return err
	}
	complete, err := runCheckpoint(d.writer, kind)
	if err != nil {
		return d.fail(explain("checkpoint", d.path, err))
	}
	if complete {
		d.pages = 0
	}
	return nil
}

// runCheckpoint tells whether it copied everything; a reader may keep it from that.
func runCheckpoint(c *conn, kind string) (complete bool, err error) {
	err = c.query(kind, func(row []driver.Value) error {
		frames, isNumber := row[1].(int64)
		copied, isNumberToo := row[2].(int64)
		if !isNumber || !isNumberToo {
			return fmt.Errorf("SQLite answers a checkpoint with %v", row)
		}
		complete = frames == copied
		return nil
	})
	return complete, err
}
