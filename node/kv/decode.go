package kv

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// request is a parsed command: its key is a part of the line, so that Apply need not copy it to find an existing key.
type request struct {
	Command // without Key
	key     []byte
}

// field is one member of the command's JSON object.
type field struct {
	name string
	text []byte // its JSON
}

// decode parses a command with any field order and white space, and explains what is wrong with a bad one. It is the
// slow path, by encoding/json; parseCanonical is the fast one.
func decode(line []byte, r *request) error {
	fields, err := readFields(line)
	if err != nil {
		return err
	}
	op, err := findOp(fields)
	if err != nil {
		return err
	}
	d := decoder{request: r, fields: fields}
	if err := d.checkNames(op); err != nil {
		return err
	}
	*r = request{Command: Command{Op: op}}
	key, err := d.text("key", "a JSON string")
	if err != nil {
		return err
	}
	r.key = []byte(key)
	return d.rest()
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

func findOp(fields []field) (Op, error) {
	text, ok := find(fields, "op")
	if !ok {
		return "", invalidf(`field "op" is missing; it must be one of %s`, opNames)
	}
	var name string
	if text[0] != '"' || json.Unmarshal(text, &name) != nil || opFields(Op(name)) == nil {
		return "", invalidf(`field "op" is %s; it must be one of %s`, abbreviate(string(text)), opNames)
	}
	return Op(name), nil
}

// decoder fills a request from the fields of its object.
type decoder struct {
	*request
	fields []field
}

func (d *decoder) checkNames(op Op) error {
	for _, f := range d.fields {
		if f.name != "op" && !takes(op, f.name) {
			return invalidf("field %q does not belong to op %s, which takes %s",
				abbreviate(f.name), op, strings.Join(opFields(op), ", "))
		}
	}
	return nil
}

// rest parses the fields of the operation.
func (d *decoder) rest() (err error) {
	switch d.Op {
	case OpPut:
		err = d.body()
	case OpSet:
		d.ContentType = TypeJSON
		d.Value, err = d.json("value")
	case OpIncr:
		err = d.by()
	case OpCAS:
		d.ContentType = TypeJSON
		if d.Expected, err = d.json("expected"); err == nil {
			d.Value, err = d.json("value")
		}
	}
	if err != nil {
		return err
	}
	return d.conditions()
}

func (d *decoder) body() error {
	if _, ok := find(d.fields, "json"); ok {
		return d.jsonBody()
	}
	value, err := d.text("value", `a string for op put; use op set, or field "json", for other JSON`)
	if err != nil {
		return err
	}
	d.Value = []byte(value)
	d.ContentType = TypeBytes
	if _, ok := find(d.fields, "content_type"); ok {
		name, err := d.text("content_type", "a string, like text/plain")
		if err != nil {
			return err
		}
		d.ContentType = contentType([]byte(name))
	}
	if _, ok := find(d.fields, "encoding"); !ok {
		return nil
	}
	encoding, err := d.text("encoding", `"base64"; leave it out for plain text`)
	if err != nil {
		return err
	}
	if encoding != "base64" {
		return invalidf(`field "encoding" must be "base64"; leave it out for plain text`)
	}
	if d.Value, err = fromBase64(d.Value); err != nil {
		return err
	}
	return nil
}

func (d *decoder) jsonBody() (err error) {
	for _, other := range []string{"value", "encoding", "content_type"} {
		if _, ok := find(d.fields, other); ok {
			return invalidf(`fields "json" and %q exclude each other; give one of them`, other)
		}
	}
	d.ContentType = TypeJSON
	d.Value, err = d.json("json")
	return err
}

// contentType returns a string that needs no allocation for the common types.
func contentType(name []byte) string {
	switch string(name) {
	case "", TypeBytes:
		return TypeBytes
	case TypeJSON:
		return TypeJSON
	case "text/plain":
		return "text/plain"
	case "application/x-www-form-urlencoded":
		return "application/x-www-form-urlencoded"
	}
	return string(name)
}

func fromBase64(text []byte) ([]byte, error) {
	value, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, text)
	if err != nil {
		return nil, invalidf(`field "value" must be base64 with padding (RFC 4648, section 4): %v`, err)
	}
	return value, nil
}

func (d *decoder) by() error {
	text, ok := find(d.fields, "by")
	if !ok {
		d.By = 1
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return invalidf(`field "by" must be a whole number from -2^63 to 2^63-1, like 1; it is %s`,
			abbreviate(string(text)))
	}
	d.By = n
	return nil
}

func (d *decoder) conditions() error {
	if text, ok := find(d.fields, "if_revision"); ok {
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil {
			return invalidf(`field "if_revision" must be a revision, a whole number like 42; it is %s`,
				abbreviate(string(text)))
		}
		d.IfRevision, d.HasIfRevision = n, true
	}
	if text, ok := find(d.fields, "if_absent"); ok {
		if s := string(text); s != "true" && s != "false" {
			return invalidf(`field "if_absent" must be true or false; it is %s`, abbreviate(s))
		}
		d.IfAbsent = text[0] == 't'
	}
	return d.validateConditions()
}

// text parses a required string field.
func (d *decoder) text(name, what string) (string, error) {
	text, ok := find(d.fields, name)
	if !ok {
		return "", invalidf("field %q is missing; op %s needs it", name, d.Op)
	}
	var s string
	if text[0] != '"' || json.Unmarshal(text, &s) != nil {
		return "", invalidf("field %q must be %s", name, what)
	}
	return s, nil
}

// json parses a required field with any JSON value.
func (d *decoder) json(name string) ([]byte, error) {
	text, ok := find(d.fields, name)
	if !ok {
		return nil, invalidf("field %q is missing; op %s needs it, and it may be any JSON value", name, d.Op)
	}
	text = jsontext.OneLine(text)
	if !jsontext.Valid(text) {
		return nil, notJSON(name)
	}
	return text, nil
}
