package storage

import (
	"errors"
	"os"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// rewriteState makes a checkpoint of everything a new file, which takes the place of the present one as a snapshot
// does (trap T37). It neither reads nor writes the present file, and keeps it if it is damaged, see damagedPrefix. The
// caller has the lock of the checkpoint.
func (d *DB) rewriteState(delta *kv.Delta, last []*kv.DeltaChange, next stateMeta) error {
	f, s := &d.snapshots, &d.checkpoint
	path := f.path(rewrittenName)
	if err := f.writeWhole(path, delta, last, next); err != nil {
		err = errors.Join(explain("rewrite", s.path, err), removeAll(path))
		if isFull(err) {
			return noRoom(err)
		}
		s.failure = err
		return err
	}
	d.mu.Lock() // with the fact set, the file would be taken for a snapshot after a crash
	defer d.mu.Unlock()
	if isSet(d.facts[snapshot.FactStateDiffers]) {
		return removeAll(path) // a snapshot replaces it
	}
	if err := d.placeRewritten(path, next); err != nil {
		s.failure = d.fail(explain("rewrite", s.path, err))
		return s.failure
	}
	return nil
}

// writeWhole makes a database at a path, which is one durable file.
func (f *snapshotFiles) writeWhole(
	path string, delta *kv.Delta, last []*kv.DeltaChange, next stateMeta,
) error {
	if err := makeDirectory(f.dir); err != nil {
		return err
	}
	if _, err := f.check(); err != nil {
		return err
	}
	if err := removeAll(path); err != nil {
		return err
	}
	fresh := stateFile{path: path, inject: f.inject}
	err := fresh.save(delta, last, next)
	if err == nil {
		err = fresh.writer.exec(restartCheckpoint) // closing would do the same, but would not return an error
	}
	if err = errors.Join(err, fresh.close()); err != nil {
		return err
	}
	file, err := openPrivate(path)
	if err != nil {
		return err
	}
	err = f.do("finish rewriting", func() error { return errors.Join(endWAL(file), file.Sync()) })
	return errors.Join(err, file.Close())
}

// placeRewritten makes the new file the checkpoint. After a crash in between the next start completes it. The caller
// has d.mu.
func (d *DB) placeRewritten(path string, next stateMeta) error {
	f, s := &d.snapshots, &d.checkpoint
	err := f.do("prepare rewriting", func() error {
		return errors.Join(os.Rename(path, f.path(pendingName)), syncDirectory(f.dir))
	})
	if err != nil {
		return err
	}
	s.closeAsItIs()
	f.replaced.Add(1)
	aside := ""
	if s.found.Load() {
		aside = damagedPrefix + strconv.FormatUint(uint64(next.position.Index), 10)
	}
	if err := f.clearState(aside); err != nil {
		return err
	}
	s.pages, s.kept = 0, 0
	return d.usePending()
}

// removeAll removes the files of a database that is not in use.
func removeAll(path string) error {
	for _, suffix := range ownSuffixes {
		for _, name := range []string{path + suffix, path + ".new" + suffix} {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
