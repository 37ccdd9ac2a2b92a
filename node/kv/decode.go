package kv

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// decode parses a command with any field order and white space, and explains what is wrong with a bad one. It is the
// slow path, by encoding/json; parseCanonical is the fast one.
func (p Parser) decode(line []byte) (Operation, error) {
	fields, err := readFields(line)
	if err != nil {
		return nil, err
	}
	o, err := p.findOperation(fields)
	if err != nil {
		return nil, err
	}
	return o, decodeFields(o, fields)
}

// decodeFields sets an operation to the fields of a command, less op.
func decodeFields(o Operation, fields []field) error {
	fields = slices.DeleteFunc(fields, func(f field) bool { return f.name == "op" })
	d := decoder{what: "op " + string(o.Op()), known: fieldsOf(o.Op()), fields: fields}
	if err := d.checkNames(); err != nil {
		return err
	}
	return o.decode(d)
}

// maxFields is more than any command has. Each name is compared with those before it, so that without a limit an
// object of a hundred thousand fields would take half a minute of CPU time.
const maxFields = 16

// readFields splits the command's object into its fields.
func readFields(line []byte) ([]field, error) {
	if err := checkSyntax(line); err != nil {
		return nil, err
	}
	line = bytes.Trim(line, " \t\r\n")
	if line[0] != '{' {
		return nil, invalidf(`a command must be a JSON object, like {"op":"get","key":"x"}`)
	}
	return fieldsIn(line)
}

// fieldsIn returns the fields of an object, whose syntax is checked, and refuses a repeated field.
func fieldsIn(object []byte) ([]field, error) {
	var fields []field
	err := members(object, func(f field) error {
		if len(fields) == maxFields {
			return invalidf("a command has fewer than %d fields; op, key and what the op takes", maxFields)
		}
		if _, twice := find(fields, f.name); twice {
			return invalidf("field %q comes twice; give it once", abbreviate(f.name))
		}
		fields = append(fields, f)
		return nil
	})
	return fields, err
}

func find(fields []field, name string) ([]byte, bool) {
	for _, f := range fields {
		if f.name == name {
			return f.text, true
		}
	}
	return nil, false
}

func (p Parser) findOperation(fields []field) (Operation, error) {
	text, ok := find(fields, "op")
	if !ok {
		return nil, invalidf(`field "op" is missing; it must be one of %s`, opNames())
	}
	var name string
	if text[0] == '"' && json.Unmarshal(text, &name) == nil {
		if o := p.operation([]byte(name)); o != nil {
			return o, nil
		}
	}
	return nil, invalidf(`field "op" is %s; it must be one of %s`, abbreviate(string(text)), opNames())
}

// decoder has the fields of an object, from which an operation takes its own.
type decoder struct {
	what   string   // has the fields, for messages
	known  []string // may be among the fields
	fields []field
}

func (d decoder) checkNames() error {
	for _, f := range d.fields {
		if !slices.Contains(d.known, f.name) {
			return invalidf("field %q does not belong to %s, which takes %s",
				abbreviate(f.name), d.what, strings.Join(d.known, ", "))
		}
	}
	return nil
}

func (d decoder) has(name string) bool {
	_, ok := find(d.fields, name)
	return ok
}

func (d decoder) key() ([]byte, error) { return d.text("key", "a JSON string") }

// text parses a required string field.
func (d decoder) text(name, what string) ([]byte, error) {
	text, ok := find(d.fields, name)
	if !ok {
		return nil, invalidf("field %q is missing; %s needs it", name, d.what)
	}
	var s string
	if text[0] != '"' || json.Unmarshal(text, &s) != nil {
		return nil, invalidf("field %q must be %s", name, what)
	}
	return []byte(s), nil
}

// fromBase64 returns the bytes of a put's value.
func fromBase64(text []byte) ([]byte, error) {
	value, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, text)
	if err != nil {
		return nil, invalidf(`field "value" must be base64 with padding (RFC 4648, section 4): %v`, err)
	}
	return value, nil
}

// json parses a required field with any JSON value.
func (d decoder) json(name string) ([]byte, error) {
	text, ok := find(d.fields, name)
	if !ok {
		return nil, invalidf("field %q is missing; %s needs it, and it may be any JSON value", name, d.what)
	}
	text = jsontext.OneLine(text)
	if !jsontext.Valid(text) {
		return nil, notJSON(name)
	}
	return text, nil
}

// decodeObject returns a decoder for an object inside a command, whose syntax is checked. The example is shown if it is
// no object.
func decodeObject(text []byte, what string, known []string, example string) (decoder, error) {
	d := decoder{what: what, known: known}
	if text[0] != '{' {
		return d, invalidf("%s must be an object, like %s; it is %s", what, example, abbreviate(string(text)))
	}
	var err error
	if d.fields, err = fieldsIn(text); err != nil {
		return d, err
	}
	return d, d.checkNames()
}
