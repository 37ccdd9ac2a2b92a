package kv

import (
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// CAS sets a JSON value if the present one equals the expected one by meaning.
type CAS struct {
	Key []byte
	// Expected is JSON text; null means an absent key.
	Expected []byte
	Value    []byte // JSON text
}

var casFields = []string{"key", "expected", "value"}

// Op returns OpCAS.
func (o *CAS) Op() Op { return OpCAS }

// Validate implements Operation.
func (o *CAS) Validate() error {
	if err := validateKey(o.Key); err != nil {
		return err
	}
	if err := validateSize("value", o.Value); err != nil {
		return err
	}
	if err := validateSize("expected", o.Expected); err != nil {
		return err
	}
	if err := validateJSON("expected", o.Expected); err != nil {
		return err
	}
	return validateJSON("value", o.Value)
}

// AppendJSON implements Operation.
func (o *CAS) AppendJSON(dst []byte) []byte {
	dst = appendHead(dst, OpCAS, o.Key)
	dst = append(dst, `,"expected":`...)
	dst = appendEmbedded(dst, o.Expected)
	dst = append(dst, `,"value":`...)
	dst = appendEmbedded(dst, o.Value)
	return append(dst, '}')
}

// Size implements Operation.
func (o *CAS) Size() int { return namesSize + len(o.Key) + len(o.Expected) + len(o.Value) }

func (o *CAS) scan(s jsontext.Scanner) jsontext.Scanner {
	*o = CAS{Key: scanKey(&s)}
	o.Expected = scanJSON(&s, `,"expected":`)
	o.Value = scanJSON(&s, `,"value":`)
	return s
}

func (o *CAS) decode(d decoder) (err error) {
	*o = CAS{}
	if o.Key, err = d.key(); err != nil {
		return err
	}
	if o.Expected, err = d.json("expected"); err != nil {
		return err
	}
	o.Value, err = d.json("value")
	return err
}

// decide compares with the output of viewOf: an expected null means an absent key, and equals a stored null too, so
// that a refusal never shows the value that was expected.
func (o *CAS) decide(s *Store, e Entry) (Result, change) {
	current := s.records[string(o.Key)]
	if !s.holds(current, o.Expected) {
		return Result{Revision: revisionOf(current), found: s.snapshot(current)}, change{}
	}
	swapped := Result{Revision: e.Revision, Swapped: true, Created: current == nil}
	return swapped, write(o.Key, current, o.Value, TypeJSON)
}
