package kv

import (
	"fmt"
	"math"
	"strconv"
)

// Commands of the entries that consensus creates itself: a leader's first of a term (paper, section 8), and one that
// seats a member.
const (
	noOp     = `{"op":"noop"}`
	seatHead = `{"op":"seat","member":`
)

// Apply applies the command of the log entry at index, and returns its result. It depends on the state and the
// arguments alone (trap T45), and does all of a command or nothing: a command that cannot be parsed, or that the
// state does not allow, changes nothing, and the entry counts as applied. The store keeps parts of command.
//
// The index must be the one after Applied; anything else is a broken invariant, and panics.
func (s *Store) Apply(index uint64, command []byte) Result {
	s.advance(index)
	if string(command) == noOp || string(command[:min(len(command), len(seatHead))]) == seatHead {
		return Result{}
	}
	var r request
	if err := parse(command, &r); err != nil {
		return Result{Code: CodeInvalid, Message: err.Error()}
	}
	current := s.records[string(r.key)]
	switch r.Op {
	case OpPut, OpSet:
		return s.put(index, &r, current)
	case OpDelete:
		return s.delete(index, &r, current)
	case OpIncr:
		return s.incr(index, &r, current)
	case OpCAS:
		return s.cas(index, &r, current)
	}
	return Result{Revision: revisionOf(current)} // get
}

func (s *Store) put(index uint64, r *request, current *Record) Result {
	if refused, ok := checkConditions(r, current); !ok {
		return refused
	}
	return Result{Revision: index, Created: s.write(index, r.key, r.Value, r.ContentType)}
}

func (s *Store) delete(index uint64, r *request, current *Record) Result {
	if refused, ok := checkConditions(r, current); !ok {
		return refused
	}
	if current == nil {
		return Result{}
	}
	s.remove(current.Key)
	return Result{Revision: index, Deleted: true}
}

// incr keeps the number's content type.
func (s *Store) incr(index uint64, r *request, current *Record) Result {
	var old int64
	kind := TypeJSON
	if current != nil {
		known := s.factsOf(current)
		if !known.isInteger {
			return conflict(current, "only an integer of 64 bits can be incremented")
		}
		old, kind = known.integer, current.ContentType
	}
	if (r.By > 0 && old > math.MaxInt64-r.By) || (r.By < 0 && old < math.MinInt64-r.By) {
		return conflict(current, fmt.Sprintf("adding %d would leave the range of 64-bit integers", r.By))
	}
	value := strconv.AppendInt(nil, old+r.By, 10)
	return Result{Revision: index, Value: value, Created: s.write(index, r.key, value, kind)}
}

// conflict returns a refusal because of the key's value.
func conflict(current *Record, why string) Result {
	holds := fmt.Sprintf("%d bytes of %s", len(current.Value), abbreviate(current.ContentType))
	if len(current.Value) <= smallValue {
		holds = abbreviate(string(viewOf(current.Value, current.ContentType)))
	}
	return Result{
		Revision: current.ModRevision,
		Code:     CodeConflict,
		Message:  fmt.Sprintf("key %q holds %s; %s", abbreviate(current.Key), holds, why),
	}
}

// cas compares with the output of viewOf: an expected null means an absent key, and equals a stored null too, so that
// a refusal never shows the value that was expected.
func (s *Store) cas(index uint64, r *request, current *Record) Result {
	if !s.holds(current, r.Expected) {
		return Result{Revision: revisionOf(current), found: s.snapshot(current)}
	}
	return Result{Revision: index, Swapped: true, Created: s.write(index, r.key, r.Value, TypeJSON)}
}

// checkConditions returns a refusal, and false, if a precondition does not hold.
func checkConditions(r *request, current *Record) (Result, bool) {
	revision := revisionOf(current)
	switch {
	case r.IfAbsent && current != nil:
		return preconditionFailed(r, revision, "must be absent"), false
	case r.HasIfRevision && r.IfRevision != revision:
		return preconditionFailed(r, revision, "must have revision "+strconv.FormatUint(r.IfRevision, 10)), false
	}
	return Result{}, true
}

func preconditionFailed(r *request, revision uint64, wanted string) Result {
	is := "is absent"
	if revision != 0 {
		is = "has revision " + strconv.FormatUint(revision, 10)
	}
	return Result{
		Revision: revision,
		Code:     CodePreconditionFailed,
		Message:  fmt.Sprintf("key %q %s, and %s; nothing was changed", abbreviate(string(r.key)), wanted, is),
	}
}

func revisionOf(current *Record) uint64 {
	if current == nil {
		return 0
	}
	return current.ModRevision
}
