package entryjson

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestTypeIsAFunctionOfTheCommand(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]raft.EntryType{
		string(Encoding().NoOp):                       raft.EntryNoOp,
		string(Encoding().Seat(raft.Seat{Member: 4})): raft.EntrySeat,
		`{"op":"set","key":"noop"}`:                   raft.EntryCommand,
		`{"op":"noop" }`:                              raft.EntryCommand,
		`{"op":"seat","member":4}`:                    raft.EntryCommand,
		``:                                            raft.EntryCommand,
	} {
		if got := TypeOf([]byte(command)); got != want {
			t.Errorf("%s has type %s, want %s", command, typeName(got), typeName(want))
		}
	}
}

func TestSeatIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, want := range []raft.Seat{{Member: 1, Incarnation: 1}, {Member: 7, Incarnation: 1 << 53}, {Member: 1<<64 - 1}} {
		if got, ok := parseSeat(seatCommand(want)); !ok || got != want {
			t.Errorf("%+v is read as %+v, %t", want, got, ok)
		}
	}
	for _, text := range []string{
		``, `{"op":"noop"}`, `{"op":"seat"}`, `{"op":"seat","member":,"incarnation":2}`, `{"op":"seat","member":1}`,
		`{"op":"seat","member":01,"incarnation":2}`, `{"op":"seat","member":1,"incarnation":2}x`,
		`{"op":"seat","member":1,"incarnation":-2}`, `{"op":"seat", "member":1,"incarnation":2}`,
		`{"op":"seat","member":1,"incarnation":99999999999999999999}`,
	} {
		if _, ok := parseSeat([]byte(text)); ok {
			t.Errorf("%q is taken for a seat", text)
		}
	}
}
