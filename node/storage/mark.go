package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// markSuffix is appended to the name of the database to form that of the mark.
const markSuffix = "-mark"

// A mark records how far the database and its write-ahead log must reach together. It is written after each save,
// beside the database and without a sync, so it survives the end of the process; after a power loss it may be some
// seconds old, but it is never ahead of what was synced. A start that finds less than the mark refuses the disk.
//
// version counts the writes of node_state. While it stays the same, the log only grows, so two states of a disk are
// always in order, although a suffix of the log may be replaced by a shorter one.
type mark struct {
	sequence uint64 // of the marks themselves
	version  uint64
	state    raft.HardState
	end      tail
}

// The mark is two lines of text in two sectors, written in turn: a write that a power loss interrupts leaves the
// other one.
const (
	markSlot   = 512 // a sector
	markSlots  = 2
	markFormat = "kontiki-mark-1"
	markFields = 9
)

// appendTo appends the line, padded with spaces to the length of a slot.
func (m *mark) appendTo(line []byte) []byte {
	start := len(line)
	line = append(line, markFormat...)
	for _, n := range [...]uint64{
		m.sequence, m.version, uint64(m.state.Term), uint64(m.state.Vote), uint64(m.state.Commit), uint64(m.end.index),
		uint64(m.end.digest),
	} {
		line = append(line, ' ')
		line = strconv.AppendUint(line, n, 10)
	}
	sum := crc32.Checksum(line[start:], castagnoli)
	line = append(line, ' ')
	line = strconv.AppendUint(line, uint64(sum), 10)
	for len(line) < start+markSlot-1 {
		line = append(line, ' ')
	}
	return append(line, '\n')
}

// parseMark parses a line. It returns false if it is damaged.
func parseMark(line []byte) (m mark, good bool) {
	fields := bytes.Fields(line)
	if len(fields) != markFields || string(fields[0]) != markFormat {
		return mark{}, false
	}
	var numbers [markFields - 1]uint64
	for i, field := range fields[1:] {
		var err error
		if numbers[i], err = strconv.ParseUint(string(field), 10, 64); err != nil {
			return mark{}, false
		}
	}
	m = mark{
		sequence: numbers[0], version: numbers[1],
		state: raft.HardState{
			Term: raft.Term(numbers[2]), Vote: raft.NodeID(numbers[3]), Commit: raft.Index(numbers[4]),
		},
		end: tail{raft.Index(numbers[5]), raft.Digest(numbers[6])},
	}
	return m, bytes.Equal(m.appendTo(nil), line)
}

// readMark returns the newer of the two lines; nil if there is none: the file is missing or damaged, or a crash
// interrupted its creation.
func readMark(path string) (*mark, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	lines := make([]byte, markSlots*markSlot)
	n, err := f.ReadAt(lines, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var newest *mark
	for line := range slices.Chunk(lines[:n], markSlot) { // by position, because the newline may be damaged
		if m, good := parseMark(line); good && (newest == nil || m.sequence > newest.sequence) {
			newest = &m
		}
	}
	return newest, nil
}

// checkMark compares what was read with the mark, and takes the commit index from it. needed reports that there must
// be one: the database is not complete by itself, or its write-ahead log is not empty.
func (all *contents) checkMark(m *mark, needed bool) error {
	if m == nil {
		if needed {
			return fmt.Errorf("%w: %s%s is missing or damaged, and without it %s and %s%s cannot be checked for completeness",
				ErrIncomplete, databaseName, markSuffix, databaseName, databaseName, walSuffix)
		}
		return nil
	}
	state := all.state
	voted := m.state.Vote == 0 || m.state.Vote == state.Vote
	switch {
	case state.Term < m.state.Term, state.Term == m.state.Term && !voted:
		return fmt.Errorf("%w: it holds term %d and the vote for member %d, but term %d and the vote for member %d had "+
			"been saved", ErrIncomplete, state.Term, state.Vote, m.state.Term, m.state.Vote)
	case all.version < m.version:
		return fmt.Errorf("%w: node_state was written %d times, but had been written %d times", ErrIncomplete,
			all.version, m.version)
	case all.end.index < m.state.Commit, all.version == m.version && all.end.index < m.end.index:
		return fmt.Errorf("%w: the log ends at entry %d, but entry %d had been saved", ErrIncomplete, all.end.index,
			max(m.state.Commit, m.end.index))
	case all.version == m.version && m.end.index < all.start.Index:
		return fmt.Errorf("%w: the log starts after entry %d, but a log that ends at entry %d had been saved", ErrIncomplete,
			all.start.Index, m.end.index)
	case all.version == m.version && all.digestAt(m.end.index) != m.end.digest:
		return fmt.Errorf("%w: the log up to entry %d has the digest %08x, but a log with the digest %08x had been saved",
			ErrIncomplete, m.end.index, uint32(all.digestAt(m.end.index)), uint32(m.end.digest))
	}
	all.state.Commit = max(state.Commit, m.state.Commit)
	return nil
}

// marker writes the marks of a DB.
type marker struct {
	inject injector
	file   *os.File

	// mu guards the rest. It is not DB.mu, which a checkpoint holds for long.
	mu   sync.Mutex
	last mark
	line []byte
}

// openMarker makes the mark durable with the state of the disk, before anything is written that needs it.
func openMarker(path string, m mark, inject injector) (*marker, error) {
	k := &marker{inject: inject, last: m, line: make([]byte, 0, markSlot)}
	err := k.do("open mark", func() (err error) {
		k.file, err = openPrivate(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	for range markSlots {
		err = errors.Join(err, k.write(m))
	}
	err = errors.Join(err, k.sync())
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *marker) do(what string, call func() error) error {
	if k.inject == nil {
		return call()
	}
	return k.inject(what, call)
}

// set writes a mark for what the disk holds.
func (k *marker) set(version uint64, state raft.HardState, end tail) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	state.Commit = max(state.Commit, k.last.state.Commit)
	return k.write(mark{version: version, state: state, end: end})
}

// commit writes a commit index, if it is higher than the last.
func (k *marker) commit(index raft.Index) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.last
	if m.state.Commit = min(index, m.end.index); m.state.Commit <= k.last.state.Commit {
		return nil
	}
	return k.write(m)
}

// write writes a mark over the older of the two.
func (k *marker) write(m mark) error {
	m.sequence = k.last.sequence + 1
	k.line = m.appendTo(k.line[:0])
	k.last = m
	return k.do("mark", func() error {
		_, err := k.file.WriteAt(k.line, int64(m.sequence%markSlots)*markSlot)
		return err
	})
}

func (k *marker) sync() error { return k.do("sync mark", k.file.Sync) }

// commitIndex returns the highest known commit index.
func (k *marker) commitIndex() raft.Index {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last.state.Commit
}

func (k *marker) close() error { return k.file.Close() }
