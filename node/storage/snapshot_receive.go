package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"strings"
	"sync"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Incoming is a snapshot that is being received. Its methods may be called from any goroutine.
type Incoming struct {
	d    *DB
	name string
	size int64
	sum  [sha256.Size]byte

	// mu guards the rest.
	mu       sync.Mutex
	file     *os.File // nil once it is closed
	offset   int64
	behind   int64     // bytes since the disk was given some
	hash     hash.Hash // of the first hashed bytes
	hashed   int64
	position *raft.LogStart // once it is verified
	failure  error          // that ended it: the disk did not take the file
	spoiled  bool           // the file is still to be removed
}

// ReceiveSnapshot begins to receive a snapshot, or goes on where an earlier one of the same id, size and hash ended,
// also in an earlier process (trap T36). There is one at a time: any other that was begun is given up. If the disk did
// not take what was received, a new file is begun.
func (d *DB) ReceiveSnapshot(s snapshot.Description) (snapshot.Sink, error) {
	in, err := d.receive(s.ID, s.Size, s.Sum)
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (d *DB) receive(id string, size int64, sum [sha256.Size]byte) (*Incoming, error) {
	f := &d.snapshots
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := d.broken(); err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, fmt.Errorf("receive a snapshot: the size is %d bytes, and must be at least 1", size)
	}
	if f.incoming != nil {
		if err := f.incoming.closeFile(); err != nil {
			return nil, explain("close", f.path(f.incoming.name), err)
		}
		f.incoming = nil
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s %d %x", id, size, sum))
	in := &Incoming{
		d: d, name: incomingPrefix + hex.EncodeToString(key[:16]) + incomingSuffix, size: size, sum: sum, hash: sha256.New(),
	}
	if err := in.open(f); err != nil {
		return nil, errors.Join(explain("receive", f.path(in.name), err), in.closeFile())
	}
	f.incoming = in
	return in, nil
}

// open opens the file, and removes those of other snapshots.
func (i *Incoming) open(f *snapshotFiles) (err error) {
	if i.file, err = f.create(i.name); err != nil {
		return err
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if name != i.name && strings.HasPrefix(name, incomingPrefix) && strings.HasSuffix(name, incomingSuffix) {
			if err := os.Remove(f.path(name)); err != nil {
				return err
			}
		}
	}
	info, err := i.file.Stat()
	if err != nil {
		return err
	}
	if i.offset = info.Size(); i.offset > i.size {
		return fmt.Errorf("%w: it has %d bytes, and the snapshot has %d", ErrForeignFile, i.offset, i.size)
	}
	if i.offset > 0 {
		if err := f.do("forget reception", func() error { return forgetPages(i.file) }); err != nil {
			return i.beginAnew(err)
		}
	}
	return f.checkRoom(i.size - i.offset)
}

// beginAnew empties the file after what an earlier process received could not be trusted.
func (i *Incoming) beginAnew(cause error) error {
	i.offset = 0
	if err := i.file.Truncate(0); err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// Offset returns the number of bytes that are there.
func (i *Incoming) Offset() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.offset
}

// writeBackBytes is the number of bytes of a snapshot after which the disk is given them: a sync of all of them at once
// would hold up those of raft.db.
const writeBackBytes = 4 << 20

// Write writes a part of the snapshot. A part that is there already, as a whole or in part, is not written again. The
// error wraps ErrSnapshotGap if a part before this one is missing. If the disk does not take what was written, the
// reception ends and the file is removed: this call and all later ones return the error.
func (i *Incoming) Write(offset int64, part []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.ended("receive"); err != nil {
		return err
	}
	switch {
	case offset < 0 || offset > i.size || int64(len(part)) > i.size-offset:
		return fmt.Errorf("receive %s: %d bytes at offset %d do not fit into a snapshot of %d", i.name, len(part), offset,
			i.size)
	case offset > i.offset:
		return fmt.Errorf("receive %s: %w: it begins at offset %d, and the next one begins at %d", i.name, ErrSnapshotGap,
			offset, i.offset)
	}
	part = part[min(i.offset-offset, int64(len(part))):]
	if len(part) == 0 {
		return nil
	}
	n, err := i.file.WriteAt(part, i.offset)
	if i.hashed == i.offset { // not if an earlier process received the beginning
		_, _ = i.hash.Write(part[:n]) // never fails: hash.Hash
		i.hashed += int64(n)
	}
	i.offset += int64(n)
	if i.behind += int64(n); err == nil && i.behind >= writeBackBytes {
		i.behind = 0
		if err := i.d.snapshots.do("write reception back", func() error { return writeBack(i.file) }); err != nil {
			return i.spoil("receive", err)
		}
	}
	return explain("receive", i.file.Name(), err)
}

// ended returns an error if the reception goes on no more.
func (i *Incoming) ended(doing string) error {
	if i.failure == nil && i.file == nil {
		return fmt.Errorf("%s %s: %w", doing, i.name, ErrClosed)
	}
	return i.failure
}

// spoil ends the reception, and removes its file, after the disk did not take a part of it: the system returns that
// error once, and takes the part for written. A later sync of the file would succeed without it (traps T37, T53).
func (i *Incoming) spoil(doing string, err error) error {
	i.spoiled, i.offset, i.hashed = true, 0, 0
	i.failure = explain(doing, i.d.snapshots.path(i.name), errors.Join(err, i.closeLocked()))
	return i.failure
}

// Verify checks everything that can be wrong with the snapshot, before anything is replaced (trap T34): its hash, and
// every row. It returns the state machine that it holds, its position in the log, and the facts that were saved with
// it. If the snapshot is damaged, it is removed, and can be received again from the beginning. If the disk does not
// take it, the reception ends, as in Write.
func (i *Incoming) Verify() (*kv.Store, raft.LogStart, map[string]string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.ended("verify"); err != nil {
		return nil, raft.LogStart{}, nil, err
	}
	if i.offset != i.size {
		return nil, raft.LogStart{}, nil, fmt.Errorf("verify %s: %d of %d bytes are received", i.name, i.offset, i.size)
	}
	if err := i.d.snapshots.do("sync reception", i.file.Sync); err != nil { // it becomes state.db (trap T37)
		return nil, raft.LogStart{}, nil, i.spoil("verify", err)
	}
	path := i.file.Name()
	store, meta, err := i.check(path)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotDatabase) {
		i.offset, i.hashed = 0, 0
		i.hash.Reset()
		err = errors.Join(err, i.file.Truncate(0))
	}
	if err != nil {
		return nil, raft.LogStart{}, nil, explain("verify", path, err)
	}
	i.position = &meta.position
	return store, meta.position, meta.facts, nil
}

