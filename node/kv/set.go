package kv

import (
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Set stores a JSON value, with the content type TypeJSON.
type Set struct {
	Key   []byte
	Value []byte // JSON text
	If    Condition
}

var setFields = []string{"key", "value", "if_revision", "if_absent"}

// Op returns OpSet.
func (o *Set) Op() Op { return OpSet }

// Validate implements Operation.
func (o *Set) Validate() error {
	if err := validateKey(o.Key); err != nil {
		return err
	}
	if err := validateSize("value", o.Value); err != nil {
		return err
	}
	return validateJSON("value", o.Value)
}

// AppendJSON implements Operation.
func (o *Set) AppendJSON(dst []byte) []byte { return appendCommand(dst, o) }

func (o *Set) appendFields(dst []byte) []byte {
	dst = append(appendKey(dst, o.Key), `,"value":`...)
	return o.If.appendJSON(appendEmbedded(dst, o.Value))
}

// Size implements Operation.
func (o *Set) Size() int { return namesSize + len(o.Key) + len(o.Value) }

func (o *Set) scan(s jsontext.Scanner) jsontext.Scanner {
	*o = Set{Key: scanKey(&s)}
	o.Value = scanJSON(&s, `,"value":`)
	o.If = scanCondition(&s)
	return s
}

func (o *Set) decode(d decoder) (err error) {
	*o = Set{}
	if o.Key, err = d.key(); err != nil {
		return err
	}
	if o.Value, err = d.json("value"); err != nil {
		return err
	}
	o.If, err = d.condition()
	return err
}

func (o *Set) decide(s *Store, e Entry, changes []change) (Result, []change) {
	it, current := s.find(o.Key)
	if refused, ok := o.If.check(o.Key, current); !ok {
		return refused, changes
	}
	return Result{Revision: e.Revision, Created: current == nil}, append(changes, write(o.Key, it, o.Value, TypeJSON))
}
