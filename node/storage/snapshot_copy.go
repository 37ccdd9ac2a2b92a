package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// snapshotGrace is how long a copy is kept after its last use: a follower whose connection broke goes on with it.
const snapshotGrace = time.Minute

// snapshotCopy is a consistent copy of state.db, which several snapshots share.
type snapshotCopy struct {
	file     *os.File
	id       string
	size     int64
	sum      [sha256.Size]byte
	position raft.LogStart
	replaced uint64 // how often state.db had been replaced before it was made
	users    int
	use      copyUse
	expiry   *time.Timer // removes it; nil while it is used
}

// Snapshot is a checkpoint as one file, which does not change. Its methods may be called from any goroutine.
type Snapshot struct {
	files    *snapshotFiles
	copy     *snapshotCopy
	released sync.Once
}

// ID returns the name of the snapshot. Snapshots with the same id have the same content.
func (s *Snapshot) ID() string { return s.copy.id }

// Size returns the size of the file in bytes.
func (s *Snapshot) Size() int64 { return s.copy.size }

// Sum returns the SHA-256 of the file.
func (s *Snapshot) Sum() [sha256.Size]byte { return s.copy.sum }

// Position returns the position in the log that the snapshot is of.
func (s *Snapshot) Position() raft.LogStart { return s.copy.position }

// ReadAt implements io.ReaderAt. It must not be called after Release. Its error wraps snapshot.ErrGivenUp if the copy
// gave way to a newer one.
func (s *Snapshot) ReadAt(part []byte, offset int64) (int, error) {
	s.copy.use.touch()
	n, err := s.copy.file.ReadAt(part, offset)
	return n, givenUp(err)
}

// Release ends the use of the snapshot. Its file is removed a minute after the last use.
func (s *Snapshot) Release() {
	s.released.Do(func() {
		s.files.mu.Lock()
		defer s.files.mu.Unlock()
		s.files.release(s.copy)
	})
}

// release counts a user down, and sets the time at which the copy is removed.
func (f *snapshotFiles) release(c *snapshotCopy) {
	if c.users--; c.users > 0 || f.copy != c {
		return
	}
	c.expiry = time.AfterFunc(f.grace, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.copy == c && c.users == 0 {
			_ = f.dropCopy() // what is left is removed at the next start
		}
	})
}

// dropCopy removes the copy.
func (f *snapshotFiles) dropCopy() error {
	c := f.copy
	if c == nil {
		return nil
	}
	f.copy = nil
	if c.expiry != nil {
		c.expiry.Stop()
	}
	return errors.Join(c.file.Close(), os.Remove(c.file.Name()))
}

