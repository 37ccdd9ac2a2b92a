package kv

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// field is one member of the command's JSON object.
type field struct {
	name string
	text []byte // its JSON
}

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
	d := decoder{op: o.Op(), fields: fields}
	if err := d.checkNames(); err != nil {
		return nil, err
	}
	return o, o.decode(d)
}

// maxFields is more than any command has. Each name is compared with those before it, so that without a limit an
// object of a hundred thousand fields would take half a minute of CPU time.
const maxFields = 16

// readFields splits the object into its fields, and refuses a repeated field.
func readFields(line []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	start, err := dec.Token()
	if err != nil {
		return nil, notObject(err)
	}
	if start != json.Delim('{') {
		return nil, invalidf(`a command must be a JSON object, like {"op":"get","key":"x"}`)
	}
	var fields []field
	for dec.More() {
		if len(fields) == maxFields {
			return nil, invalidf("a command has fewer than %d fields; op, key and what the op takes", maxFields)
		}
		f, err := readField(dec)
		if err != nil {
			return nil, notObject(err)
		}
		if _, twice := find(fields, f.name); twice {
			return nil, invalidf("field %q comes twice; give it once", abbreviate(f.name))
		}
		fields = append(fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, notObject(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, invalidf("something follows the command's JSON object; send one command at a time")
	}
	return fields, nil
}

func readField(dec *json.Decoder) (field, error) {
	name, err := dec.Token()
	if err != nil {
		return field{}, err
	}
	var text json.RawMessage
	if err := dec.Decode(&text); err != nil {
		return field{}, err
	}
	return field{name: name.(string), text: bytes.Trim(text, " \t\r\n")}, nil
}

func notObject(err error) error {
	return invalidf(`a command must be a JSON object, like {"op":"get","key":"x"}: %v`, err)
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

// decoder has the fields of one command's object, from which an operation takes its own.
type decoder struct {
	op     Op
	fields []field
}

func (d decoder) checkNames() error {
	known := fieldsOf(d.op)
	for _, f := range d.fields {
		if f.name != "op" && !slices.Contains(known, f.name) {
			return invalidf("field %q does not belong to op %s, which takes %s",
				abbreviate(f.name), d.op, strings.Join(known, ", "))
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
		return nil, invalidf("field %q is missing; op %s needs it", name, d.op)
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
		return nil, invalidf("field %q is missing; op %s needs it, and it may be any JSON value", name, d.op)
	}
	text = jsontext.OneLine(text)
	if !jsontext.Valid(text) {
		return nil, notJSON(name)
	}
	return text, nil
}