func (i *Incoming) check(path string) (_ *kv.Store, _ stateMeta, err error) {
	if i.hashed, err = hashFile(i.hash, i.file, i.hashed); err != nil {
		return nil, stateMeta{}, err
	}
	if sum := [sha256.Size]byte(i.hash.Sum(nil)); sum != i.sum {
		return nil, stateMeta{}, fmt.Errorf("%w: the snapshot has the hash %x, and must have %x", ErrDamaged, sum, i.sum)
	}
	defer i.d.checkpoint.beginLoad(path)()
	return readFile(path, i.d.checkpoint.inject, newPace(verifyShare))
}

// Install makes a verified snapshot the checkpoint, and its position the start of the log: entries that follow it
// there stay if the log holds that position, and otherwise the log is empty (trap T31). It must not be behind the
// commit index or the checkpoint (trap T32), unless the fact is set that this node's state differs: then the log must
// hold that position. The file that is replaced is then kept, see asidePrefix, and the fact is removed. Once Install
// has begun, it is completed, by the next Open if need be; an error ends the DB (traps T37, T53). No Save may come
// between the core's Restore and Install.
func (i *Incoming) Install() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failure != nil {
		return i.failure
	}
	if i.file == nil || i.position == nil {
		return fmt.Errorf("install %s: it is not verified", i.name)
	}
	d, s := i.d, &i.d.checkpoint
	s.mu.Lock() // after a checkpoint or a copy (trap T35)
	defer s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.broken(), s.failure); err != nil {
		return err
	}
	if err := i.checkNewer(); err != nil {
		return err
	}
	if err := i.install(); err != nil {
		s.failure = d.fail(explain("install", i.name, err))
		return s.failure
	}
	return nil
}

// checkNewer returns an error if the snapshot is not newer than what is here, and must be.
func (i *Incoming) checkNewer() error {
	d, at := i.d, i.position.Index
	known, saved := max(d.marker.commitIndex(), d.state.Commit), d.checkpoint.meta.position.Index
	if at >= known && at > saved {
		return nil
	}
	if !isSet(d.facts[snapshot.FactStateDiffers]) {
		return fmt.Errorf("install %s: invariant broken: it ends at entry %d, the commit index is %d, and the checkpoint "+
			"ends at entry %d (trap T32)", i.name, at, known, saved)
	}
	held, err := d.holds(*i.position)
	if err == nil && !held {
		err = fmt.Errorf("invariant broken: it ends at entry %d, the commit index is %d, and the log does not hold that "+
			"entry (trap T32)", at, known)
	}
	return explain("install", i.name, err)
}

// install changes the disk in the order of trap T37.
func (i *Incoming) install() error {
	f, s := &i.d.snapshots, &i.d.checkpoint
	err := f.do("prepare installation", func() error {
		if err := os.Rename(f.path(i.name), f.path(pendingName)); err != nil {
			return err
		}
		return syncDirectory(f.dir)
	})
	if err != nil {
		return err
	}
	if err := s.close(); err != nil && !isDamage(err, s.path) {
		return err
	}
	if err := i.closeLocked(); err != nil {
		return err
	}
	return i.d.completeInstallation(*i.position)
}

// Discard removes what was received.
func (i *Incoming) Discard() error {
	if err := i.Close(); err != nil {
		return explain("discard", i.name, err)
	}
	f := &i.d.snapshots
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.incoming != nil && f.incoming.name == i.name {
		return nil // it is received again
	}
	if err := os.Remove(f.path(i.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return explain("discard", f.path(i.name), err)
	}
	return nil
}

// Close ends the reception. What was received stays, and another ReceiveSnapshot goes on with it.
func (i *Incoming) Close() error {
	f := &i.d.snapshots
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := i.closeFile(); err != nil {
		return err // it stays f.incoming: no reception goes on with a spoiled file
	}
	if f.incoming == i {
		f.incoming = nil
	}
	return nil
}

func (i *Incoming) closeFile() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closeLocked()
}

// closeLocked closes the file, and removes it if it is spoiled. The caller has i.mu.
func (i *Incoming) closeLocked() (err error) {
	if i.file != nil {
		err = i.file.Close()
		i.file = nil
	}
	if !i.spoiled {
		return err
	}
	removed := i.d.snapshots.do("remove reception", func() error { return os.Remove(i.d.snapshots.path(i.name)) })
	if removed == nil || errors.Is(removed, os.ErrNotExist) {
		i.spoiled = false
		return err
	}
	return errors.Join(err, removed)
}
