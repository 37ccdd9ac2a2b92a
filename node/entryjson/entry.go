package entryjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Append appends an entry,
// {"index":1,"term":1,"type":"noop","command":{"op":"noop"},"timestamp":1700000000.000001}, and returns the extended
// slice. The command is embedded unchanged. This is the canonical form, which Scan reads.
func Append(dst []byte, e *raft.Entry) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendUint(dst, uint64(e.Index), 10)
	dst = append(dst, `,"term":`...)
	dst = strconv.AppendUint(dst, uint64(e.Term), 10)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, typeName(e.Type)...)
	dst = append(dst, `","command":`...)
	dst = append(dst, e.Command...)
	dst = append(dst, `,"timestamp":`...)
	dst = AppendSeconds(dst, e.Timestamp)
	return append(dst, '}')
}

// Scan reads an entry in the canonical form, unless it is a seat, which is too rare to need a scanner. The command is a
// part of the text. The scanner fails if the type does not fit the command.
func Scan(s *jsontext.Scanner) raft.Entry {
	var e raft.Entry
	e.Index = raft.Index(s.Uint(`{"index":`))
	e.Term = raft.Term(s.Uint(`,"term":`))
	s.Want(`,"type":"`)
	switch {
	case s.Take(`command","command":`):
	case s.Take(`check","command":`):
		e.Type = raft.EntryCheck
	default:
		s.Want(`noop","command":`)
		e.Type = raft.EntryNoOp
	}
	e.Command = s.Follow()
	s.Fail(e.Type != TypeOf(e.Command))
	e.Timestamp = scanSeconds(s, `,"timestamp":`)
	s.Want(`}`)
	return e
}

// Parse reads an entry in any spelling of JSON. The type may be absent; otherwise it must fit the command. The command
// is a copy.
func Parse(text []byte) (raft.Entry, error) {
	var w struct {
		Index     raft.Index      `json:"index"`
		Term      raft.Term       `json:"term"`
		Type      string          `json:"type"`
		Command   json.RawMessage `json:"command"`
		Timestamp json.Number     `json:"timestamp"`
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return raft.Entry{}, err
	}
	if len(w.Command) == 0 {
		return raft.Entry{}, errors.New("the entry has no command")
	}
	micros, err := parseSeconds(w.Timestamp.String())
	if err != nil {
		return raft.Entry{}, err
	}
	e := raft.Entry{
		Index: w.Index, Term: w.Term, Type: TypeOf(w.Command), Timestamp: micros, Command: w.Command,
	}
	if name := typeName(e.Type); w.Type != "" && w.Type != name {
		return raft.Entry{}, fmt.Errorf("type %q does not fit the command, which makes it %q", w.Type, name)
	}
	return e, nil
}
