package check

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/anishathalye/porcupine"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// JudgeHistory compares the answers that clients got with what was committed. The log must hold every acknowledged
// command at the index in its answer, no command that was refused, and none twice; every read must be explained; the
// nodes must hold what follows from the log; and the history of each key must be linearizable, by a checker that is not
// ours.
func (w *Watch) JudgeHistory(operations []*Operation) *Failure {
	h := newHistory(operations, w.Committed.entries)
	h.replay()
	for _, o := range operations {
		if h.failure != nil {
			return h.failure
		}
		h.judge(o)
	}
	if h.failure == nil {
		h.judgeStates(w)
	}
	if h.failure == nil {
		h.linearize()
	}
	return h.failure
}

// history is the answers that the clients got, and what was committed, as they could see it.
type history struct {
	operations []*Operation
	committed  []raft.Entry
	failure    *Failure

	places   map[string]raft.Index // of every client's command in the log
	versions map[string][]version  // of each key, by rising index
	turns    map[string]int        // of each key: how many writes of clients stand in the log
}

func newHistory(operations []*Operation, committed []raft.Entry) *history {
	return &history{
		operations: operations, committed: committed,
		places: map[string]raft.Index{}, versions: map[string][]version{}, turns: map[string]int{},
	}
}

func (h *history) broken(invariant, format string, args ...any) {
	if h.failure == nil {
		h.failure = fail(invariant, format, args...)
	}
}

// version is what a key was from an index on.
type version struct {
	index raft.Index
	register
}

// register is a key as a client sees it: the checker's own model of the store, independent of kv.
type register struct {
	found    bool
	value    string
	revision uint64 // of the last change; 0: absent
}

// view is what a cas compares with.
func (r register) view() string {
	if r.found {
		return r.value
	}
	return "null"
}

// after is the register after an operation at a place in the log, and what the operation should have answered.
func (r register) after(o *Operation, index uint64) (next register, value string, found bool) {
	number := strconv.FormatInt(o.Number, 10)
	switch o.Kind {
	case kv.OpSet, kv.OpPut:
		if o.IfMatch && r.revision != o.Match {
			return r, "", false
		}
		return register{true, number, index}, "", o.IfMatch
	case kv.OpIncr:
		old, _ := strconv.ParseInt(cmp.Or(r.value, "0"), 10, 64) // the clients write nothing but numbers
		sum := strconv.FormatInt(old+o.Number, 10)
		return register{true, sum, index}, sum, false
	case kv.OpCAS:
		if r.view() == o.Expect {
			return register{true, number, index}, "", true
		}
		return r, r.view(), false
	case kv.OpTxn:
		if r.revision == o.Match {
			return register{true, number, index}, number, true
		}
		return r, r.view(), false
	case kv.OpDelete:
		return register{}, "", r.found
	case kv.OpGet:
	}
	return r, r.value, r.found
}

// replay goes through the committed log.
func (h *history) replay() {
	byText := map[string]*Operation{}
	for _, o := range h.operations {
		if !o.IsRead() {
			byText[string(o.Command())] = o
		}
	}
	for _, e := range h.committed {
		o := byText[string(e.Command)]
		if o == nil {
			continue // a no-op, or what the calm part wrote
		}
		if first, twice := h.places[string(e.Command)]; twice {
			h.broken("a command is done at most once", "%v stands at %d and at %d", o, first, e.Index)
			return
		}
		h.places[string(e.Command)] = e.Index
		h.turns[o.Key]++
		o.turn = h.turns[o.Key]
		now := register{}
		if all := h.versions[o.Key]; len(all) > 0 {
			now = all[len(all)-1].register
		}
		next, _, _ := now.after(o, uint64(e.Index))
		if next != now {
			h.versions[o.Key] = append(h.versions[o.Key], version{e.Index, next})
		}
	}
}

