package entryjson

import (
	"bytes"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// The commands of the entries that the core creates itself: those of a no-op and of a check, and the parts of a seat's,
// {"op":"seat","member":4,"incarnation":81985529216486895}. No client can propose them.
const (
	noOp       = `{"op":"noop"}`
	check      = `{"op":"check"}`
	seatHead   = `{"op":"seat","member":`
	seatMiddle = `,"incarnation":`
)

// Encoding returns the encoding of these commands, for raft.Config.
func Encoding() raft.Encoding {
	return raft.Encoding{NoOp: []byte(noOp), Check: []byte(check), Seat: seatCommand, ParseSeat: parseSeat}
}

// TypeOf returns the type of the entry that has a command.
func TypeOf(command []byte) raft.EntryType {
	if string(command) == noOp {
		return raft.EntryNoOp
	}
	if string(command) == check {
		return raft.EntryCheck
	}
	if _, is := parseSeat(command); is {
		return raft.EntrySeat
	}
	return raft.EntryCommand
}

// typeName returns the name of a type in JSON.
func typeName(t raft.EntryType) string {
	switch t {
	case raft.EntryNoOp:
		return "noop"
	case raft.EntrySeat:
		return "seat"
	case raft.EntryCheck:
		return "check"
	}
	return "command"
}

// seatCommand returns the command of the entry that assigns a seat.
func seatCommand(s raft.Seat) []byte {
	text := strconv.AppendUint([]byte(seatHead), uint64(s.Member), 10)
	text = strconv.AppendUint(append(text, seatMiddle...), uint64(s.Incarnation), 10)
	return append(text, '}')
}

// parseSeat is the inverse of seatCommand. It returns false for any other text.
func parseSeat(command []byte) (raft.Seat, bool) {
	rest, found := bytes.CutPrefix(command, []byte(seatHead))
	if !found {
		return raft.Seat{}, false
	}
	member, rest, _ := bytes.Cut(rest, []byte(seatMiddle))
	incarnation, _ := bytes.CutSuffix(rest, []byte("}"))
	id, err := strconv.ParseUint(string(member), 10, 64)
	if err != nil {
		return raft.Seat{}, false
	}
	number, err := strconv.ParseUint(string(incarnation), 10, 64)
	if err != nil {
		return raft.Seat{}, false
	}
	seat := raft.Seat{Member: raft.NodeID(id), Incarnation: raft.Incarnation(number)}
	return seat, bytes.Equal(seatCommand(seat), command)
}
