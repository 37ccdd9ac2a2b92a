package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// at returns the position at an index of the log.
func (d *disk) at(index raft.Index) (raft.LogStart, bool) {
	if index < d.start.Index || index > d.start.Index+raft.Index(len(d.entries)) {
		return raft.LogStart{}, false
	}
	start := d.start
	for i := range d.entries[:index-d.start.Index] {
		e := &d.entries[i]
		next, err := start.After(e, start.Digest.Extend(e), entryjson.Encoding())
		if err != nil {
			return raft.LogStart{}, false
		}
		start = next
	}
	return start, true
}

func (d *disk) LoadLog(applied raft.Index, tailBytes int) (raft.HardState, raft.Log, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := max(applied, d.start.Index)
	for after > d.start.Index && after <= d.start.Index+raft.Index(len(d.entries)) {
		if tailBytes -= len(d.entries[after-d.start.Index-1].Command); tailBytes < 0 {
			break
		}
		after--
	}
	start, ok := d.at(after)
	if !ok {
		return raft.HardState{}, raft.Log{}, fmt.Errorf("the log does not reach entry %d", after)
	}
	rest := d.entries[start.Index-d.start.Index:]
	return d.hard, raft.Log{Start: start, Entries: append([]raft.Entry{}, rest...), Removed: d.start.Index}, nil
}

func (d *disk) ReadLog(from raft.Index, maxEntries, maxBytes int) (raft.Log, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	start, ok := d.at(from - 1)
	if !ok || from <= d.start.Index {
		return raft.Log{}, raft.ErrRemoved
	}
	part := raft.Log{Start: start}
	for _, e := range d.entries[start.Index-d.start.Index:] {
		maxBytes -= len(e.Command)
		if n := len(part.Entries); n > 0 && (n == maxEntries || maxBytes < 0) {
			break
		}
		part.Entries = append(part.Entries, e)
	}
	d.reads++
	return part, nil
}

func (d *disk) Cut(to raft.Index, seats []raft.Seat, config raft.Configuration) (waits bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	start, ok := d.at(to)
	if d.fail != nil || !ok || d.state == nil || d.state.Start.Index < to {
		return false, errors.Join(d.fail, fmt.Errorf("the log cannot be cut at entry %d (T50)", to))
	}
	start.Seats, start.Configuration = seats, config
	if d.cutLater {
		start, d.cut = d.cut, start
		waits = d.cut.Index > start.Index
	}
	if start.Index > d.start.Index {
		d.entries = append([]raft.Entry{}, d.entries[start.Index-d.start.Index:]...)
		d.start = start
	}
	return waits, nil
}

func (d *disk) LoadState() (*kv.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stateLost || d.state == nil && d.start.Index > 0 {
		d.stateLost = true
		return nil, fmt.Errorf("state.db: %w", snapshot.ErrDamagedState)
	}
	if d.state == nil {
		return kv.New(), nil
	}
	return d.state.Load()
}

func (d *disk) SetStateAside() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.stateLost = nil, false
	d.aside++
	return d.fail
}

func (d *disk) SaveState(c snapshot.Checkpoint) error {
	d.mu.Lock()
	if saving := d.saving; saving != nil {
		d.saving = nil
		d.mu.Unlock()
		saving()
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	start, ok := d.at(raft.Index(c.Delta.Meta.Applied))
	if d.fail != nil || d.failState != nil || !ok {
		return errors.Join(d.fail, d.failState)
	}
	if d.stateLost && c.Delta.Since != 0 {
		return fmt.Errorf("state.db: %w", snapshot.ErrDamagedState)
	}
	if c.Delta.Since == 0 && d.failWhole != nil {
		return d.failWhole
	}
	if d.state == nil || c.Delta.Since == 0 {
		d.state, d.stateLost = &snapshottest.File{}, false
	}
	d.state = d.state.With(&c, start)
	if c.Delta.Since == 0 {
		d.whole++
	}
	return nil
}

// ScrubState reports the damage that a test planted, once.
func (d *disk) ScrubState(string, int) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.stateDamage
	d.stateDamage = nil
	return "", err
}