// judge looks at one operation.
func (h *history) judge(o *Operation) {
	if o.IsRead() {
		if o.Outcome == Done && o.Fresh != Linearizable {
			h.judgeRead(o)
		}
		return
	}
	at, stands := h.places[string(o.Command())]
	switch {
	case o.Outcome == Done && !stands:
		h.broken("acknowledged writes are kept", "%v: the log does not hold it", o)
	case o.Outcome == Done && at != o.Index:
		h.broken("acknowledged writes are kept", "%v: was told index %d, and stands at %d", o, o.Index, at)
	case o.Outcome == Refused && stands:
		h.broken("what is refused is not done", "%v: but it stands at %d", o, at)
	}
}

// judgeRead: what a read that asked for less than the newest saw must have been so once, and not before the revision
// that it asked for.
func (h *history) judgeRead(o *Operation) {
	versions := append([]version{{}}, h.versions[o.Key]...)
	if o.Fresh == Past {
		h.judgePast(o, versions)
		return
	}
	for i, v := range versions {
		inForce := i == len(versions)-1 || uint64(versions[i+1].index) > o.Least
		if inForce && v.found == o.Found && v.revision == o.Revision && v.value == o.Value {
			return
		}
	}
	h.broken("reads see what was", "%v: the key never was that%s", o,
		map[bool]string{true: fmt.Sprintf(" at revision %d or later", o.Least)}[o.Least > 0])
}

// judgePast: a read as of a revision saw the version that was in force then.
func (h *history) judgePast(o *Operation, versions []version) {
	at := len(versions) - 1
	for uint64(versions[at].index) > o.At {
		at--
	}
	if v := &versions[at]; v.found != o.Found || v.revision != o.Revision || v.value != o.Value {
		h.broken("reads see what was", "%v: then the key was (found %v, value %q, revision %d)", o, v.found, v.value,
			v.revision)
	}
}

// linearize hands the history of each key to porcupine.
func (h *history) linearize() {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range h.operations {
		if event, ok := h.event(o); ok {
			byKey[o.Key] = append(byKey[o.Key], event)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if !porcupine.CheckOperations(linearizableRegister, byKey[key]) {
			h.broken("linearizability", "key %s: no order explains its %d operations:%s", key, len(byKey[key]),
				h.tell(key))
			return
		}
	}
}

// event is an operation as porcupine takes it. A write with an unknown outcome took effect at any time after its call
// if the log holds it, and never if not: its effect on others is checked either way.
func (h *history) event(o *Operation) (porcupine.Operation, bool) {
	event := porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Back}
	switch {
	case o.IsRead():
		return event, o.Outcome == Done && o.Fresh == Linearizable
	case o.Outcome == Done:
		return event, true
	}
	at, stands := h.places[string(o.Command())]
	event.Return = math.MaxInt64
	o.Index = at
	return event, stands
}

// Lists the operations on a key, to explain what went wrong.
func (h *history) tell(key string) string {
	text := ""
	for _, o := range h.operations {
		if o.Key == key {
			text += fmt.Sprintf("\n  [%d,%d] %v", o.Call, o.Back, o)
		}
	}
	return text
}

// place is the register at some place in the log.
type place struct {
	register
	turn int // of the last write that took effect
}

// linearizableRegister is what every key should be: writes take effect in the order of the log, and each operation
// answers from the state that all before it left. A write takes effect only when it is its turn: were it enough that
// none after it did, the checker would leave out writes of unknown outcome, which have no end that forces them, and
// find out only at the end of the history that they have lost their place. It would try every choice of them.
var linearizableRegister = porcupine.Model{
	Init: func() any { return place{} },
	Step: func(state, input, _ any) (bool, any) {
		now, o := state.(place), input.(*Operation)
		if o.IsRead() {
			return o.Found == now.found && o.Value == now.value && o.Revision == now.revision, now
		}
		if o.turn != now.turn+1 {
			return false, now
		}
		next, value, found := now.after(o, uint64(o.Index))
		if o.Outcome == Done && (o.Value != value || o.Found != found || o.Reason != nil) {
			return false, now
		}
		return true, place{next, o.turn}
	},
	DescribeOperation: func(input, _ any) string { return input.(*Operation).String() },
}
