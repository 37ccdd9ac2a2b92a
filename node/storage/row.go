package storage

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/kontiki-dev/kontiki/node/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seconds is a time in microseconds as the timestamp column holds it.
func seconds(micros int64) float64 { return float64(micros) / 1e6 }

// microseconds is the inverse of seconds, exact until the year 2242: the fraction is rounded on its own,
// where a double still has digits to spare.
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

// checksum is the CRC-32C of an entry. A timestamp that a double cannot hold, which only a broken clock
// makes, counts as what it will be read back as: it decides nothing, and must not make a log unreadable.
func checksum(e raft.Entry) uint32 {
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], uint64(e.Index))
	binary.BigEndian.PutUint64(head[8:], uint64(e.Term))
	binary.BigEndian.PutUint64(head[16:], uint64(microseconds(seconds(e.Timestamp))))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, e.Command)
}

// tail is the last entry of the log: its index, 0 for an empty log, and its checksum.
type tail struct {
	index raft.Index
	crc   uint32
}

// appendRow appends the values of an entry for insertStatement.
func appendRow(values []driver.Value, e raft.Entry, crc uint32) []driver.Value {
	return append(values, int64(e.Index), int64(e.Term), string(e.Command), seconds(e.Timestamp), int64(crc))
}

// parseRow reads a row of rangeStatement, and checks it (traps T54, S10).
func parseRow(row []driver.Value) (raft.Entry, uint32, error) {
	id, isID := row[0].(int64)
	term, isTerm := row[1].(int64)
	timestamp, isTimestamp := row[2].(float64)
	crc, isCRC := row[3].(int64)
	command, isCommand := row[4].([]byte)
	if !isID || !isTerm || !isTimestamp || !isCRC || !isCommand && row[4] != nil {
		return raft.Entry{}, 0, fmt.Errorf("%w: entry %v has a column of the wrong type", ErrDamaged, row[0])
	}
	e := raft.Entry{
		Index: raft.Index(id), Term: raft.Term(term), Timestamp: microseconds(timestamp), Command: command,
	}
	if got := checksum(e); int64(got) != crc {
		return raft.Entry{}, 0, fmt.Errorf("%w: entry %d has checksum %08x, but %08x was written with it",
			ErrDamaged, e.Index, got, crc)
	}
	return e, uint32(crc), nil
}
