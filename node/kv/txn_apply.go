package kv

import "fmt"

// A transaction is applied in two phases. First the comparisons choose a branch, and every change of the branch is
// decided by the state before the transaction: the keys are distinct, so no decision depends on another one. A refusal
// refuses all, and nothing was changed. Then the changes are made in their order, and each read happens at its place.

// transaction is a Txn that is being applied.
type transaction struct {
	store *Store
	entry Entry

	visits  int // that are left
	bytes   int // of results that are left
	steps   []step
	changes []change
	changed map[string]int // index among changes, by key; unchanged: an operation names the key, and leaves it as it is
	written []int          // the changes that do not remove a key
	result  txnResult
}

const unchanged = -1

// step is an operation of the chosen branch.
type step struct {
	op     Operation
	result Result // of a change
	until  int    // end of its changes among all
}

// transact applies a transaction.
func (s *Store) transact(t *Txn, e Entry) Result {
	x := transaction{
		store: s, entry: e, visits: MaxTxnVisits, bytes: MaxTxnResultBytes,
		changes: s.pending[:0], changed: s.changed, steps: s.steps[:0],
	}
	defer func() {
		t.reset()
		s.recycle(x.changes)
		s.recycleSteps(x.steps)
	}()
	holds, refusal := x.compare(t.If)
	if refusal != nil {
		return *refusal
	}
	branch, operations := "then", t.Then
	if !holds {
		branch, operations = "else", t.Else
	}
	for i, o := range operations {
		if refusal := x.decide(o); refusal != nil {
			refusal.Message = fmt.Sprintf("%s[%d].%s: %s", branch, i, o.Op(), refusal.Message)
			return *refusal
		}
	}
	x.result.succeeded = holds
	return x.carryOut()
}

// compare reports whether every comparison holds.
func (x *transaction) compare(list []Compare) (bool, *Result) {
	for i := range list {
		c := &list[i]
		if c.Range == nil {
			if _, r := x.store.find(c.Key); !c.holds(r) {
				return false, nil
			}
			continue
		}
		w := x.walk(c.Range)
		for v := w.next(); v != nil; v = w.next() {
			if c.Attribute == Value {
				w.visits -= min(w.visits, min(len(v.Value), len(c.Value))>>10)
			}
			if !c.holds(&v.Record) {
				return false, nil
			}
		}
		if !x.visited(w) {
			refusal := tooManyVisits()
			refusal.Message = fmt.Sprintf("if[%d]: %s", i, refusal.Message)
			return false, refusal
		}
	}
	return true, nil
}

// walk goes through the keys of a range, within the visits that are left.
func (x *transaction) walk(r *Range) *walk { return x.store.walkWithin(r, x.visits) }

// visited notes the visits of a walk, and reports whether the walk came to its end.
func (x *transaction) visited(w *walk) bool {
	x.visits = w.visits
	return w.rest == ""
}

func tooManyVisits() *Result {
	return &Result{Code: CodeTooLarge, Limit: MaxTxnVisits, Message: fmt.Sprintf(
		"the transaction would visit more than %d keys; select fewer keys; nothing was changed", MaxTxnVisits)}
}

// decide decides an operation by the state before the transaction. It returns a refusal, or nil.
func (x *transaction) decide(o Operation) *Result {
	switch o := o.(type) {
	case *Read:
		return x.reserve(o)
	case *Count:
		x.steps = append(x.steps, step{op: o, until: len(x.changes)})
		return nil
	case *Delete:
		if o.Range != nil {
			return x.decideRange(o)
		}
	}
	return x.decideKey(o, changedKey(o))
}

// decideKey decides an operation that changes one key.
func (x *transaction) decideKey(o Operation, key []byte) *Result {
	if _, twice := x.changed[string(key)]; twice {
		return changedTwice(string(key))
	}
	before := len(x.changes)
	var result Result
	result, x.changes = o.(decider).decide(x.store, x.entry, x.changes)
	if cas, is := o.(*CAS); is && !result.Swapped {
		result = cas.refused(x.store)
	}
	if result.Code != "" {
		return &result
	}
	if len(x.changes) == before {
		x.changed[string(key)] = unchanged
	} else {
		c := &x.changes[before]
		x.changed[c.name()] = before
		if c.kind == written {
			x.written = append(x.written, before)
		}
	}
	x.steps = append(x.steps, step{op: o, result: result, until: len(x.changes)})
	return nil
}

