package sim

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

// judgeHistory compares what the clients were told with what was committed. The log must hold every acknowledged
// command where the answer said, no command that was refused, and none twice; every read must be explained; the
// nodes must hold what the log says; and the history of each key must be linearizable, by a checker that is not ours.
func (w *World) judgeHistory() {
	h := newHistory(w)
	h.replay()
	for _, o := range w.clients.history {
		if w.violation != nil {
			return
		}
		h.judge(o)
	}
	if w.violation == nil {
		h.judgeStates()
	}
	if w.violation == nil {
		h.linearize()
	}
}

// history is what was committed, as the clients could see it.
type history struct {
	world    *World
	places   map[string]raft.Index // of every client's command in the log
	versions map[string][]version  // of each key, by rising index
	turns    map[string]int        // of each key: how many writes of clients stand in the log
}

func newHistory(w *World) history {
	return history{
		world: w, places: map[string]raft.Index{}, versions: map[string][]version{}, turns: map[string]int{},
	}
}

// version is what a key was from an index on.
type version struct {
	index raft.Index
	register
}

// register is a key as a client sees it. It is what the checker takes the store for, told in other words than kv's.
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
func (r register) after(o *operation, index uint64) (next register, value string, found bool) {
	number := strconv.FormatInt(o.number, 10)
	switch o.kind {
	case kv.OpSet, kv.OpPut:
		if o.ifMatch && r.revision != o.match {
			return r, "", false
		}
		return register{true, number, index}, "", o.ifMatch
	case kv.OpIncr:
		old, _ := strconv.ParseInt(cmp.Or(r.value, "0"), 10, 64) // the clients write nothing but numbers
		sum := strconv.FormatInt(old+o.number, 10)
		return register{true, sum, index}, sum, false
	case kv.OpCAS:
		if r.view() == o.expect {
			return register{true, number, index}, "", true
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
	byText := map[string]*operation{}
	for _, o := range h.world.clients.history {
		if !o.isRead() {
			byText[string(o.command())] = o
		}
	}
	for _, e := range h.world.ledger.entries {
		o := byText[string(e.Command)]
		if o == nil {
			continue // a no-op, or what the calm part wrote
		}
		if first, twice := h.places[string(e.Command)]; twice {
			h.world.broken("a command is done at most once", "%v stands at %d and at %d", o, first, e.Index)
			return
		}
		h.places[string(e.Command)] = e.Index
		h.turns[o.key]++
		o.turn = h.turns[o.key]
		now := register{}
		if all := h.versions[o.key]; len(all) > 0 {
			now = all[len(all)-1].register
		}
		next, _, _ := now.after(o, uint64(e.Index))
		if next != now {
			h.versions[o.key] = append(h.versions[o.key], version{e.Index, next})
		}
	}
}

// judge looks at one operation.
func (h *history) judge(o *operation) {
	if o.isRead() {
		if o.outcome == done && o.fresh != linearizable {
			h.judgeRead(o)
		}
		return
	}
	at, stands := h.places[string(o.command())]
	switch {
	case o.outcome == done && !stands:
		h.world.broken("acknowledged writes are kept", "%v: the log does not hold it", o)
	case o.outcome == done && at != o.index:
		h.world.broken("acknowledged writes are kept", "%v: was told index %d, and stands at %d", o, o.index, at)
	case o.outcome == refused && stands:
		h.world.broken("what is refused is not done", "%v: but it stands at %d", o, at)
	}
}

// judgeRead: what a read that asked for less than the newest saw must have been so once, and not before the revision
// that it asked for.
func (h *history) judgeRead(o *operation) {
	versions := append([]version{{}}, h.versions[o.key]...)
	for i, v := range versions {
		inForce := i == len(versions)-1 || uint64(versions[i+1].index) > o.least
		if inForce && v.found == o.found && v.revision == o.revision && v.value == o.value {
			return
		}
	}
	h.world.broken("reads see what was", "%v: the key never was that%s", o,
		map[bool]string{true: fmt.Sprintf(" at revision %d or later", o.least)}[o.least > 0])
}

// linearize hands the history of each key to porcupine.
func (h *history) linearize() {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range h.world.clients.history {
		if event, ok := h.event(o); ok {
			byKey[o.key] = append(byKey[o.key], event)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if !porcupine.CheckOperations(linearizableRegister, byKey[key]) {
			h.world.broken("linearizability", "key %s: no order explains its %d operations:%s", key, len(byKey[key]),
				h.tell(key))
			return
		}
	}
}

// event is an operation as porcupine takes it. A write whose outcome the client does not know took effect at any time
// after its call if the log holds it, and never if not: what it did to others is checked either way.
func (h *history) event(o *operation) (porcupine.Operation, bool) {
	event := porcupine.Operation{ClientId: o.client, Input: o, Call: o.call, Return: o.back}
	switch {
	case o.isRead():
		return event, o.outcome == done && o.fresh == linearizable
	case o.outcome == done:
		return event, true
	}
	at, stands := h.places[string(o.command())]
	event.Return = math.MaxInt64
	o.index = at
	return event, stands
}

// tell lists the operations on a key, for who must understand what went wrong.
func (h *history) tell(key string) string {
	text := ""
	for _, o := range h.world.clients.history {
		if o.key == key {
			text += fmt.Sprintf("\n  [%d,%d] %v", o.call, o.back, o)
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
		now, o := state.(place), input.(*operation)
		if o.isRead() {
			return o.found == now.found && o.value == now.value && o.revision == now.revision, now
		}
		if o.turn != now.turn+1 {
			return false, now
		}
		next, value, found := now.after(o, uint64(o.index))
		if o.outcome == done && (o.value != value || o.found != found || o.reason != nil) {
			return false, now
		}
		return true, place{next, o.turn}
	},
	DescribeOperation: func(input, _ any) string { return input.(*operation).String() },
}
