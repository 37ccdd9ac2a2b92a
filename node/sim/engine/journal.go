package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ErrDamaged reports that something that was durable is not what was written (trap T54).
var ErrDamaged = errors.New("sim: the journal is damaged")

// A journal is frames one after the other, each [length u32][crc32c u32][payload], and the payload is a record.
const frameHead = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is what one save changes: all of it is on the disk, or nothing.
type record struct {
	state raft.HardState
	// entries follow each other without a gap and replace everything at and after entries[0].Index.
	entries []raft.Entry
	// facts are the pairs that change. With factStart among them, the entries up to there are removed.
	facts map[string]string
}

// appendFrame appends a record with its length and checksum, and returns the longer journal.
func appendFrame(journal []byte, r record) []byte {
	start := len(journal)
	journal = append(journal, 0, 0, 0, 0, 0, 0, 0, 0)
	journal = r.appendTo(journal)
	payload := journal[start+frameHead:]
	binary.LittleEndian.PutUint32(journal[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(journal[start+4:], crc32.Checksum(payload, castagnoli))
	return journal
}

// appendTo appends the record as bytes. Facts go in the order of their keys: the same run makes the same bytes.
func (r record) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.state.Term))
	b = binary.AppendUvarint(b, uint64(r.state.Vote))
	b = binary.AppendUvarint(b, uint64(r.state.Commit))
	b = binary.AppendUvarint(b, uint64(len(r.entries)))
	for i := range r.entries {
		e := &r.entries[i]
		if i == 0 {
			b = binary.AppendUvarint(b, uint64(e.Index))
		}
		b = binary.AppendUvarint(b, uint64(e.Term))
		b = binary.AppendVarint(b, e.Timestamp)
		b = binary.AppendUvarint(b, uint64(len(e.Command)))
		b = append(b, e.Command...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.facts)))
	if len(r.facts) == 0 {
		return b
	}
	for _, key := range slices.Sorted(maps.Keys(r.facts)) {
		for _, text := range []string{key, r.facts[key]} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	return b
}

// decodeRecord is the inverse of appendTo: false if the bytes are no record, or more than one. What it returns shares
// no memory with the payload.
func decodeRecord(payload []byte) (record, bool) {
	in := reader{rest: payload}
	r := record{state: raft.HardState{
		Term: raft.Term(in.number()), Vote: raft.NodeID(in.number()), Commit: raft.Index(in.number()),
	}}
	if n := in.number(); n > 0 && n <= uint64(len(in.rest)) {
		r.entries = make([]raft.Entry, n)
		first := raft.Index(in.number())
		for i := range r.entries {
			e := &r.entries[i]
			e.Index, e.Term, e.Timestamp = first+raft.Index(i), raft.Term(in.number()), in.signed()
			e.Command = slices.Clone(in.text())
			e.Type = entryjson.TypeOf(e.Command)
		}
	} else if n > 0 {
		return record{}, false
	}
	if n := in.number(); n > 0 && n <= uint64(len(in.rest)) {
		r.facts = make(map[string]string, n)
		for range n {
			key := string(in.text())
			r.facts[key] = string(in.text())
		}
	} else if n > 0 {
		return record{}, false
	}
	return r, !in.short && len(in.rest) == 0
}

// reader takes values from the front of bytes. Once they do not suffice it reports that, and returns zeros.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	return v & r.took(n)
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.rest)
	return v & int64(r.took(n))
}