// ScrubLog reports the damaged entry that a test planted, until it is removed.
func (d *disk) ScrubLog(raft.Index, int) (raft.Index, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logDamage > d.start.Index {
		return d.logDamage, snapshot.ErrDamagedLog
	}
	if d.logUnread > d.start.Index {
		return d.logUnread, errors.New("the disk is slow")
	}
	return 0, nil
}

func (d *disk) OpenSnapshot(including raft.Index) (snapshot.Source, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failOpen != nil {
		return nil, d.failOpen
	}
	if d.stateLost {
		return nil, fmt.Errorf("copy: %w", snapshot.ErrDamagedState)
	}
	if d.state == nil || d.state.Start.Index < including {
		return nil, fmt.Errorf("there is no checkpoint of entry %d", including)
	}
	data := d.state.Encode()
	d.opened++
	return source{bytes.NewReader(data), snapshot.Description{
		ID: fmt.Sprint(d.opened), Size: int64(len(data)), Sum: sha256.Sum256(data), Start: d.state.Start,
	}, d}, nil
}

// source is a snapshot.Source in memory.
type source struct {
	*bytes.Reader
	described snapshot.Description
	disk      *disk
}

func (s source) ID() string              { return s.described.ID }
func (s source) Sum() [sha256.Size]byte  { return s.described.Sum }
func (s source) Position() raft.LogStart { return s.described.Start }
func (s source) Release()                { s.disk.set(func(d *disk) { d.released++ }) }

func (d *disk) ReceiveSnapshot(described snapshot.Description) (snapshot.Sink, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.incoming == nil || d.incoming.ID != described.ID {
		d.incoming = &incoming{Description: described, disk: d}
	}
	return d.incoming, nil
}

// incoming is a snapshot.Sink in memory. It is there until it is installed or discarded.
type incoming struct {
	snapshot.Description
	disk *disk
	data []byte
	file *snapshottest.File
	dead error // the disk did not take it
}

func (in *incoming) Offset() (offset int64) {
	in.disk.set(func(*disk) { offset = int64(len(in.data)) })
	return offset
}

func (in *incoming) Write(_ int64, data []byte) error {
	d := in.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failPart != nil {
		in.dead, d.failPart, d.incoming = d.failPart, nil, nil
	}
	if in.dead == nil {
		in.data = append(in.data, data...)
	}
	return in.dead
}

func (in *incoming) Verify() (store *kv.Store, start raft.LogStart, facts map[string]string, err error) {
	time.Sleep(latency) // fake time: it takes a while
	if sha256.Sum256(in.data) != in.Sum {
		return nil, start, nil, errors.New("the hash of the snapshot is wrong")
	}
	if in.file, err = snapshottest.Decode(in.data); err != nil {
		return nil, start, nil, err
	}
	store, err = in.file.Load()
	return store, in.file.Start, in.file.Facts, err
}

func (in *incoming) Install() error {
	d := in.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.at(in.Start.Index)
	if keep := ok && at.Term == in.Start.Term && at.Digest == in.Start.Digest; keep {
		d.entries = append([]raft.Entry{}, d.entries[in.Start.Index-d.start.Index:]...)
	} else {
		d.entries = nil
	}
	d.state, d.start, d.incoming = in.file, in.file.Start, nil
	d.hard.Commit = max(d.hard.Commit, in.Start.Index)
	if d.facts[snapshot.FactStateDiffers] != "" {
		d.facts[snapshot.FactStateDiffers] = "0"
	}
	d.stateLost = false
	d.installed++
	return d.fail
}

func (in *incoming) Discard() error {
	in.disk.set(func(d *disk) { d.incoming = nil })
	return nil
}

func (p *port) Snapshot(ctx context.Context, peer raft.NodeID, c snapshot.Chunk) (snapshot.Answer, error) {
	target := p.lan.reach(p.id, peer)
	if target == nil {
		return snapshot.Answer{}, node.ErrNotSent
	}
	time.Sleep(latency) // fake time: the network's delay
	c.Data = bytes.Clone(c.Data)
	answer, err := target.HandleSnapshot(ctx, c)
	if p.lan.reach(peer, p.id) == nil {
		return snapshot.Answer{}, errUnplugged
	}
	return answer, err
}
