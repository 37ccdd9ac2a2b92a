package kv

import (
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Parser parses commands one by one. It returns the same operation for each command of a kind, so that it allocates
// none after the first; the operation is valid until the next call. It is not safe for concurrent use.
type Parser struct {
	parsed []Operation // in the order of the table, each nil until needed; empty: a new one for each command
}

// NewParser returns a parser.
func NewParser() Parser { return Parser{parsed: make([]Operation, len(operations))} }

// Parse parses a command: a client's JSON, with its fields in any order, or the canonical form that AppendJSON
// writes. The error is an *InvalidError that names the field and what would be right, or a *TooLargeError; Validate
// checks the other limits.
// What the operation has may be parts of line, which must not be changed afterwards.
func Parse(line []byte) (Operation, error) { return Parser{}.Parse(line) }

// Parse parses a command as the function Parse does.
func (p Parser) Parse(line []byte) (Operation, error) {
	o, _, err := p.parse(line)
	if err != nil {
		return nil, err
	}
	if jsontext.HasLoneSurrogate(line) {
		return nil, loneSurrogate("a command")
	}
	return o, nil
}

// Admit checks a command from another node as Parse and Validate check a client's, and returns it in its canonical
// form, which is line itself if it has that. The error is an *InvalidError or a *TooLargeError.
func Admit(line []byte) ([]byte, error) {
	if len(line) > MaxCommandBytes {
		return nil, &TooLargeError{Field: "command", Size: len(line), Limit: MaxCommandBytes}
	}
	o, canonical, err := Parser{}.parse(line)
	switch {
	case err != nil:
		return nil, err
	case jsontext.HasLoneSurrogate(line):
		return nil, loneSurrogate("a command")
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Op() == OpGet {
		return nil, invalidf("op get changes nothing, so it is no entry of the log; read the key instead")
	}
	if canonical {
		return line, nil
	}
	return o.AppendJSON(nil), nil
}

// maxCommandDepth is how deep a command nests at most: a value in an operation in a list of a transaction.
const maxCommandDepth = jsontext.MaxDepth + 4

// CheckEntry returns an error for a command that cannot be the text of a log entry: each is JSON in UTF-8 of at most
// MaxCommandBytes. It is weaker than Admit, because an entry of an old log must remain acceptable whatever Validate
// refuses today; Apply rejects such an entry, on each node alike. The error is an *InvalidError or a *TooLargeError.
func CheckEntry(command []byte) error {
	if len(command) > MaxCommandBytes {
		return &TooLargeError{Field: "command", Size: len(command), Limit: MaxCommandBytes}
	}
	if text := jsontext.OneLine(command); !jsontext.ValidWithin(text, maxCommandDepth) {
		return invalidf("a command must be JSON in UTF-8, nested at most %d levels deep", maxCommandDepth)
	}
	return nil
}

// parse parses a command, and reports whether it has the canonical form. It accepts lone surrogates, which a log may
// hold.
func (p Parser) parse(line []byte) (o Operation, canonical bool, err error) {
	if !utf8.Valid(line) {
		return nil, false, notUTF8()
	}
	if o := p.parseCanonical(line); o != nil {
		return o, true, nil
	}
	o, err = p.decode(line)
	return o, false, err
}

func notUTF8() error {
	return invalidf(`a command must be valid UTF-8; send other bytes in base64, with "encoding":"base64"`)
}

// parseCanonical recognises exactly what AppendJSON writes, and copies only what was escaped or in base64. It returns
// nil for anything else; decode finds out what that is.
func (p Parser) parseCanonical(line []byte) Operation {
	s := jsontext.Scan(line)
	if !s.Want(`{"op":"`) {
		return nil
	}
	o := p.operation(s.Text())
	if o == nil || !s.Want(",") {
		return nil
	}
	if s = o.scan(s); !s.Want("}") || !s.Done() {
		return nil
	}
	return o
}

// operation returns the operation to parse into, nil if there is none with that name.
func (p Parser) operation(op []byte) Operation {
	for i := range operations {
		switch {
		case string(op) != string(operations[i].op):
			continue
		case p.parsed == nil:
			return operations[i].empty()
		case p.parsed[i] == nil:
			p.parsed[i] = operations[i].empty()
			if t, is := p.parsed[i].(*Txn); is {
				t.puts = &putSlab{}
			}
		}
		return p.parsed[i]
	}
	return nil
}

func scanKey(s *jsontext.Scanner) []byte {
	s.Want(`"key":"`)
	return s.Text()
}

// scanJSON reads a field that holds any JSON value.
func scanJSON(s *jsontext.Scanner, name string) []byte {
	s.Want(name)
	return s.Value()
}