// took steps over n bytes and returns a mask for what was in them: nothing, if n means that there was no number.
func (r *reader) took(n int) uint64 {
	if n <= 0 {
		r.short, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return ^uint64(0)
}

func (r *reader) text() []byte {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.short, r.rest = true, nil
		return nil
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

// frameAt reads the frame at an offset: its payload and where it ends, or false if there is no good one. The end is
// then where it claims to end, 0 if it claims nothing. No frame is empty, or zeros would be a good one.
func frameAt(journal []byte, offset int) (payload []byte, end int, ok bool) {
	if len(journal)-offset < frameHead {
		return nil, 0, false
	}
	length := int(binary.LittleEndian.Uint32(journal[offset:]))
	if length == 0 {
		return nil, 0, false
	}
	if end = offset + frameHead + length; end > len(journal) {
		return nil, end, false
	}
	payload = journal[offset+frameHead : end]
	return payload, end, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(journal[offset+4:])
}

// image is the content of a journal, all its records put together.
type image struct {
	state raft.HardState
	log   raft.Log
	facts map[string]string
	// digests are those of the log up to each of its entries.
	digests []raft.Digest
	// size is about how many bytes the entries take in a journal.
	size int
}

// entryOverhead is about how many bytes an entry takes beside its command.
const entryOverhead = 12

// absorb adds what a record changes. The slice of entries may have been handed out, so what is in it stays: after a
// truncation the next append copies.
func (m *image) absorb(r record) {
	m.state = r.state
	if start, is := r.start(); is {
		m.cut(start)
	}
	if len(r.entries) > 0 {
		log := &m.log
		keep := r.entries[0].Index - 1 - log.Start.Index
		m.size -= sizeOf(log.Entries[keep:])
		if keep < raft.Index(len(log.Entries)) {
			log.Entries = slices.Clip(log.Entries[:keep])
		}
		log.Entries = append(log.Entries, r.entries...)
		m.size += sizeOf(r.entries)
		m.extendDigests(keep)
	}
	if len(r.facts) > 0 {
		facts := maps.Clone(m.facts)
		if facts == nil {
			facts = make(map[string]string, len(r.facts))
		}
		maps.Copy(facts, r.facts)
		m.facts = facts
	}
}

// extendDigests computes the digests of the entries behind those that stay.
func (m *image) extendDigests(keep raft.Index) {
	m.digests = m.digests[:keep]
	d := m.digestAt(m.log.Start.Index + keep)
	for i := keep; i < raft.Index(len(m.log.Entries)); i++ {
		d = d.Extend(&m.log.Entries[i])
		m.digests = append(m.digests, d)
	}
}

// digestAt returns the digest of the log up to an index that it holds.
func (m *image) digestAt(i raft.Index) raft.Digest {
	if i == m.log.Start.Index {
		return m.log.Start.Digest
	}
	return m.digests[i-m.log.Start.Index-1]
}

// holds reports whether the log has a position.
func (m *image) holds(start *raft.LogStart) bool {
	term, is := m.log.Term(start.Index)
	return is && term == start.Term && m.digestAt(start.Index) == start.Digest
}

// position returns the position of an entry of the log, with the seats and the configuration there; false if the log
// does not hold it.
func (m *image) position(i raft.Index) (raft.LogStart, bool) {
	if _, is := m.log.Term(i); !is {
		return raft.LogStart{}, false
	}
	start := m.log.Start
	for k := range m.log.Entries[:i-m.log.Start.Index] {
		next, err := start.After(&m.log.Entries[k], m.digests[k], entryjson.Encoding())
		if err != nil {
			return raft.LogStart{}, false
		}
		start = next
	}
	return start, true
}

// after returns the log behind an index; false if it holds no such position.
func (m *image) after(i raft.Index) (raft.Log, bool) {
	start, is := m.position(i)
	if !is {
		return raft.Log{}, false
	}
	return raft.Log{
		Start: start, Entries: slices.Clip(m.log.Entries[i-m.log.Start.Index:]), Removed: m.log.Start.Index,
	}, true
}

// cut removes the entries up to the start of a log. If the log does not have that position, it removes all of them:
// what comes after it is not of the same log (trap T31).
func (m *image) cut(start raft.LogStart) {
	removed := raft.Index(len(m.log.Entries))
	if m.holds(&start) {
		removed = start.Index - m.log.Start.Index
	}
	m.size -= sizeOf(m.log.Entries[:removed])
	m.log = raft.Log{Start: start, Entries: m.log.Entries[removed:]}
	m.digests = slices.Clone(m.digests[removed:])
}

func sizeOf(entries []raft.Entry) int {
	size := 0
	for i := range entries {
		size += entryOverhead + len(entries[i].Command)
	}
	return size
}

// check refuses a record that does not continue the log.
func (m *image) check(r record) error {
	first, last := m.log.Start.Index+1, m.log.Last()
	if _, has := r.facts[factStart]; has {
		start, is := r.start()
		if !is || start.Index < m.log.Start.Index {
			return fmt.Errorf("moves the start of the log from %d to %q", m.log.Start.Index, r.facts[factStart])
		}
		if first = start.Index + 1; !m.holds(&start) {
			last = start.Index
		}
	}
	if len(r.entries) > 0 && (r.entries[0].Index < first || r.entries[0].Index > last+1) {
		return fmt.Errorf("starts with entry %d, but the log has entries %d to %d", r.entries[0].Index, first, last)
	}
	return nil
}

// start returns the start of the log that a record sets; false if it sets none.
func (r record) start() (start raft.LogStart, is bool) {
	text, has := r.facts[factStart]
	return start, has && json.Unmarshal([]byte(text), &start) == nil
}

// readJournal reads a journal from the start, checking everything, and returns how much of it is good. A bad frame at
// the very end is a write that a crash tore: the caller cuts it off. Any other was whole once and may have been
// acknowledged, so it is errDamaged, which states where (trap T54).
func readJournal(journal []byte) (m image, good int, err error) {
	for number := 1; good < len(journal); number++ {
		payload, end, ok := frameAt(journal, good)
		if !ok {
			if err := tornOrDamaged(journal, number, good, end); err != nil {
				return m, good, err
			}
			break
		}
		r, ok := decodeRecord(payload)
		if !ok {
			return m, good, fmt.Errorf("%w: record %d at byte %d has a good checksum, but cannot be read",
				ErrDamaged, number, good)
		}
		if err := m.check(r); err != nil {
			return m, good, fmt.Errorf("%w: record %d at byte %d %w", ErrDamaged, number, good, err)
		}
		m.absorb(r)
		good = end
	}
	if n := m.log.Last(); m.state.Commit > n {
		return m, good, fmt.Errorf("%w: the commit index is %d, but the log ends at %d",
			ErrDamaged, m.state.Commit, n)
	}
	return m, good, nil
}

// tornOrDamaged judges a bad frame: nil if it can be a torn write, because nothing comes after it. Where its length is
// what was damaged, a good frame may start anywhere.
func tornOrDamaged(journal []byte, number, offset, end int) error {
	if end > 0 && end < len(journal) {
		return fmt.Errorf("%w: record %d at bytes %d to %d does not match its checksum, and is not the last",
			ErrDamaged, number, offset, end)
	}
	for at := offset + 1; at+frameHead < len(journal); at++ {
		if _, _, ok := frameAt(journal, at); ok {
			return fmt.Errorf("%w: record %d at byte %d does not match its checksum, but a good one starts at byte %d",
				ErrDamaged, number, offset, at)
		}
	}
	return nil
}
