package engine

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// copied is a copy of state.db that is sent to followers.
type copied struct {
	snapshot.Description
	file *snapshottest.File
	data []byte
	uses int
}

// sentCopies are the last copies that any node made: what a receiver writes is compared with them.
type sentCopies struct {
	last [32]*copied
	made int
}

func (s *sentCopies) add(c *copied) {
	if s != nil {
		s.last[s.made%len(s.last)] = c
		s.made++
	}
}

// differs reports whether bytes at an offset are not those of the copy with an id. A copy of long ago is not known.
func (s *sentCopies) differs(id string, offset int64, data []byte) bool {
	if s == nil {
		return false
	}
	for _, c := range s.last {
		if c != nil && c.ID == id {
			return !bytes.HasPrefix(c.data[offset:], data)
		}
	}
	return false
}

// OpenSnapshot returns a copy of the last checkpoint: the one that is there, if it is used or still new, else a new
// one.
func (s *storage) OpenSnapshot(including raft.Index) (snapshot.Source, error) {
	d := s.disk
	differs := d.StateDiffers() // when it is opened: that may be found out while the copy is made
	s.pass(d.Faults.Latency)
	if err := s.ready(); err != nil {
		return nil, err
	}
	if differs {
		return nil, d.misuse("a snapshot is opened of a state that differs")
	}
	if d.happens(d.Faults.StateError, stateError) || d.Spoiled { // a wrong state that is not found yet does not spread
		return nil, errDisk
	}
	if err := d.roomApart(reserve); err != nil {
		return nil, err
	}
	if d.state.Start.Index < max(including, 1) {
		return nil, d.misuse("a snapshot of entry %d is opened, and the checkpoint is of %d", including, d.state.Start.Index)
	}
	if c := s.copy; c != nil && c.uses > 0 && c.Start.Index < including {
		return nil, fmt.Errorf("sim: the copy is of entry %d, and still in use", c.Start.Index)
	}
	if c := s.copy; c == nil || c.uses == 0 && c.file != d.state {
		data := d.state.Encode()
		s.copy = &copied{file: d.state, data: data, Description: snapshot.Description{
			ID: fmt.Sprintf("%016x", d.rng.Uint64()), Size: int64(len(data)), Sum: sha256.Sum256(data), Start: d.state.Start,
		}}
		d.report.sent.add(s.copy)
	}
	s.copy.uses++
	return &source{disk: d, copy: s.copy}, nil
}

// source is one use of a copy.
type source struct {
	disk     *disk
	copy     *copied
	released bool
}

// ID is snapshot.Source's.
func (s *source) ID() string { return s.copy.ID }

// Size is snapshot.Source's.
func (s *source) Size() int64 { return s.copy.Size }

// Sum is snapshot.Source's.
func (s *source) Sum() [sha256.Size]byte { return s.copy.Sum }

// Position is snapshot.Source's.
func (s *source) Position() raft.LogStart { return s.copy.Start }

