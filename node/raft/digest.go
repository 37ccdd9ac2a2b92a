package raft

import (
	"encoding/binary"
	"hash/crc32"
)

// Digest is a checksum over a log up to and including one entry: a CRC-32C that continues from entry to entry over
// index, term, timestamp and command. Two logs with the same digest at an index hold the same entries up to there; the
// digest of the empty log is 0, and that of no other log is.
//
// Log Matching (paper 5.3) compares logs by index and term alone. That is enough for logs that only correct leaders
// wrote; the digest also exposes an entry that a damaged memory, disk or network, or a forged message, put in its place.
type Digest uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Extend returns the digest of the log that e is appended to; d is the digest before it.
func (d Digest) Extend(e *Entry) Digest {
	var numbers [24]byte
	binary.LittleEndian.PutUint64(numbers[0:], uint64(e.Index))
	binary.LittleEndian.PutUint64(numbers[8:], uint64(e.Term))
	binary.LittleEndian.PutUint64(numbers[16:], uint64(e.Timestamp))
	sum := crc32.Update(uint32(d), castagnoli, numbers[:])
	return max(1, Digest(crc32.Update(sum, castagnoli, e.Command)))
}
