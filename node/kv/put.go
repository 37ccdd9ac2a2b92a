package kv

import (
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Put stores bytes with a content type.
type Put struct {
	Key   []byte
	Value []byte
	// ContentType of the value; empty means TypeBytes.
	ContentType string
	If          Condition
}

var putFields = []string{"key", "value", "json", "encoding", "content_type", "if_revision", "if_absent"}

// Op returns OpPut.
func (p *Put) Op() Op { return OpPut }

// Validate implements Operation. A value with a JSON content type must be JSON.
func (p *Put) Validate() error {
	if err := validateKey(p.Key); err != nil {
		return err
	}
	if err := validateSize("value", p.Value); err != nil {
		return err
	}
	if p.ContentType == TypeBytes {
		return nil
	}
	if err := p.validateContentType(); err != nil || !jsontext.IsJSON(p.ContentType) {
		return err
	}
	text, ok := jsontext.Embeddable(p.Value)
	if !ok {
		return invalidf(`the value is not valid JSON (in UTF-8, at most %d levels deep), though its content type is %s; `+
			`correct it, or send another type`, jsontext.MaxDepth, p.ContentType)
	}
	return checkJSON("value", text, true)
}

func (p *Put) validateContentType() error {
	if len(p.ContentType) > MaxContentTypeBytes {
		return &TooLargeError{Field: "content_type", Size: len(p.ContentType), Limit: MaxContentTypeBytes}
	}
	for i := range len(p.ContentType) {
		if p.ContentType[i] < ' ' || p.ContentType[i] > '~' {
			return invalidf(`field "content_type" must consist of printable ASCII characters, like text/plain`)
		}
	}
	return nil
}

// AppendJSON implements Operation. JSON is written as JSON, text as a string, everything else in base64.
func (p *Put) AppendJSON(dst []byte) []byte { return appendCommand(dst, p) }

func (p *Put) appendFields(dst []byte) []byte {
	return p.If.appendJSON(p.appendValue(appendKey(dst, p.Key)))
}

func (p *Put) appendValue(dst []byte) []byte {
	if p.ContentType == TypeJSON && jsontext.Valid(p.Value) {
		dst = append(dst, `,"json":`...)
		return append(dst, p.Value...)
	}
	dst = append(dst, `,"value":`...)
	if isText(p.Value) {
		dst = jsontext.AppendString(dst, p.Value)
	} else {
		dst = jsontext.AppendBase64(dst, p.Value)
		dst = append(dst, `,"encoding":"base64"`...)
	}
	if p.ContentType != "" && p.ContentType != TypeBytes {
		dst = append(dst, `,"content_type":`...)
		dst = jsontext.AppendText(dst, p.ContentType)
	}
	return dst
}

// Size implements Operation.
func (p *Put) Size() int { return namesSize + len(p.Key) + len(p.Value) + len(p.ContentType) }

func (p *Put) scan(s jsontext.Scanner) jsontext.Scanner {
	*p = Put{Key: scanKey(&s)}
	p.scanValue(&s)
	p.If = scanCondition(&s)
	return s
}

func (p *Put) scanValue(s *jsontext.Scanner) {
	if s.Take(`,"json":`) {
		p.Value, p.ContentType = s.Value(), TypeJSON
		return
	}
	if !s.Want(`,"value":"`) {
		return
	}
	p.Value = s.Text()
	if s.Take(`,"encoding":"base64"`) {
		value, err := fromBase64(p.Value)
		p.Value = value
		s.Fail(err != nil)
	}
	p.ContentType = TypeBytes
	if s.Take(`,"content_type":"`) {
		p.ContentType = contentType(s.Text())
	}
}

func (p *Put) decode(d decoder) (err error) {
	*p = Put{}
	if p.Key, err = d.key(); err != nil {
		return err
	}
	if d.has("json") {
		err = p.decodeJSON(d)
	} else {
		err = p.decodeText(d)
	}
	if err != nil {
		return err
	}
	p.If, err = d.condition()
	return err
}

func (p *Put) decodeJSON(d decoder) (err error) {
	for _, other := range []string{"value", "encoding", "content_type"} {
		if d.has(other) {
			return invalidf(`fields "json" and %q exclude each other; give one of them`, other)
		}
	}
	p.ContentType = TypeJSON
	p.Value, err = d.json("json")
	return err
}

func (p *Put) decodeText(d decoder) error {
	value, err := d.text("value", `a string for op put; use op set, or field "json", for other JSON`)
	if err != nil {
		return err
	}
	p.Value, p.ContentType = value, TypeBytes
	if d.has("content_type") {
		name, err := d.text("content_type", "a string, like text/plain")
		if err != nil {
			return err
		}
		p.ContentType = contentType(name)
	}
	if !d.has("encoding") {
		return nil
	}
	encoding, err := d.text("encoding", `"base64"; leave it out for plain text`)
	if err != nil {
		return err
	}
	if string(encoding) != "base64" {
		return invalidf(`field "encoding" must be "base64"; leave it out for plain text`)
	}
	p.Value, err = fromBase64(value)
	return err
}

func (p *Put) decide(s *Store, e Entry, changes []change) (Result, []change) {
	it, current := s.find(p.Key)
	if refused, ok := p.If.check(p.Key, current); !ok {
		return refused, changes
	}
	return Result{Revision: e.Revision, Created: current == nil}, append(changes, write(p.Key, it, p.Value, p.ContentType))
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
