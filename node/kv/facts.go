package kv

import (
	"bytes"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// smallValue is the size up to which a stored value is read each time an operation depends on it. Of a larger one the
// facts are computed once and kept, so that the cost of a command depends on its own size and on earlier writes, and
// never on how often a large value is used.
const smallValue = 4 << 10

// facts are what the operations that depend on a stored value need from it. They are a function of the value and its
// content type.
type facts struct {
	meaning   jsontext.Sum // of what viewOf shows
	viewBytes int          // how long that is
	integer   int64
	isInteger bool
}

// factsOf returns the facts of a record in the store.
func (s *Store) factsOf(r *Record) facts {
	if known, ok := s.facts[r.Key]; ok {
		return known
	}
	s.read += len(r.Value)
	view := viewOf(r.Value, r.ContentType)
	known := facts{meaning: jsontext.SumOf(view), viewBytes: len(view)}
	known.integer, known.isInteger = integerOf(r.Value)
	if len(r.Value) > smallValue {
		s.facts[r.Key] = known
	}
	return known
}

// holds reports whether the output of viewOf for a record, nil for an absent key, equals the expected JSON by
// meaning.
func (s *Store) holds(current *Record, expected []byte) bool {
	switch {
	case current == nil:
		return string(expected) == "null"
	case jsontext.IsJSON(current.ContentType) && bytes.Equal(expected, current.Value):
		return true // expected is JSON, so the value is
	case jsontext.IsInteger(expected) && len(current.Value) <= smallValue && jsontext.IsInteger(current.Value):
		// Not equal: an integer has one spelling, and text compares as a string.
		return false
	}
	return jsontext.SumOf(expected) == s.factsOf(current).meaning
}

// integerOf parses a JSON integer, or a text that looks like one, with an optional line break at its end.
func integerOf(value []byte) (int64, bool) {
	const longest = len("-9223372036854775808")
	digits := bytes.Trim(value, " \t\r\n")
	if len(digits) == 0 || len(digits) > longest || !jsontext.Valid(digits) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil
}

// found is the current value that a refused cas returns. Values are immutable, so it stays valid while the store
// changes.
type found struct {
	value       []byte
	contentType string
	viewBytes   int // of a large value: the length of viewOf's output
}

// snapshot returns the current value of a record, nil for an absent key.
func (s *Store) snapshot(r *Record) *found {
	if r == nil {
		return &found{value: []byte("null"), contentType: TypeJSON}
	}
	f := &found{value: r.Value, contentType: r.ContentType}
	if len(r.Value) > smallValue {
		f.viewBytes = s.factsOf(r).viewBytes
	}
	return f
}

// viewOf returns a value as one JSON value: a JSON value unchanged (on one line), text as a string, other bytes as a
// string of base64.
func viewOf(value []byte, contentType string) []byte {
	if jsontext.IsJSON(contentType) {
		if text, ok := jsontext.Embeddable(value); ok {
			return text
		}
	}
	if isText(value) {
		return jsontext.AppendString(nil, value)
	}
	return jsontext.AppendBase64(nil, value)
}
