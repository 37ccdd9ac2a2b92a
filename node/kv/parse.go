package kv

import (
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Parse parses a command: a client's JSON, with its fields in any order, or the canonical form that AppendJSON
// writes. The error is an *InvalidError that names the field and what would be right; Validate checks the limits.
// Value and Expected may be parts of line, which must not be changed afterwards.
func Parse(line []byte) (Command, error) {
	var r request
	if err := parse(line, &r); err != nil {
		return Command{}, err
	}
	if jsontext.HasLoneSurrogate(line) {
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
	if text := jsontext.OneLine(command); !jsontext.ValidWithin(text, jsontext.MaxDepth+1) {
		return invalidf("a command must be JSON in UTF-8, nested at most %d levels deep", jsontext.MaxDepth+1)
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

// parseCanonical recognises exactly what AppendJSON writes, and copies only what was escaped or in base64. It
// reports whether it did; if not, r holds nothing of use, and decode finds out what the line is.
func parseCanonical(line []byte, r *request) bool {
	s := jsontext.Scan(line)
	if !s.Want(`{"op":"`) {
		return false
	}
	*r = request{}
	op := s.Text()
	if !s.Want(`,"key":"`) {
		return false
	}
	r.key = s.Text()
	switch string(op) {
	case "put":
		r.Op = OpPut
		scanBody(&s, r)
	case "set":
		r.Op, r.ContentType = OpSet, TypeJSON
		r.Value = scanJSON(&s, `,"value":`)
	case "get":
		r.Op = OpGet
	case "delete":
		r.Op = OpDelete
	case "incr":
		r.Op = OpIncr
		r.By = s.Int(`,"by":`)
	case "cas":
		r.Op, r.ContentType = OpCAS, TypeJSON
		r.Expected = scanJSON(&s, `,"expected":`)
		r.Value = scanJSON(&s, `,"value":`)
	default:
		return false
	}
	scanConditions(&s, r)
	return s.Want("}") && s.Done()
}

// scanJSON reads a field that holds any JSON value.
func scanJSON(s *jsontext.Scanner, name string) []byte {
	s.Want(name)
	return s.Value()
}

// scanBody reads the value of a put.
func scanBody(s *jsontext.Scanner, r *request) {
	if s.Take(`,"json":`) {
		r.Value, r.ContentType = s.Value(), TypeJSON
		return
	}
	if !s.Want(`,"value":"`) {
		return
	}
	r.Value = s.Text()
	if s.Take(`,"encoding":"base64"`) {
		value, err := fromBase64(r.Value)
		r.Value = value
		s.Fail(err != nil)
	}
	r.ContentType = TypeBytes
	if s.Take(`,"content_type":"`) {
		r.ContentType = contentType(s.Text())
	}
}

// scanConditions reads the preconditions of the operations that have some.
func scanConditions(s *jsontext.Scanner, r *request) {
	if r.Op != OpPut && r.Op != OpSet && r.Op != OpDelete {
		return
	}
	if s.Peek(`,"if_revision":`) {
		r.IfRevision, r.HasIfRevision = s.Uint(`,"if_revision":`), true
		return
	}
	if r.Op != OpDelete {
		r.IfAbsent = s.Take(`,"if_absent":true`)
	}
}
