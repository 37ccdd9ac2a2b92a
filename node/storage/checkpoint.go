package storage

// Checkpoints copy the pages of the write-ahead log into the database, so that the log can be reused from its
// beginning. They run on the connection that writes, between two transactions: SQLite had a bug where two connections
// did so at once (trap S2). A save waits for a checkpoint only if one is running.

const (
	// restartCheckpoint also makes the next transaction begin a new round of the log, with a new salt.
	restartCheckpoint = `PRAGMA wal_checkpoint(RESTART)`
	// passiveCheckpoint waits for no reader, and copies what readers allow.
	passiveCheckpoint = `PRAGMA wal_checkpoint(PASSIVE)`
)

// countPages starts a checkpoint when enough has been written since the last one: in the background, or inline if the
// background is behind, so that the write-ahead log does not grow without limit.
func (d *DB) countPages() error {
	pages, err := d.writer.pagesWritten()
	if err != nil {
		return err
	}
	d.pages += pages
	switch {
	case d.pages >= 2*d.checkpointPages:
		return d.copyPages(passiveCheckpoint)
	case d.pages >= d.checkpointPages:
		select {
		case d.due <- struct{}{}:
		default: // already requested
		}
	}
	return nil
}

// copyPages runs a checkpoint, and syncs the mark. If a reader kept it from copying everything, the next one does.
func (d *DB) copyPages(kind string) error {
	d.pages = 0
	if err := d.writer.exec(kind); err != nil {
		return err
	}
	return d.marker.sync()
}

// runCheckpoints runs requested checkpoints until Close.
func (d *DB) runCheckpoints() {
	defer close(d.done)
	for range d.due {
		d.mu.Lock()
		if d.broken() == nil && d.pages >= d.checkpointPages {
			if err := d.copyPages(passiveCheckpoint); err != nil {
				_ = d.fail(explain("checkpoint", d.path, err)) // the next Save returns it
			}
		}
		d.mu.Unlock()
	}
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
