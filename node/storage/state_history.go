package storage

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// A row of history is a segment: many past versions, in the order of the changes that ended them. Most of them are cut
// soon after they were written, and one by one both would cost several times as much. A segment is removed when its
// last version is cut. Until then the versions in it that are cut are ignored.
const (
	// segmentBytes is the size from which on no further version is added to a segment.
	segmentBytes = 256 << 10
	// segmentsAtOnce is the number of segments that one statement removes.
	segmentsAtOnce = 4
)

// segment is a row of history under construction. Its zero value is an empty one.
type segment struct {
	id    int64  // of the first version in it
	last  uint64 // the revision that ended the last version
	count int64
	data  []byte
}

// add appends a version. A timestamp is stored as table kv would return it.
func (g *segment) add(p *kv.Past) {
	if g.count == 0 {
		g.id = historyID(p.Until, p.UntilPosition)
	}
	g.last = p.Until
	g.count++
	r := &p.Record
	for _, n := range [...]uint64{
		p.Until, uint64(p.UntilPosition), uint64(microseconds(seconds(p.UntilModified))), uint64(number(p.Deleted)),
		r.ModRevision, r.CreateRevision, r.Version, uint64(r.Position), uint64(microseconds(seconds(r.Modified))),
		uint64(len(r.Key)), uint64(len(r.ContentType)), uint64(len(r.Value)),
	} {
		g.data = binary.AppendUvarint(g.data, n)
	}
	g.data = append(append(append(g.data, r.Key...), r.ContentType...), r.Value...)
}

// reset empties the segment and keeps its memory.
func (g *segment) reset() { *g = segment{data: g.data[:0]} }

// segmentSum returns the checksum of a segment, over all other columns (trap S10).
func segmentSum(id, last, count int64, data []byte) int64 {
	var head []byte
	for _, n := range [...]int64{id, last, count, int64(len(data))} {
		head = binary.LittleEndian.AppendUint64(head, uint64(n))
	}
	return int64(crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, data))
}

// historyID returns the id of a segment whose first version was ended by a change.
func historyID(until uint64, position int) int64 { return int64(until)<<positionBits | int64(position) }

// writeHistory writes the versions that the changes ended.
func (s *stateFile) writeHistory(delta *kv.Delta) error {
	p := newPace(checkpointShare)
	defer s.segment.reset()
	for i := range delta.Changes {
		change := &delta.Changes[i]
		if change.Past == nil || change.Revision <= delta.Meta.Cut {
			continue
		}
		s.segment.add(&kv.Past{
			Until: change.Revision, UntilPosition: change.Position, UntilModified: change.Modified, Record: *change.Past,
			Deleted: change.Record == nil,
		})
		if len(s.segment.data) < segmentBytes {
			continue
		}
		if err := s.writeSegment(); err != nil {
			return err
		}
		p.pause()
	}
	return s.writeSegment()
}

func (s *stateFile) writeSegment() error {
	g := &s.segment
	if g.count == 0 {
		return nil
	}
	last := int64(g.last)
	err := s.putSegment.exec(g.id, last, g.count, g.data, segmentSum(g.id, last, g.count, g.data))
	g.reset()
	return errors.Join(err, s.wrote())
}

// removeHistory removes the segments of which no read can reach a version.
func (s *stateFile) removeHistory(cut uint64) error {
	p := newPace(checkpointShare)
	for {
		removed, err := s.cutHistory.affect([]driver.Value{historyID(cut+1, 0), int64(cut), int64(segmentsAtOnce)})
		if err = errors.Join(err, s.wrote()); err != nil || removed < segmentsAtOnce {
			return err
		}
		p.pause()
	}
}

// readSegment reads a row of historyStatement, checks it, and calls each with every version in it.
func readSegment(row []driver.Value, each func(kv.Past) error) error {
	id, isID := row[0].(int64)
	last, isLast := row[1].(int64)
	count, isCount := row[2].(int64)
	data, isData := row[3].([]byte)
	crc, isCRC := row[4].(int64)
	if !isID || !isLast || !isCount || !isData || !isCRC {
		return fmt.Errorf("%w: row %v of history has a column of the wrong type", ErrDamaged, row[0])
	}
	return parseSegment(id, last, count, data, crc, each)
}

// parseSegment checks a row of history, and calls each with every version in it.
func parseSegment(id, last, count int64, data []byte, crc int64, each func(kv.Past) error) error {
	if want := segmentSum(id, last, count, data); crc != want {
		return fmt.Errorf("%w: row %d of history has checksum %08x, but %08x was written with it", ErrDamaged, id, want, crc)
	}
	var p kv.Past
	for n := range count {
		var err error
		if p, data, err = parsePast(data, p.Record.ContentType); err != nil {
			return fmt.Errorf("%w: version %d in row %d of history: %w", ErrDamaged, n+1, id, err)
		}
		if n == 0 && historyID(p.Until, p.UntilPosition) != id {
			return fmt.Errorf("%w: row %d of history begins with a version that was ended by revision %d, position %d",
				ErrDamaged, id, p.Until, p.UntilPosition)
		}
		if err := each(p); err != nil {
			return err
		}
	}
	if len(data) > 0 || count < 1 || p.Until != uint64(last) {
		return fmt.Errorf("%w: row %d of history has %d versions up to revision %d, and %d bytes behind them; it must end "+
			"with revision %d", ErrDamaged, id, count, p.Until, len(data), last)
	}
	return nil
}

// errShort is wrapped in ErrDamaged.
var errShort = errors.New("it ends too early")

// parsePast parses the first version in data, and returns what follows. The version has memory of its own, because the
// store keeps it, but for the content type if it is that of the version before.
func parsePast(data []byte, contentType string) (kv.Past, []byte, error) {
	var numbers [12]uint64
	for i := range numbers {
		n, size := binary.Uvarint(data)
		if size <= 0 {
			return kv.Past{}, nil, errShort
		}
		numbers[i], data = n, data[size:]
	}
	var parts [3][]byte
	for i, length := range numbers[9:] {
		if length > uint64(len(data)) {
			return kv.Past{}, nil, errShort
		}
		parts[i], data = data[:length], data[length:]
	}
	if max(numbers[1], numbers[7]) > math.MaxInt32 || numbers[3] > 1 {
		return kv.Past{}, nil, fmt.Errorf("its numbers %v are out of range", numbers[:9])
	}
	if string(parts[1]) != contentType {
		contentType = string(parts[1])
	}
	value := make([]byte, len(parts[2]))
	copy(value, parts[2])
	return kv.Past{
		Until: numbers[0], UntilPosition: int(numbers[1]), UntilModified: int64(numbers[2]), Deleted: numbers[3] == 1,
		Record: kv.Record{
			Key: string(parts[0]), ContentType: contentType, Value: value, ModRevision: numbers[4],
			CreateRevision: numbers[5], Version: numbers[6], Position: int(numbers[7]), Modified: int64(numbers[8]),
		},
	}, data, nil
}
