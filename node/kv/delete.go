package kv

import (
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Delete removes a key. Deleting an absent key succeeds, so that a delete may be repeated.
type Delete struct {
	Key []byte
	If  Condition // none, or a revision
}

var deleteFields = []string{"key", "if_revision"}

// Op returns OpDelete.
func (o *Delete) Op() Op { return OpDelete }

// Validate implements Operation.
func (o *Delete) Validate() error {
	if err := validateKey(o.Key); err != nil {
		return err
	}
	if o.If == Absent() {
		return invalidf(`field "if_absent" does not go with op delete; leave it out, or use put or set`)
	}
	return nil
}

// AppendJSON implements Operation.
func (o *Delete) AppendJSON(dst []byte) []byte {
	return append(o.If.appendJSON(appendHead(dst, OpDelete, o.Key)), '}')
}

// Size implements Operation.
func (o *Delete) Size() int { return namesSize + len(o.Key) }

func (o *Delete) scan(s jsontext.Scanner) jsontext.Scanner {
	*o = Delete{Key: scanKey(&s)}
	o.If = scanRevision(&s)
	return s
}

func (o *Delete) decode(d decoder) (err error) {
	*o = Delete{}
	if o.Key, err = d.key(); err != nil {
		return err
	}
	o.If, err = d.condition()
	return err
}

func (o *Delete) decide(s *Store, e Entry) (Result, change) {
	current := s.records[string(o.Key)]
	if refused, ok := o.If.check(o.Key, current); !ok {
		return refused, change{}
	}
	if current == nil {
		return Result{}, change{}
	}
	return Result{Revision: e.Revision, Deleted: true}, removal(current)
}
