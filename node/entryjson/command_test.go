package entryjson

import (
	"strings"
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
		`{"op":"config","later":true}`:                raft.EntryConfig,
		`{"op":"configure"}`:                          raft.EntryCommand,
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

func TestConfigurationIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := raft.Configuration{
		Members: []raft.Member{
			{ID: 1, Address: "http://h1:7080", APIAddress: "http://h1:8080"},
			{ID: 2, Role: raft.Leaving},
			{ID: 4, Address: "http://[::1]:7080/?a=1&b=<2>", Role: raft.Learner, AutoPromote: true},
		},
		Outgoing: []raft.NodeID{1, 2}, LastID: 5,
	}
	command := Encoding().Configuration(want)
	if got, err := Encoding().ParseConfiguration(command); err != nil || !got.Equal(want) || got.Index != 0 {
		t.Errorf("%s is read as %+v, %v", command, got, err)
	}
	if kind := TypeOf(command); kind != raft.EntryConfig {
		t.Errorf("%s has type %s", command, typeName(kind))
	}
	plain := `{"op":"config","members":[{"id":1,"address":"http://h1:7080","api_address":"","role":"voter"}],"last_id":1}`
	if _, err := parseConfig([]byte(plain)); err != nil {
		t.Error(err)
	}
	for _, text := range []string{
		``, `{"op":"config"}`, strings.Replace(plain, `"last_id"`, `"new":1,"last_id"`, 1), plain + " ",
		strings.Replace(plain, "voter", "king", 1), strings.Replace(plain, "config", "noop", 1),
	} {
		if _, err := parseConfig([]byte(text)); err == nil {
			t.Errorf("%q is taken for a configuration", text)
		}
	}
}
