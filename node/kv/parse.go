package kv

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Parse parses a command: a client's JSON, with its fields in any order, or the canonical form that AppendJSON
// writes. The error is an *InvalidError that names the field and what would be right; Validate checks the limits.
// Value and Expected may be parts of line, which must not be changed afterwards.
func Parse(line []byte) (Command, error) {
	var r request
	if err := parse(line, &r); err != nil {
		return Command{}, err
	}
	if hasLoneSurrogate(line) {
		return Command{}, loneSurrogate("a command")
	}
	r.Key = string(r.key)
	return r.Command, nil
}

// Admit checks a command from another node as Parse and Validate check a client's, and returns it in its canonical
// form, which is line itself if it has that. The error is an *InvalidError or a *TooLargeError.
func Admit(line []byte) ([]byte, error) {
	if len(line) > MaxCommandBytes {
		return nil, &TooLargeError{Field: "command", Size: len(line), Limit: MaxCommandBytes}
	}
	c, err := Parse(line)
	if err == nil {
		err = c.Validate()
	}
	switch {
	case err != nil:
		return nil, err
	case c.Op == OpGet:
		return nil, invalidf("op get changes nothing, so it is no entry of the log; read the key instead")
	case parseCanonical(line, &request{}):
		return line, nil
	}
	return c.AppendJSON(nil), nil
}

// CheckEntry returns an error for a command that cannot be the text of a log entry: each is JSON in UTF-8 of at most
// MaxCommandBytes. It is weaker than Admit, because an entry of an old log must remain acceptable whatever Validate
// refuses today; Apply rejects such an entry, on each node alike. The error is an *InvalidError or a *TooLargeError.
func CheckEntry(command []byte) error {
	if len(command) > MaxCommandBytes {
		return &TooLargeError{Field: "command", Size: len(command), Limit: MaxCommandBytes}
	}
	if text := oneLine(command); !isJSONWithin(text, MaxJSONDepth+1) {
		return invalidf("a command must be JSON in UTF-8, nested at most %d levels deep", MaxJSONDepth+1)
	}
	return nil
}

func parse(line []byte, r *request) error {
	if !utf8.Valid(line) {
		return invalidf(`a command must be valid UTF-8; send other bytes in base64, with "encoding":"base64"`)
	}
	if parseCanonical(line, r) {
		return nil
	}
	return decode(line, r)
}

// parseCanonical parses exactly the output of AppendJSON, and copies only what was escaped or in base64. It returns
// false for anything else; then r is not usable, and decode parses the line.
func parseCanonical(line []byte, r *request) bool {
	s := scanner{b: line}
	if !s.word(`{"op":"`) {
		return false
	}
	*r = request{}
	op := s.text()
	if !s.word(`,"key":"`) {
		return false
	}
	r.key = s.text()
	switch string(op) {
	case "put":
		r.Op = OpPut
		s.body(r)
	case "set":
		r.Op, r.ContentType = OpSet, TypeJSON
		r.Value = s.json(`,"value":`)
	case "get":
		r.Op = OpGet
	case "delete":
		r.Op = OpDelete
	case "incr":
		r.Op = OpIncr
		r.By = s.integer(`,"by":`)
	case "cas":
		r.Op, r.ContentType = OpCAS, TypeJSON
		r.Expected = s.json(`,"expected":`)
		r.Value = s.json(`,"value":`)
	default:
		return false
	}
	s.conditions(r)
	return s.word("}") && s.i == len(line)
}

// scanner reads a canonical line. After unexpected input it is bad, and matches nothing more.
type scanner struct {
	b   []byte
	i   int
	bad bool
}

// word skips required text. It returns false if other text follows.
func (s *scanner) word(text string) bool {
	if s.bad || len(s.b)-s.i < len(text) || string(s.b[s.i:s.i+len(text)]) != text {
		s.bad = true
		return false
	}
	s.i += len(text)
	return true
}

// maybe skips optional text. It reports whether the text was present.
func (s *scanner) maybe(text string) bool {
	if s.bad || !bytes.HasPrefix(s.b[s.i:], []byte(text)) {
		return false
	}
	s.i += len(text)
	return true
}

// text parses the rest of a string.
func (s *scanner) text() []byte {
	if s.bad {
		return nil
	}
	start := s.i
	plain := plainEnd(s.b, start)
	if plain < len(s.b) && s.b[plain] == '"' {
		s.i = plain + 1
		return s.b[start:plain:plain]
	}
	s.i = skipString(s.b, plain)
	if s.i < 0 {
		s.bad = true
		return nil
	}
	text, ok := unescape(s.b[start : s.i-1])
	s.bad = !ok
	return text
}

// unescape resolves the escapes that appendString writes; it accepts no others.
func unescape(escaped []byte) ([]byte, bool) {
	text := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); {
		plain := plainEnd(escaped, i)
		text = append(text, escaped[i:plain]...)
		if plain == len(escaped) {
			break
		}
		c, width := unescapeOne(escaped[plain:])
		if width == 0 {
			return nil, false
		}
		text = append(text, c)
		i = plain + width
	}
	return text, true
}

// unescapeOne returns the character of an escape and the length of the escape, 0 if appendString does not write it.
func unescapeOne(escape []byte) (c byte, width int) {
	switch escape[1] {
	case '"', '\\':
		return escape[1], 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	if !bytes.HasPrefix(escape, []byte(`\u00`)) {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(escape[4:6]), 16, 8)
	if err != nil || n >= ' ' {
		return 0, 0
	}
	return byte(n), 6
}

// json parses a field with any JSON value.
func (s *scanner) json(name string) []byte {
	if !s.word(name) {
		return nil
	}
	start := s.i
	end := skipValue(s.b, start, 0)
	if end < 0 {
		s.bad = true
		return nil
	}
	s.i = end
	return s.b[start:end:end]
}

// integer parses a field with an int64.
func (s *scanner) integer(name string) int64 {
	if !s.word(name) {
		return 0
	}
	digits := s.number()
	n, err := strconv.ParseInt(string(digits), 10, 64)
	s.bad = s.bad || err != nil
	return n
}

// number scans the digits of a whole number, with its sign.
func (s *scanner) number() []byte {
	start := s.i
	if s.i >= len(s.b) || (s.b[s.i] != '-' && !isDigit(s.b[s.i])) {
		s.bad = true
		return nil
	}
	end := skipNumber(s.b, start)
	if end < 0 {
		s.bad = true
		return nil
	}
	s.i = end
	return s.b[start:end]
}

// body parses the value of a put.
func (s *scanner) body(r *request) {
	if s.maybe(`,"json":`) {
		r.Value, r.ContentType = s.json(""), TypeJSON
		return
	}
	if !s.word(`,"value":"`) {
		return
	}
	r.Value = s.text()
	if s.maybe(`,"encoding":"base64"`) {
		value, err := fromBase64(r.Value)
		r.Value, s.bad = value, s.bad || err != nil
	}
	r.ContentType = TypeBytes
	if s.maybe(`,"content_type":"`) {
		r.ContentType = contentType(s.text())
	}
}

// conditions parses the preconditions of the operations that have some.
func (s *scanner) conditions(r *request) {
	if r.Op != OpPut && r.Op != OpSet && r.Op != OpDelete {
		return
	}
	if s.maybe(`,"if_revision":`) {
		n, err := strconv.ParseUint(string(s.number()), 10, 64)
		r.IfRevision, r.HasIfRevision, s.bad = n, true, s.bad || err != nil
		return
	}
	if r.Op != OpDelete {
		r.IfAbsent = s.maybe(`,"if_absent":true`)
	}
}
