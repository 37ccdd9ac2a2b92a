package raft

import (
	"bytes"
	"strconv"
)

// NodeID identifies a member of the cluster. It is positive and never used twice in one cluster (trap T28). Zero
// means no node.
type NodeID uint64

// Term is the paper's logical clock (section 5.1). Terms only grow.
type Term uint64

// Index is a position in the log. The first entry has index 1; zero is the position before it.
type Index uint64

// EntryType is the kind of an entry.
type EntryType string

// The entry types, as on the wire and in the log viewer.
const (
	// EntryCommand carries a command for the state machine.
	EntryCommand EntryType = "command"
	// EntryNoOp is appended by a leader when its term begins, so that it can commit (paper, section 8).
	EntryNoOp EntryType = "noop"
	// EntrySeat seats one disk of a member; see Seat.
	EntrySeat EntryType = "seat"
)

// noOpCommand is the command text of an entry of type EntryNoOp. The log table has no column for the type
// (its schema is a contract), so the type is a function of the command.
var noOpCommand = []byte(`{"op":"noop"}`)

// Entry is one position of the replicated log.
type Entry struct {
	Index Index
	Term  Term
	// Timestamp is the proposer's wall clock, in microseconds since 1970. No decision uses it.
	Timestamp int64
	// Command is JSON text, encoded once when it was proposed: the log, the followers and the log viewer get the same
	// bytes. They must not be changed.
	Command []byte
}

// Type returns the kind of the entry.
func (e Entry) Type() EntryType {
	if bytes.Equal(e.Command, noOpCommand) {
		return EntryNoOp
	}
	if _, is := ParseSeat(e.Command); is {
		return EntrySeat
	}
	return EntryCommand
}

// AppendJSON appends the entry as the wire and the log viewer show it,
// {"index":1,"term":1,"type":"noop","command":{"op":"noop"},"timestamp":1700000000.000001}, and returns the extended
// slice. The command is embedded unchanged.
func (e Entry) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendUint(dst, uint64(e.Index), 10)
	dst = append(dst, `,"term":`...)
	dst = strconv.AppendUint(dst, uint64(e.Term), 10)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, e.Type()...)
	dst = append(dst, `","command":`...)
	dst = append(dst, e.Command...)
	dst = append(dst, `,"timestamp":`...)
	dst = AppendSeconds(dst, e.Timestamp)
	return append(dst, '}')
}

// AppendSeconds appends a time in microseconds as decimal seconds with six places, exactly.
func AppendSeconds(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst = append(dst, '-')
		micros = -micros
	}
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	dst = append(dst, '.')
	var digits [7]byte // on the stack: this runs for every entry that is sent
	fraction := strconv.AppendInt(digits[:0], 1e6+micros%1e6, 10)
	return append(dst, fraction[1:]...)
}