// ReadAt is snapshot.Source's.
func (s *source) ReadAt(p []byte, offset int64) (int, error) {
	if s.released {
		return 0, s.disk.misuse("a snapshot is read after it was released")
	}
	if offset > s.copy.Size {
		return 0, io.EOF
	}
	n := copy(p, s.copy.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Release is snapshot.Source's.
func (s *source) Release() {
	if !s.released {
		s.copy.uses--
	}
	s.released = true
}

// incoming is a part of a snapshot that was received.
type incoming struct {
	snapshot.Description
	data []byte
}

// afterCrash returns what a crash leaves of it: all, nothing, a part, or the length without the last bytes.
func (d *disk) afterCrash(in *incoming) *incoming {
	if in == nil || len(in.data) == 0 {
		return nil
	}
	switch d.rng.IntN(6) {
	case 0:
		return nil
	case 1, 2:
		in.data = in.data[:d.rng.IntN(len(in.data))]
	case 3:
		spoil(in.data[d.rng.IntN(len(in.data)):])
	}
	return in
}

// ReceiveSnapshot goes on with what is on the disk of the same snapshot, or begins with nothing.
func (s *storage) ReceiveSnapshot(desc snapshot.Description) (snapshot.Sink, error) {
	s.pass(s.disk.Faults.Latency)
	if err := s.ready(); err != nil {
		return nil, err
	}
	if err := s.disk.roomApart(reserve); err != nil {
		return nil, err
	}
	if in := s.disk.incoming; in == nil || in.ID != desc.ID || in.Size != desc.Size || in.Sum != desc.Sum {
		s.disk.incoming = &incoming{Description: desc}
	}
	return &sink{storage: s, incoming: s.disk.incoming}, nil
}

// sink is a snapshot.Sink.
type sink struct {
	*storage
	incoming *incoming
	verified *snapshottest.File
}

// Offset is snapshot.Sink's.
func (s *sink) Offset() int64 { return int64(len(s.incoming.data)) }

// Write is snapshot.Sink's.
func (s *sink) Write(offset int64, data []byte) error {
	if offset != s.Offset() {
		return s.disk.misuse("bytes are written at %d of a snapshot of which %d are there (trap T36)", offset, s.Offset())
	}
	data = bytes.Clone(data)
	s.pass(s.disk.Faults.Latency)
	if err := s.usable(); err != nil {
		return err
	}
	if s.disk.happens(s.disk.Faults.StateError, stateError) {
		return errDisk
	}
	if s.Offset()+int64(len(data)) > s.incoming.Size {
		return s.disk.misuse("%d bytes are written at %d of a snapshot of %d", len(data), s.Offset(),
			s.incoming.Size)
	}
	if s.disk.report.sent.differs(s.incoming.ID, s.Offset(), data) {
		return s.disk.misuse("%d bytes are written at %d of a snapshot, and others belong there (trap T36)", len(data),
			s.Offset())
	}
	s.incoming.data = append(s.incoming.data, data...)
	return nil
}

// usable returns an error if the snapshot is no longer the one that is received.
func (s *sink) usable() error {
	if err := s.ready(); err != nil {
		return err
	}
	if s.disk.incoming != s.incoming {
		return s.disk.misuse("a snapshot is used after another one was begun, or it was discarded")
	}
	return nil
}

// Verify is snapshot.Sink's.
func (s *sink) Verify() (*kv.Store, raft.LogStart, map[string]string, error) {
	s.pass(4 * s.disk.Faults.Latency)
	if err := s.usable(); err != nil {
		return nil, raft.LogStart{}, nil, err
	}
	store, err := s.check()
	if err != nil {
		return nil, raft.LogStart{}, nil, err
	}
	return store, s.verified.Start, s.verified.Facts, nil
}

// check checks and loads what was received.
func (s *sink) check() (*kv.Store, error) {
	if sum := sha256.Sum256(s.incoming.data); s.Offset() != s.incoming.Size || sum != s.incoming.Sum {
		return nil, fmt.Errorf("sim: a snapshot of %d bytes has the hash %x; the sender said %x", s.Offset(), sum[:4],
			s.incoming.Sum[:4])
	}
	file, err := snapshottest.Decode(s.incoming.data)
	if err != nil {
		return nil, err
	}
	store, err := file.Load()
	if err == nil {
		s.verified = file
	}
	return store, err
}

// Install replaces state.db, and then resets the log. A crash between the two leaves a state that is ahead of the log.
func (s *sink) Install() error {
	if err := s.usable(); err != nil {
		return err
	}
	d := s.disk
	if s.verified == nil {
		return d.misuse("a snapshot is installed that was not verified")
	}
	before, after := d.latency()
	d.Takes = before + after
	defer func() { d.Takes = 0 }()
	d.installing = s.verified
	if err := s.putState(s.verified, before, after); err != nil {
		return err
	}
	d.incoming = nil
	if err := s.resetLog(s.verified.Start); err != nil {
		return err
	}
	d.Kept.Installs++
	d.note("its log starts after %d, with a snapshot", s.verified.Start.Index)
	return nil
}

// Discard is snapshot.Sink's.
func (s *sink) Discard() error {
	if err := s.ready(); err != nil {
		return err
	}
	if s.disk.incoming == s.incoming {
		s.disk.incoming = nil
	}
	return nil
}
