package kv

import (
	"fmt"

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
func (o *CAS) AppendJSON(dst []byte) []byte { return appendCommand(dst, o) }

func (o *CAS) appendFields(dst []byte) []byte {
	dst = append(appendKey(dst, o.Key), `,"expected":`...)
	dst = appendEmbedded(dst, o.Expected)
	dst = append(dst, `,"value":`...)
	return appendEmbedded(dst, o.Value)
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
func (o *CAS) decide(s *Store, e Entry, changes []change) (Result, []change) {
	it, current := s.find(o.Key)
	if !s.holds(current, o.Expected) {
		return Result{Revision: revisionOf(current), found: s.snapshot(current)}, changes
	}
	swapped := Result{Revision: e.Revision, Swapped: true, Created: current == nil}
	return swapped, append(changes, write(o.Key, it, o.Value, TypeJSON))
}

// refused returns the refusal of the operation in a transaction, in which all take place or none.
func (o *CAS) refused(s *Store) Result {
	is := "is absent"
	_, current := s.find(o.Key)
	if current != nil {
		is = "holds " + shown(current)
	}
	return Result{
		Revision: revisionOf(current),
		Code:     CodePreconditionFailed,
		Message:  fmt.Sprintf("key %q %s, which is not what is expected; nothing was changed", abbreviate(string(o.Key)), is),
	}
}
