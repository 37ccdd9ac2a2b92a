package kv

import (
	"fmt"
	"math"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Incr adds to an integer of 64 bits; an absent key counts as 0. It keeps the content type.
type Incr struct {
	Key []byte
	By  int64
}

var incrFields = []string{"key", "by"}

// Op returns OpIncr.
func (o *Incr) Op() Op { return OpIncr }

// Validate implements Operation.
func (o *Incr) Validate() error { return validateKey(o.Key) }

// AppendJSON implements Operation.
func (o *Incr) AppendJSON(dst []byte) []byte { return appendCommand(dst, o) }

func (o *Incr) appendFields(dst []byte) []byte {
	dst = append(appendKey(dst, o.Key), `,"by":`...)
	return strconv.AppendInt(dst, o.By, 10)
}

// Size implements Operation.
func (o *Incr) Size() int { return namesSize + len(o.Key) }

func (o *Incr) scan(s jsontext.Scanner) jsontext.Scanner {
	*o = Incr{Key: scanKey(&s)}
	o.By = s.Int(`,"by":`)
	return s
}

func (o *Incr) decode(d decoder) (err error) {
	*o = Incr{By: 1}
	if o.Key, err = d.key(); err != nil {
		return err
	}
	text, ok := find(d.fields, "by")
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return invalidf(`field "by" must be a whole number from -2^63 to 2^63-1, like 1; it is %s`,
			abbreviate(string(text)))
	}
	o.By = n
	return nil
}

func (o *Incr) decide(s *Store, e Entry, changes []change) (Result, []change) {
	var old int64
	kind := TypeJSON
	it, current := s.find(o.Key)
	if current != nil {
		known := s.factsOf(current)
		if !known.isInteger {
			return conflict(current, "only an integer of 64 bits can be incremented"), changes
		}
		old, kind = known.integer, current.ContentType
	}
	if (o.By > 0 && old > math.MaxInt64-o.By) || (o.By < 0 && old < math.MinInt64-o.By) {
		return conflict(current, fmt.Sprintf("adding %d would leave the range of 64-bit integers", o.By)), changes
	}
	value := strconv.AppendInt(nil, old+o.By, 10)
	result := Result{Revision: e.Revision, Value: value, Created: current == nil}
	return result, append(changes, write(o.Key, it, value, kind))
}

// conflict returns a refusal because of the key's value.
func conflict(current *Record, why string) Result {
	return Result{
		Revision: current.ModRevision,
		Code:     CodeConflict,
		Message:  fmt.Sprintf("key %q holds %s; %s", abbreviate(current.Key), shown(current), why),
	}
}

// shown returns the value of a record for a message.
func shown(r *Record) string {
	if len(r.Value) > smallValue {
		return fmt.Sprintf("%d bytes of %s", len(r.Value), abbreviate(r.ContentType))
	}
	return abbreviate(string(viewOf(r.Value, r.ContentType)))
}
