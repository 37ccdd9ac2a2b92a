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
	unsynced int64
	hash     hash.Hash // of the first hashed bytes
	hashed   int64
	position *raft.LogStart // once it is verified
}

// ReceiveSnapshot begins to receive a snapshot, or goes on where an earlier one of the same id, size and hash ended,
// also in an earlier process (trap T36). There is one at a time: any other that was begun is given up.
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
	return f.checkRoom(i.size - i.offset)
}

// Offset returns the number of bytes that are there.
func (i *Incoming) Offset() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.offset
}

// syncBytes is the number of received bytes after which they are synced: a sync of all of them at once would hold up
// those of raft.db.
const syncBytes = 4 << 20

// Write writes a part of the snapshot. A part that is there already, as a whole or in part, is not written again. The
// error wraps ErrSnapshotGap if a part before this one is missing.
func (i *Incoming) Write(offset int64, part []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.file == nil:
		return fmt.Errorf("receive %s: %w", i.name, ErrClosed)
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
	if i.unsynced += int64(n); err == nil && i.unsynced >= syncBytes {
		i.unsynced = 0
		err = i.file.Sync()
	}
	return explain("receive", i.file.Name(), err)
}

// Verify checks everything that can be wrong with the snapshot, before anything is replaced (trap T34): its hash, and
// every row. It returns the state machine that it holds, its position in the log, and the facts that were saved with
// it. If the snapshot is damaged, it is removed, and can be received again from the beginning.
func (i *Incoming) Verify() (*kv.Store, raft.LogStart, map[string]string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file == nil {
		return nil, raft.LogStart{}, nil, fmt.Errorf("verify %s: %w", i.name, ErrClosed)
	}
	if i.offset != i.size {
		return nil, raft.LogStart{}, nil, fmt.Errorf("verify %s: %d of %d bytes are received", i.name, i.offset, i.size)
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

func (i *Incoming) check(path string) (*kv.Store, stateMeta, error) {
	if err := i.file.Sync(); err != nil {
		return nil, stateMeta{}, err
	}
	var err error
	if i.hashed, err = hashFile(i.hash, i.file, i.hashed); err != nil {
		return nil, stateMeta{}, err
	}
	if sum := [sha256.Size]byte(i.hash.Sum(nil)); sum != i.sum {
		return nil, stateMeta{}, fmt.Errorf("%w: the snapshot has the hash %x, and must have %x", ErrDamaged, sum, i.sum)
	}
	return readFile(path, i.d.checkpoint.inject, newPace(snapshotRest))
}

// readFile reads and checks a snapshot, with pauses if there is a pace.
func readFile(path string, inject injector, p *pace) (*kv.Store, stateMeta, error) {
	c, err := connect(path, "immutable", commonPragmas, inject)
	if err != nil {
		return nil, stateMeta{}, err
	}
	store, meta, err := readSnapshot(c, p)
	return store, meta, errors.Join(err, c.close())
}

func readSnapshot(c *conn, p *pace) (*kv.Store, stateMeta, error) {
	if _, err := stateKind.check(c); err != nil {
		return nil, stateMeta{}, err
	}
	if err := checkPaced(c, p); err != nil {
		return nil, stateMeta{}, err
	}
	store, meta, err := readPaced(c, p)
	if err == nil && (meta.position.Index == 0 || meta.position.Term == 0 || meta.position.Digest == 0) {
		err = fmt.Errorf("%w: it is a checkpoint of nothing", ErrDamaged)
	}
	return store, meta, err
}

// Install makes a verified snapshot the checkpoint, and its position the start of the log: entries that follow it there
// stay if the log holds that position, and otherwise the log is empty (trap T31). It must not be behind the commit
// index or the checkpoint (trap T32), unless the fact is set that this node's state differs: then the log must hold
// that position. The file that is replaced is then kept, see asidePrefix. Once Install has begun, it is completed, by
// the next Open if need be; an error ends the DB (traps T37, T53). No Save may come between the core's Restore and
// Install.
func (i *Incoming) Install() error {
	i.mu.Lock()
	defer i.mu.Unlock()
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
	d, f, s := i.d, &i.d.snapshots, &i.d.checkpoint
	err := f.do("prepare installation", func() error {
		if err := os.Rename(f.path(i.name), f.path(pendingName)); err != nil {
			return err
		}
		return syncDirectory(f.dir)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(i.closeLocked(), s.close()); err != nil {
		return err
	}
	f.replaced.Add(1) // copies of the state before are not sent any more
	if err := f.replaceState(d.facts[snapshot.FactStateDiffers]); err != nil {
		return err
	}
	if err := s.readExisting(s.path); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	d.checkpointed.Store(uint64(s.meta.position.Index))
	return d.startAt(s.meta.position)
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
	i.d.snapshots.mu.Lock()
	defer i.d.snapshots.mu.Unlock()
	if i.d.snapshots.incoming == i {
		i.d.snapshots.incoming = nil
	}
	return i.closeFile()
}

func (i *Incoming) closeFile() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closeLocked()
}

func (i *Incoming) closeLocked() error {
	if i.file == nil {
		return nil
	}
	file := i.file
	i.file = nil
	return file.Close()
}