func changedTwice(key string) *Result {
	return &Result{Code: CodeConflict, Message: fmt.Sprintf(
		"key %q is changed by an operation before this one; change a key once in a transaction; nothing was changed",
		abbreviate(key))}
}

// decideRange decides the delete of a range. A key that an operation before it creates is not there yet, but would have
// to be deleted.
func (x *transaction) decideRange(o *Delete) *Result {
	from, to := o.Range.bounds()
	for _, i := range x.written {
		if key := x.changes[i].name(); key >= from && (to == "" || key < to) {
			return changedTwice(key)
		}
	}
	before := len(x.changes)
	w := x.walk(o.Range)
	x.changes = removals(w, x.changes)
	if !x.visited(w) {
		return tooManyVisits()
	}
	for i := before; i < len(x.changes); i++ {
		key := x.changes[i].item.newest.Key
		if _, twice := x.changed[key]; twice {
			return changedTwice(key)
		}
		x.changed[key] = i
	}
	x.steps = append(x.steps, step{op: o, until: len(x.changes)})
	return nil
}

// reserve takes the bytes of a key that will be read, as it will be then, so that a transaction whose results would be
// too long is refused before it changes anything. A range is read as far as the bytes that are left allow.
func (x *transaction) reserve(o *Read) *Result {
	x.steps = append(x.steps, step{op: o, until: len(x.changes)})
	if o.Range != nil {
		return nil
	}
	record := Record{Key: string(o.Key)}
	if i, is := x.changed[record.Key]; is && i != unchanged {
		record.Value, record.ContentType = x.changes[i].value, x.changes[i].contentType
	} else if _, current := x.store.find(o.Key); current != nil {
		record = *current
	}
	if x.bytes -= recordMost(&record, o.KeysOnly); x.bytes < 0 {
		return &Result{Code: CodeTooLarge, Limit: MaxTxnResultBytes, Message: fmt.Sprintf(
			"the values that the transaction reads have more than %d bytes; read fewer, or with keys_only; nothing was changed",
			MaxTxnResultBytes)}
	}
	return nil
}

// carryOut makes the changes in their order, and reads at the places of the reads.
func (x *transaction) carryOut() Result {
	made := 0
	x.result.steps = make([]stepResult, 0, len(x.steps))
	for i := range x.steps {
		step := &x.steps[i]
		x.store.carryOut(x.entry.Revision, made, x.changes[made:step.until])
		one := stepResult{op: step.op.Op(), result: step.result, count: step.until - made}
		made = step.until
		switch o := step.op.(type) {
		case *Read:
			x.read(o, &one)
		case *Count:
			x.count(o, &one)
		}
		x.result.most += one.most()
		x.result.steps = append(x.result.steps, one)
	}
	x.result.most += len(`{"succeeded":false,"results":[]}`)
	done := x.result
	result := Result{txn: &done} // apart from x, which may stay on the stack
	if made > 0 {
		result.Revision = x.entry.Revision
	}
	return result
}

// read reads a key, whose bytes are reserved, or a range.
func (x *transaction) read(o *Read, into *stepResult) {
	into.keysOnly = o.KeysOnly
	if o.Range == nil {
		if _, r := x.store.find(o.Key); r != nil {
			into.records = append(into.records, *r)
		}
		return
	}
	limit := o.Limit
	if limit == 0 {
		limit = defaultReadKeys
	}
	w := x.walk(o.Range)
	for v := w.next(); v != nil; v = w.next() {
		most := recordMost(&v.Record, o.KeysOnly)
		if len(into.records) == limit || most > x.bytes {
			into.more = true
			break
		}
		x.bytes -= most
		into.records = append(into.records, v.Record)
	}
	into.more = !x.visited(w) || into.more
}

func (x *transaction) count(o *Count, into *stepResult) {
	if o.Range == nil {
		if _, r := x.store.find(o.Key); r != nil {
			into.count = 1
		}
		return
	}
	w := x.walk(o.Range)
	for w.next() != nil {
		into.count++
	}
	into.more = !x.visited(w) || into.more
}
