package entryjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// The commands of the entries that the core creates itself: those of a no-op and of a check, the parts of a seat's,
// {"op":"seat","member":4,"incarnation":81985529216486895}, and the beginning of a configuration's,
// {"op":"config","members":[{"id":1,"address":"http://h1:7080","api_address":"","role":"voter"}],"last_id":1}. No
// client can propose them.
const (
	noOp       = `{"op":"noop"}`
	check      = `{"op":"check"}`
	seatHead   = `{"op":"seat","member":`
	seatMiddle = `,"incarnation":`
	configHead = `{"op":"config",`
)

// Encoding returns the encoding of these commands, for raft.Config.
func Encoding() raft.Encoding {
	return raft.Encoding{
		NoOp: []byte(noOp), Check: []byte(check), Seat: seatCommand, ParseSeat: parseSeat,
		Configuration: configCommand, ParseConfiguration: parseConfig,
	}
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
	// Also if it cannot be parsed: a node that took a configuration of a later version for a client's command would miss
	// a change of the members. The core refuses such an entry.
	if bytes.HasPrefix(command, []byte(configHead)) {
		return raft.EntryConfig
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
	case raft.EntryConfig:
		return "config"
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

// config is the command of a configuration. The index is that of its entry.
type config struct {
	Op       string        `json:"op"`
	Members  []raft.Member `json:"members"`
	Outgoing []raft.NodeID `json:"outgoing,omitempty"`
	LastID   raft.NodeID   `json:"last_id"`
}

// configCommand returns the command of the entry that carries a configuration.
func configCommand(cfg raft.Configuration) []byte {
	text, err := json.Marshal(config{"config", cfg.Members, cfg.Outgoing, cfg.LastID})
	if err != nil {
		panic(fmt.Sprintf("entryjson: invariant broken: the configuration cannot be encoded: %v", err))
	}
	return text
}

// parseConfig is the inverse of configCommand. It returns an error for any other text: what another version wrote may
// mean more than this one reads.
func parseConfig(command []byte) (raft.Configuration, error) {
	var c config
	if err := json.Unmarshal(command, &c); err != nil {
		return raft.Configuration{}, fmt.Errorf("it is not the command of a configuration: %w", err)
	}
	cfg := raft.Configuration{Members: c.Members, Outgoing: c.Outgoing, LastID: c.LastID}
	if again := configCommand(cfg); !bytes.Equal(again, command) {
		return raft.Configuration{}, fmt.Errorf("the command of the configuration is %.200q, and should be %.200q", command,
			again)
	}
	return cfg, nil
}
