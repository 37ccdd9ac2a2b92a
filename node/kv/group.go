package kv

import (
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Limits of a group: an entry of the log that is longer would delay those behind it.
const (
	mostGrouped    = 256
	mostGroupBytes = 128 << 10
)

// Group makes one command of independent writes, so that they share an entry of the log and a revision: a transaction
// without comparisons. It takes what has the same result alone and in a transaction: puts and sets without a condition,
// of different keys. They cannot be refused, so none depends on another. The zero value is an empty group.
type Group struct {
	text  []byte // of the transaction so far
	op    Op     // of the first operation
	first int    // end of the fields of the first operation
	count int
	keys  map[string]struct{}
}

const (
	groupStart = `{"op":"txn","then":[`
	groupEnd   = `]}`
)

// Add adds an operation that passes Validate, and reports whether it did. One that it did not add may fit into the next
// group, or into none.
func (g *Group) Add(o Operation) bool {
	if !isUnconditional(o) {
		return false
	}
	key := changedKey(o)
	if g.count == 0 {
		return g.begin(o, key)
	}
	if _, twice := g.keys[string(key)]; twice || g.count == mostGrouped {
		return false
	}
	longer := appendInner(append(g.text, ','), o)
	if len(longer) > mostGroupBytes {
		return false
	}
	g.text = longer
	g.keys[string(key)] = struct{}{}
	g.count++
	return true
}

// isUnconditional reports whether an operation writes a value whatever the state is.
func isUnconditional(o Operation) bool {
	switch o := o.(type) {
	case *Put:
		return o.If == Condition{}
	case *Set:
		return o.If == Condition{}
	}
	return false
}

func (g *Group) begin(o Operation, key []byte) bool {
	if g.keys == nil {
		g.keys = map[string]struct{}{}
	}
	g.text = append(make([]byte, 0, len(groupStart)+o.Size()+len(groupEnd)), groupStart...)
	g.text = appendInner(g.text, o)
	g.op, g.first, g.count = o.Op(), len(g.text)-len(`}}`), 1
	g.keys[string(key)] = struct{}{}
	return true
}

// Take returns the command of the group in its canonical form, and empties the group; nil if it has no operation. One
// operation is itself.
func (g *Group) Take() []byte {
	text, count := g.text, g.count
	clear(g.keys)
	g.text, g.count = nil, 0
	switch count {
	case 0:
		return nil
	case 1:
		fields := text[len(groupStart)+len(`{"`)+len(g.op)+len(`":{`) : g.first]
		alone := append(make([]byte, 0, len(fields)+namesSize), `{"op":"`...)
		alone = append(append(alone, g.op...), `",`...)
		return append(append(alone, fields...), '}')
	}
	return append(text, groupEnd...)
}

// Parts are the results of the operations of a group.
type Parts struct {
	result Result // of the command
	next   int    // the number of the next operation
	text   jsontext.Scanner
}

// Parts returns the results of the operations of a group, of which r is the result.
func (r *Result) Parts() Parts { return Parts{result: *r} }

// Next returns the result of the next operation, as it would be alone. It returns false if there is none, or if the
// result is not that of a group.
func (p *Parts) Next() (Result, bool) {
	defer func() { p.next++ }()
	switch r := &p.result; {
	case r.Code != "":
		return *r, true // of the whole
	case r.txn != nil:
		if p.next >= len(r.txn.steps) {
			return Result{}, false
		}
		return r.txn.steps[p.next].result, true
	case len(r.Value) == 0:
		return *r, p.next == 0 // of one operation
	}
	return p.parse()
}

// parse reads what txnResult.appendJSON wrote on another node.
func (p *Parts) parse() (Result, bool) {
	s := &p.text
	if p.next == 0 {
		*s = jsontext.Scan(p.result.Value)
		s.Want(`{"succeeded":true,"results":[`)
	} else {
		s.Want(",")
	}
	if !s.Take(`{"put":{`) {
		s.Want(`{"set":{`)
	}
	part := Result{Revision: s.Uint(`"revision":`)}
	part.Created = s.Bool(`,"created":`)
	return part, s.Want("}}")
}
