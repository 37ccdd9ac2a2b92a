package kv

import (
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Range selects the keys that begin with Prefix, are not before From and are before To, in the order of their bytes. An
// empty field does not restrict it; the zero value selects every key.
type Range struct {
	Prefix, From, To []byte
}

// rangeFields are what selects keys in the JSON of an operation: a key, or the fields of a Range.
var rangeFields = []string{"key", "prefix", "from", "to"}

// bounds returns the first key of the range and the first one behind it; "": there is none behind it.
func (r *Range) bounds() (from, to string) {
	from, to = PrefixRange(string(r.Prefix))
	from = max(from, string(r.From))
	if len(r.To) > 0 && (to == "" || string(r.To) < to) {
		to = string(r.To)
	}
	return from, to
}

// walkWithin goes through the records of a range as they are now, with so many visits.
func (s *Store) walkWithin(r *Range, visits int) *walk {
	from, to := r.bounds()
	w := s.walk(from, to, s.applied, 1)
	w.visits = visits
	return w
}

func (r *Range) validate() error {
	for _, bound := range []struct {
		field string
		text  []byte
	}{{"prefix", r.Prefix}, {"from", r.From}, {"to", r.To}} {
		switch {
		case len(bound.text) > MaxKeyBytes:
			return &TooLargeError{Field: bound.field, Size: len(bound.text), Limit: MaxKeyBytes}
		case !utf8.Valid(bound.text):
			return invalidf("field %q must be valid UTF-8", bound.field)
		}
	}
	return nil
}

// validateKeys checks what selects the keys of an operation.
func validateKeys(key []byte, r *Range) error {
	if r != nil {
		return r.validate()
	}
	return validateKey(key)
}

// appendKeys appends what selects the keys of an operation: a key, or a range. A range without a prefix has the field
// from, so that there is one.
func appendKeys(dst, key []byte, r *Range) []byte {
	switch {
	case r == nil:
		return appendKey(dst, key)
	case len(r.Prefix) == 0:
		dst = appendText(append(dst, `"from":`...), r.From)
	default:
		dst = appendText(append(dst, `"prefix":`...), r.Prefix)
		if len(r.From) > 0 {
			dst = appendText(append(dst, `,"from":`...), r.From)
		}
	}
	if len(r.To) > 0 {
		dst = appendText(append(dst, `,"to":`...), r.To)
	}
	return dst
}

// sizeOfKeys returns about how many bytes appendKeys appends.
func sizeOfKeys(key []byte, r *Range) int {
	if r == nil {
		return len(key)
	}
	return len(r.Prefix) + len(r.From) + len(r.To)
}

// scanKeys reads the output of appendKeys.
func scanKeys(s *jsontext.Scanner) (key []byte, r *Range) {
	if s.Peek(`"key":"`) {
		return scanKey(s), nil
	}
	r = &Range{}
	if s.Take(`"from":"`) {
		if text := s.Text(); len(text) > 0 {
			r.From = text
		}
	} else {
		r.Prefix = scanGiven(s, `"prefix":"`)
		s.Fail(r.Prefix == nil)
		r.From = scanGiven(s, `,"from":"`)
	}
	r.To = scanGiven(s, `,"to":"`)
	return nil, r
}

// scanGiven reads a text that is left out if it is empty.
func scanGiven(s *jsontext.Scanner, name string) []byte {
	if !s.Take(name) {
		return nil
	}
	text := s.Text()
	s.Fail(len(text) == 0)
	return text
}

// keys decodes what selects the keys of an operation.
func (d decoder) keys() (key []byte, r *Range, err error) {
	if !d.has("prefix") && !d.has("from") && !d.has("to") {
		if !d.has("key") {
			return nil, nil, invalidf(`field "key" is missing; %s needs it, or "prefix", or "from" and "to"`, d.what)
		}
		key, err = d.key()
		return key, nil, err
	}
	if d.has("key") {
		return nil, nil, invalidf(`field "key" excludes "prefix", "from" and "to"; give one key, or a range`)
	}
	r = &Range{}
	if r.Prefix, err = d.optional("prefix"); err != nil {
		return nil, nil, err
	}
	if r.From, err = d.optional("from"); err != nil {
		return nil, nil, err
	}
	r.To, err = d.optional("to")
	return nil, r, err
}

// optional parses a string field that may be missing; nil if it is, or is empty.
func (d decoder) optional(name string) ([]byte, error) {
	if !d.has(name) {
		return nil, nil
	}
	text, err := d.text(name, "a JSON string")
	if len(text) == 0 {
		return nil, err
	}
	return text, err
}
