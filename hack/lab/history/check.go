package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Violation is a key whose responses no register could have sent.
type Violation struct {
	Key        string
	Operations int
	info       porcupine.LinearizationInfo
}

// Error names the key.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s: its %d operations are not linearizable", v.Key, v.Operations)
}

// Draw writes an HTML page that shows how far the operations can be explained.
func (v *Violation) Draw(path string) error { return porcupine.VisualizePath(register, v.info, path) }

// Check reports whether the operations on each key, except for stale reads, are linearizable: it returns nil, or a
// *Violation for each key where they are not, joined, and an error for each key that could not be decided within the
// time limit.
func Check(operations []Operation, limit time.Duration) error {
	keys := make(map[string][]Operation)
	for _, o := range operations {
		if !o.Stale {
			keys[o.Key] = append(keys[o.Key], o)
		}
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		events := prepare(keys[key])
		result, info := porcupine.CheckOperationsVerbose(register, events, limit)
		switch result {
		case porcupine.Ok:
		case porcupine.Illegal:
			errs = append(errs, &Violation{Key: key, Operations: len(events), info: info})
		default:
			errs = append(errs, fmt.Errorf("%s: could not be decided within %s", key, limit))
		}
	}
	return errors.Join(errs...)
}

// register is the model of a key: a number that is put, read, swapped if it is as expected, and added to.
var register = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		held, o := state.(int64), input.(Operation)
		switch {
		case o.Kind == Put:
			return true, o.Value
		case o.Kind == Get:
			return held == o.Value, held
		case o.Kind == Incr:
			return o.Outcome != OK || o.Value == held+o.By, held + o.By
		case o.Swapped:
			return held == o.Expected, o.New
		default:
			return held == o.Value && held != o.Expected, held
		}
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(Operation)
		switch {
		case o.Kind == Put:
			return fmt.Sprintf("put %d: %s", o.Value, o.Outcome)
		case o.Kind == Get:
			return fmt.Sprintf("get: %d", o.Value)
		case o.Kind == Incr && o.Outcome == OK:
			return fmt.Sprintf("incr by %d: %d", o.By, o.Value)
		case o.Kind == Incr:
			return fmt.Sprintf("incr by %d: %s", o.By, o.Outcome)
		case o.Swapped:
			return fmt.Sprintf("cas %d to %d: %s", o.Expected, o.New, o.Outcome)
		}
		return fmt.Sprintf("cas %d to %d: found %d", o.Expected, o.New, o.Value)
	},
}

// prepare returns the history of one key for the checker. An operation that certainly was not done is left out: a read
// that shows its number is a violation, because no client wrote it. A read of unknown outcome shows nothing. A write
// of unknown outcome may take effect at any time after its call, or never: if no operation saw its number it may as
// well come after everything else, and is left out; if one did, the write took effect before that operation's
// response. Both are exact, because every number is written at most once, and every increment of a counter has its own
// digit. They spare the checker the search among writes that never end.
func prepare(operations []Operation) []porcupine.Operation {
	seen := sightings(operations)
	var history []porcupine.Operation
	for _, o := range operations {
		returned := o.Return
		switch o.Outcome {
		case OK:
		case Unknown:
			at, ok := seen[o.written()]
			if o.Kind == Incr {
				at, ok = firstCounted(operations, o.By)
			}
			if !o.IsWrite() || !ok {
				continue
			}
			o.Swapped = o.Kind == CAS
			returned = max(at, o.Call)
		default:
			continue
		}
		history = append(history, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: returned})
	}
	slices.SortStableFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return history
}

// sightings returns for each number that was seen until when its write must have taken effect: when the first
// operation returned that saw it. A swap sees what it expected; one of unknown outcome did swap if its own number was
// seen.
func sightings(operations []Operation) map[int64]int64 {
	seen := make(map[int64]int64)
	note := func(number, at int64) bool {
		before, ok := seen[number]
		if number == 0 || ok && before <= at {
			return false
		}
		seen[number] = at
		return true
	}
	for i := range operations {
		switch o := &operations[i]; {
		case o.Outcome != OK || o.Kind == Put || o.Kind == Incr:
		case o.Swapped:
			note(o.Expected, o.Return)
		default:
			note(o.Value, o.Return)
		}
	}
	for more := true; more; {
		more = false
		for i := range operations {
			o := &operations[i]
			if at, ok := seen[o.New]; ok && o.Kind == CAS && o.Outcome == Unknown {
				more = note(o.Expected, at) || more
			}
		}
	}
	return seen
}

// firstCounted returns when the first operation returned that saw an increment of a counter.
func firstCounted(operations []Operation, step int64) (at int64, ok bool) {
	for i := range operations {
		o := &operations[i]
		if o.Outcome == OK && counted(o.Value, step) > 0 && (!ok || o.Return < at) {
			at, ok = o.Return, true
		}
	}
	return at, ok
}

// ReadBack reports whether every key that was written with success was read with success after its last such write: it
// returns nil, or an error that names the keys that were not read. Check determines whether the values are correct.
func ReadBack(operations []Operation) error {
	written, read := make(map[string]int64), make(map[string]int64)
	for i := range operations {
		o := &operations[i]
		switch {
		case o.Outcome != OK:
		case o.IsWrite():
			written[o.Key] = max(written[o.Key], o.Return)
		case !o.Stale:
			read[o.Key] = max(read[o.Key], o.Call)
		}
	}
	var unread []string
	for key, at := range written {
		if read[key] < at {
			unread = append(unread, key)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	slices.Sort(unread)
	return fmt.Errorf("%d of %d written keys were not read at the end, the first of them %s",
		len(unread), len(written), unread[0])
}
