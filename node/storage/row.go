package storage

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seconds converts microseconds to the timestamp column.
func seconds(micros int64) float64 { return float64(micros) / 1e6 }

// microseconds is the inverse of seconds, exact until the year 2242: the fraction is rounded separately, where a
// double still has enough precision.
func microseconds(seconds float64) int64 {
	whole, fraction := math.Modf(seconds)
	switch {
	case whole >= math.MaxInt64/1e6:
		return math.MaxInt64
	case whole <= math.MinInt64/1e6:
		return math.MinInt64
	}
	return int64(whole)*1e6 + int64(math.Round(fraction*1e6))
}

// extend continues the digest of the log by an entry. A timestamp that a double cannot hold, which only a broken
// clock produces, counts as the value that will be read back: no decision uses it, and it must not make a log
// unreadable.
func extend(digest raft.Digest, e raft.Entry) raft.Digest {
	e.Timestamp = microseconds(seconds(e.Timestamp))
	return digest.Extend(&e)
}

// unchainedChecksum is the value of column crc in format 1: a CRC-32C of the entry alone.
func unchainedChecksum(e raft.Entry) uint32 {
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], uint64(e.Index))
	binary.BigEndian.PutUint64(head[8:], uint64(e.Term))
	binary.BigEndian.PutUint64(head[16:], uint64(microseconds(seconds(e.Timestamp))))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, e.Command)
}

// tail is a position in the log: the index of an entry, or of the position before the first, and the digest of the log
// up to it.
type tail struct {
	index  raft.Index
	digest raft.Digest
}

// appendRow appends the values of an entry for insertStatement.
func appendRow(values []driver.Value, e raft.Entry, digest raft.Digest) []driver.Value {
	return append(values, int64(e.Index), int64(e.Term), string(e.Command), seconds(e.Timestamp), int64(digest))
}

// rowReader reads rows of rangeStatement in order and checks them (traps T54, S10): each entry follows the one
// before, and its crc is the digest of the log up to and including it. This also detects a row that was replaced by
// an older version of itself.
type rowReader struct {
	format int64
	end    tail // of what was read
}

// next reads the next row.
func (r *rowReader) next(row []driver.Value) (raft.Entry, error) {
	e, crc, err := parseRow(row)
	if err != nil {
		return raft.Entry{}, err
	}
	if e.Index != r.end.index+1 {
		return raft.Entry{}, fmt.Errorf("%w: entry %d follows entry %d", ErrDamaged, e.Index, r.end.index)
	}
	digest := extend(r.end.digest, e)
	want := int64(digest)
	if r.format < chainedFormat {
		want = int64(unchainedChecksum(e))
	}
	if crc != want {
		return raft.Entry{}, fmt.Errorf("%w: entry %d has checksum %08x, but %08x was written with it: it or an entry "+
			"before it is not what was written", ErrDamaged, e.Index, want, crc)
	}
	r.end = tail{e.Index, digest}
	return e, nil
}

// seed takes the digest from the row before the first one to be read, which has this index, and returns its term.
func (r *rowReader) seed(row []driver.Value, index raft.Index) (raft.Term, error) {
	e, crc, err := parseRow(row)
	switch {
	case err != nil:
		return 0, err
	case e.Index != index:
		return 0, fmt.Errorf("%w: entry %d is missing before entry %d", ErrDamaged, index, e.Index)
	case uint64(crc) > math.MaxUint32:
		return 0, fmt.Errorf("%w: entry %d has the checksum %d, which is none", ErrDamaged, index, crc)
	}
	r.end = tail{e.Index, raft.Digest(crc)}
	return e.Term, nil
}

// parseRow parses the columns of a row of rangeStatement.
func parseRow(row []driver.Value) (raft.Entry, int64, error) {
	id, isID := row[0].(int64)
	term, isTerm := row[1].(int64)
	timestamp, isTimestamp := row[2].(float64)
	crc, isCRC := row[3].(int64)
	command, isCommand := row[4].([]byte)
	if !isID || !isTerm || !isTimestamp || !isCRC || !isCommand && row[4] != nil {
		return raft.Entry{}, 0, fmt.Errorf("%w: entry %v has a column of the wrong type", ErrDamaged, row[0])
	}
	return raft.Entry{
		Index: raft.Index(id), Term: raft.Term(term), Type: entryjson.TypeOf(command), Timestamp: microseconds(timestamp),
		Command: command,
	}, crc, nil
}