// OpenSnapshot returns a snapshot that includes an entry. There is one copy of state.db at a time: everyone who asks
// while it is in use, or for a minute after, gets the same one if it includes the entry (trap T36) and no snapshot was
// installed since: the state before may have been one that differed. The checkpoint must include the entry. A
// checkpoint waits while a copy is made, and no save does. The error wraps ErrSnapshotBusy if an earlier copy is still
// in use, and does not give way, and snapshot.ErrDamagedState if damage in the file is known, or is found: also in a
// copy that is there the row may be wrong (trap S10).
func (d *DB) OpenSnapshot(including raft.Index) (snapshot.Source, error) {
	s, err := d.openSnapshot(including)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (d *DB) openSnapshot(including raft.Index) (*Snapshot, error) {
	f := &d.snapshots
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := d.broken(); err != nil {
		return nil, err
	}
	if d.checkpoint.found.Load() {
		return nil, fmt.Errorf("copy %s: %w", f.state, snapshot.ErrDamagedState)
	}
	if f.copy == nil || f.copy.position.Index < including || f.copy.replaced != f.replaced.Load() {
		if f.copy != nil && f.copy.users > 0 && !f.mayTake(f.copy) {
			return nil, fmt.Errorf("copy %s: %w: it ends at entry %d, and entry %d of the present state is asked for",
				f.state, ErrSnapshotBusy, f.copy.position.Index, including)
		}
		made, err := d.copyState(including)
		switch {
		case errors.Is(err, snapshot.ErrDamagedState):
			return nil, fmt.Errorf("copy %s: %w", f.state, err)
		case err != nil:
			return nil, explain("copy", f.state, err)
		}
		f.copy = made
	}
	c := f.copy
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	c.users++
	return &Snapshot{files: f, copy: c}, nil
}

// copyState makes the copy.
func (d *DB) copyState(including raft.Index) (c *snapshotCopy, err error) {
	f := &d.snapshots
	if err := f.dropCopy(); err != nil {
		return nil, err
	}
	c = &snapshotCopy{replaced: f.replaced.Load()}
	if c.file, err = f.create(copyName); err != nil {
		return nil, err
	}
	if err := d.checkpoint.copyTo(c, f, including); err != nil {
		return nil, errors.Join(err, c.file.Close(), os.Remove(c.file.Name()))
	}
	c.use.begin()
	return c, nil
}

// measured notes size, hash and id.
func (c *snapshotCopy) measured(size int64, hash hash.Hash) {
	c.size = size
	hash.Sum(c.sum[:0])
	c.id = fmt.Sprintf("%d-%s", c.position.Index, hex.EncodeToString(c.sum[:8]))
}

// hashFile writes a file from an offset on to a hash, with pauses, and returns its size.
func hashFile(hash io.Writer, file *os.File, offset int64) (size int64, err error) {
	part, p := make([]byte, 1<<18), newPace(copyShare)
	size = offset
	for {
		n, err := file.ReadAt(part, size)
		_, _ = hash.Write(part[:n]) // never fails: hash.Hash
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
		p.pause()
	}
}

// pagesAtOnce is the number of pages that are copied between two pauses.
const pagesAtOnce = 64

// copyTo copies the database into the empty file of a copy, and notes what it is of.
func (s *stateFile) copyTo(c *snapshotCopy, f *snapshotFiles, including raft.Index) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	if s.found.Load() { // meanwhile
		return snapshot.ErrDamagedState
	}
	if s.reader == nil || s.meta.position.Index < max(including, 1) {
		return fmt.Errorf("the checkpoint ends at entry %d, and a snapshot that includes entry %d is asked for; save a "+
			"checkpoint first", s.meta.position.Index, max(including, 1))
	}
	pages, err := s.reader.value(`PRAGMA page_count`)
	if err != nil {
		return s.noteFound(err)
	}
	if n, is := pages.(int64); is {
		if err := f.checkRoom(n * pageSize); err != nil {
			return err
		}
	}
	c.position = s.meta.position
	return s.copyAll(c)
}

// pagesQuery returns every page of the database as it is for a reader, those in the write-ahead log among them.
const pagesQuery = `SELECT data FROM sqlite_dbpage ORDER BY pgno`

// copyAll copies and hashes every page.
func (s *stateFile) copyAll(c *snapshotCopy) error {
	d, err := s.reader.openDirect(nil)
	if err != nil {
		return s.noteFound(err)
	}
	w := copyWriter{state: s, file: c.file, hash: sha256.New(), pace: newPace(copyShare)}
	err = d.query(pagesQuery, func(row *directRow) error {
		page, is := row.Value(0)
		if !is || len(page) == 0 {
			return fmt.Errorf("%w: page %d cannot be read", ErrDamaged, w.pages+1)
		}
		return w.add(page)
	})
	if err == nil {
		err = w.flush()
	}
	if err = errors.Join(s.noteFound(err), d.close()); err != nil {
		return err
	}
	c.measured(w.size, w.hash)
	return nil
}

// copyWriter writes pages to a copy.
type copyWriter struct {
	state  *stateFile
	file   *os.File
	hash   hash.Hash
	pace   *pace
	part   []byte // that is not written yet
	size   int64  // that is written
	pages  int    // that were added
	behind int    // bytes since the disk was given some
}

func (w *copyWriter) add(page []byte) error {
	w.part = append(w.part, page...)
	if w.pages++; w.pages == 1 {
		copy(w.part[versionsAt:], withoutWAL)
	}
	if w.pages%pagesAtOnce != 0 {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.pace.pause()
	if w.behind < writeBackBytes {
		return nil
	}
	w.behind = 0
	err := w.state.reader.do("write copy back", func() error { return writeBack(w.file) })
	w.pace.restart()
	return err
}

// flush writes the part.
func (w *copyWriter) flush() error {
	_, _ = w.hash.Write(w.part) // never fails: hash.Hash
	err := w.state.reader.do("copy", func() error {
		_, err := w.file.WriteAt(w.part, w.size)
		return err
	})
	w.size += int64(len(w.part))
	w.behind += len(w.part)
	w.part = w.part[:0]
	return err
}

// versionsAt is the offset of the two versions of the format in the header of a database: 1 is without a write-ahead
// log, and 2 with it.
const versionsAt = 18

var withoutWAL = []byte{1, 1}

// endWAL changes the header of a database so that it needs no write-ahead log: one file is all of it.
func endWAL(file *os.File) error {
	_, err := file.WriteAt(withoutWAL, versionsAt)
	return err
}
