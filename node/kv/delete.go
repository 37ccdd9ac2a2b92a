package kv

import (
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Delete removes a key, or the keys of a range. Deleting an absent key succeeds, so that a delete may be repeated.
//
// A range is visited up to MaxTxnVisits keys far. The result has a JSON value then, see DeletedRange.
type Delete struct {
	Key   []byte    // if Range is nil
	If    Condition // of the key: none, or a revision
	Range *Range
}

var deleteFields = append(rangeFields[:len(rangeFields):len(rangeFields)], "if_revision")

// Op returns OpDelete.
func (o *Delete) Op() Op { return OpDelete }

// Validate implements Operation.
func (o *Delete) Validate() error {
	if err := validateKeys(o.Key, o.Range); err != nil {
		return err
	}
	switch {
	case o.If == Absent():
		return invalidf(`field "if_absent" does not go with op delete; leave it out, or use put or set`)
	case o.If != Condition{} && o.Range != nil:
		return invalidf(`field "if_revision" goes with one key, not with a range; compare the range in a transaction`)
	}
	return nil
}

// AppendJSON implements Operation.
func (o *Delete) AppendJSON(dst []byte) []byte { return appendCommand(dst, o) }

func (o *Delete) appendFields(dst []byte) []byte {
	return o.If.appendJSON(appendKeys(dst, o.Key, o.Range))
}

// Size implements Operation.
func (o *Delete) Size() int { return namesSize + sizeOfKeys(o.Key, o.Range) }

func (o *Delete) scan(s jsontext.Scanner) jsontext.Scanner {
	*o = Delete{}
	o.Key, o.Range = scanKeys(&s)
	o.If = scanRevision(&s)
	return s
}

// decode refuses an empty prefix, which may be a variable that is not set.
func (o *Delete) decode(d decoder) (err error) {
	*o = Delete{}
	if o.Key, o.Range, err = d.keys(); err != nil {
		return err
	}
	if d.has("prefix") && len(o.Range.Prefix) == 0 {
		return invalidf(`field "prefix" is empty; to delete every key, give "from":"" instead`)
	}
	o.If, err = d.condition()
	return err
}

// decide deletes a range as far as MaxTxnVisits allow.
func (o *Delete) decide(s *Store, e Entry, changes []change) (Result, []change) {
	if o.Range != nil {
		return o.decideRange(s, e, changes)
	}
	it, current := s.find(o.Key)
	if refused, ok := o.If.check(o.Key, current); !ok {
		return refused, changes
	}
	if current == nil {
		return Result{}, changes
	}
	return Result{Revision: e.Revision, Deleted: true}, append(changes, removal(it))
}

func (o *Delete) decideRange(s *Store, e Entry, changes []change) (Result, []change) {
	w := s.walkWithin(o.Range, MaxTxnVisits)
	changes = removals(w, changes)
	value := strconv.AppendInt([]byte(`{"deleted":`), int64(len(changes)), 10)
	if w.rest != "" {
		value = jsontext.AppendString(append(value, `,"more":true,"next":`...), w.rest)
	}
	result := Result{Value: append(value, '}'), Deleted: len(changes) > 0}
	if result.Deleted {
		result.Revision = e.Revision
	}
	return result, changes
}

// removals appends the removals of the keys of a walk.
func removals(w *walk, changes []change) []change {
	for w.next() != nil {
		changes = append(changes, removal(w.items.Value()))
	}
	return changes
}
