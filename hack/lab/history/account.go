package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Fault names a fault of a history in one word.
type Fault string

// The faults.
const (
	Lost       Fault = "lost"       // a write that was acknowledged, or read, has no effect
	Duplicated Fault = "duplicated" // a write took effect twice
	Reordered  Fault = "reordered"  // a write was ordered after one that started when it was over
	StaleRead  Fault = "stale read" // a read did not return what was acknowledged before it began; later ones do
	Phantom    Fault = "phantom"    // a read returned a value that no client wrote, or that certainly was not written
)

// Finding is one fault of a history.
type Finding struct {
	Fault Fault  `json:"fault"`
	Key   string `json:"key"`
	Text  string `json:"text"`
	// Serials are those of the operations that show it.
	Serials []int `json:"serials,omitempty"`
}

// String describes it.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Fault, f.Key, f.Text) }

// Account looks for writes that were lost, duplicated or reordered, and for reads that were stale or returned a value
// that no client wrote. It uses what Check does not, revisions and versions, and can name what Check only finds
// impossible. The last read of every key that is not stale counts as the truth, so each key should be read at the end.
// A write of unknown outcome may be missing or present, but may not count twice.
func Account(operations []Operation) []Finding {
	findings := outOfOrder(operations)
	keys := make(map[string]*keyHistory)
	for i := range operations {
		o := &operations[i]
		if keys[o.Key] == nil {
			keys[o.Key] = &keyHistory{key: o.Key}
		}
		keys[o.Key].enter(o)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		l := keys[key]
		if l.counter {
			l.checkCounts()
		} else {
			l.checkNumbers()
			l.checkVersions()
		}
		l.checkReads()
		findings = append(findings, l.findings...)
	}
	return findings
}

// outOfOrder finds acknowledged writes with the revision of another that they cannot share, or with one below that of
// another that was over before they began: revisions are the total order of all writes, but for puts of different keys
// that were in one batch.
func outOfOrder(operations []Operation) []Finding {
	var byCall, byReturn []*Operation
	for i := range operations {
		if o := &operations[i]; o.IsWrite() && o.Outcome == OK && o.Revision > 0 {
			byCall, byReturn = append(byCall, o), append(byReturn, o)
		}
	}
	slices.SortFunc(byCall, func(a, b *Operation) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortFunc(byReturn, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	var findings []Finding
	var before *Operation
	holders := make(map[uint64][]*Operation, len(byCall))
	for _, o := range byCall {
		if other := excludes(holders[o.Revision], o); other != nil {
			findings = append(findings, Finding{
				Lost, o.Key,
				fmt.Sprintf("the %s and the %s of %s were both acknowledged with revision %d: only one of them can have it",
					o.what(), other.what(), other.Key, o.Revision),
				[]int{other.Serial, o.Serial},
			})
			continue
		}
		holders[o.Revision] = append(holders[o.Revision], o)
		for len(byReturn) > 0 && byReturn[0].Return < o.Call {
			if before == nil || byReturn[0].Revision > before.Revision {
				before = byReturn[0]
			}
			byReturn = byReturn[1:]
		}
		if before != nil && o.Revision <= before.Revision {
			findings = append(findings, Finding{
				Reordered, o.Key,
				fmt.Sprintf("the %s got revision %d, though the %s of %s was over before it began, with revision %d",
					o.what(), o.Revision, before.what(), before.Key, before.Revision),
				[]int{before.Serial, o.Serial},
			})
		}
	}
	return findings
}

// excludes returns one of the writes with a revision that another write cannot share it with; nil if there is none.
func excludes(holders []*Operation, o *Operation) *Operation {
	for _, other := range holders {
		if other.Kind != Put || o.Kind != Put || other.Key == o.Key {
			return other
		}
	}
	return nil
}

// what describes an operation.
func (o *Operation) what() string {
	at := ""
	if o.Node > 0 {
		at = fmt.Sprintf(" at node %d", o.Node)
	}
	switch o.Kind {
	case Incr:
		return fmt.Sprintf("incr by %d%s", o.By, at)
	case CAS:
		return fmt.Sprintf("cas to %d%s", o.New, at)
	}
	return fmt.Sprintf("%s of %d%s", o.Kind, o.Value, at)
}

// done reports whether the operation certainly wrote.
func (o *Operation) done() bool {
	return o.IsWrite() && o.Outcome == OK && (o.Kind != CAS || o.Swapped)
}

// keyHistory is the history of one key.
type keyHistory struct {
	key      string
	counter  bool
	writes   []*Operation // whatever their outcome
	reads    []*Operation // with success
	last     *Operation   // the last of the reads that is not stale
	findings []Finding
}

func (l *keyHistory) enter(o *Operation) {
	switch {
	case o.IsWrite():
		l.writes = append(l.writes, o)
		l.counter = l.counter || o.Kind == Incr
	case o.Outcome == OK:
		l.reads = append(l.reads, o)
		if !o.Stale && (l.last == nil || o.Call > l.last.Call) {
			l.last = o
		}
	}
}

func (l *keyHistory) find(fault Fault, shown []*Operation, format string, args ...any) {
	f := Finding{Fault: fault, Key: l.key, Text: fmt.Sprintf(format, args...)}
	for _, o := range shown {
		f.Serials = append(f.Serials, o.Serial)
	}
	l.findings = append(l.findings, f)
}

// checkCounts checks the digits of a counter.
func (l *keyHistory) checkCounts() {
	written := int64(0)
	for _, w := range l.writes {
		written += 3 * w.By
		l.checkCount(w)
	}
	for _, o := range slices.Concat(l.writes, l.reads) {
		if o.Outcome == OK && o.Value&^written != 0 {
			l.find(Phantom, []*Operation{o}, "the %s shows a sum that no client added", o.what())
		}
	}
}

// checkCount checks one increment.
func (l *keyHistory) checkCount(w *Operation) {
	for _, o := range slices.Concat(l.writes, l.reads) {
		times := counted(o.Value, w.By)
		if o.Outcome != OK || times == 0 {
			continue
		}
		shown := []*Operation{w, o}
		switch {
		case w.Outcome == Fail:
			l.find(Phantom, shown, "the %s was refused, but counted", w.what())
			return
		case times > 1:
			l.find(Duplicated, shown, "the %s was counted %d times", w.what(), times)
			return
		case o.Return < w.Call:
			l.find(Phantom, shown, "the %s was counted before it was sent", w.what())
			return
		}
	}
	if w.Outcome == OK && l.last != nil && l.last.Call > w.Return && counted(l.last.Value, w.By) == 0 {
		l.find(Lost, []*Operation{w, l.last}, "the %s was acknowledged, but is not counted at the end", w.what())
	}
}

// checkNumbers checks the numbers that a register showed: that a client wrote each, and that each appeared only once.
func (l *keyHistory) checkNumbers() {
	writers, shown := make(map[int64]*Operation), make(map[int64]*Operation)
	for _, w := range l.writes {
		writers[w.written()] = w
		if w.done() && w.Revision > 0 {
			shown[w.written()] = w
		}
	}
	for _, r := range l.reads {
		if r.Value == 0 {
			continue
		}
		switch w := writers[r.Value]; {
		case w == nil:
			l.find(Phantom, []*Operation{r}, "the %s shows a number that no client wrote", r.what())
		case w.Outcome == Fail || w.Outcome == OK && !w.done():
			l.find(Phantom, []*Operation{w, r}, "the %s was refused, but read", w.what())
		case r.Return < w.Call:
			l.find(Phantom, []*Operation{w, r}, "the %s was read before it was sent", w.what())
		case shown[r.Value] == nil:
			shown[r.Value] = r
		case r.Revision > 0 && shown[r.Value].Revision > 0 && shown[r.Value].Revision != r.Revision:
			l.find(Duplicated, []*Operation{w, r}, "the %s was written at revision %d and at revision %d", w.what(),
				shown[r.Value].Revision, r.Revision)
		}
	}
}

// checkVersions counts the changes of a register, which shows a loss even if a later write overwrote the value.
func (l *keyHistory) checkVersions() {
	if l.last == nil || l.last.Version == 0 && l.last.Value != 0 {
		return // the response had no version
	}
	done, perhaps := 0, 0
	for _, w := range l.writes {
		switch {
		case w.done() && w.Return < l.last.Call || w.Outcome == Unknown && l.wasRead(w):
			done++
		case w.done() || w.Outcome == Unknown:
			perhaps++
		}
	}
	changes := int(l.last.Version)
	switch missing := l.missing(); {
	case len(missing) > 0:
		l.find(Lost, append(missing, l.last), "the %s was acknowledged, but at the end its revision is not in the key's past",
			missing[0].what())
	case changes < done:
		l.find(Lost, []*Operation{l.last}, "%d writes were done, but at the end the key had had %d changes", done, changes)
	case changes > done+perhaps && len(l.findings) == 0: // no other finding describes it
		l.find(Duplicated, []*Operation{l.last}, "%d writes may have been done, but at the end the key had had %d changes",
			done+perhaps, changes)
	}
}

// wasRead reports whether a read that was over before the last one showed the number of a write.
func (l *keyHistory) wasRead(w *Operation) bool {
	return slices.ContainsFunc(l.reads, func(r *Operation) bool {
		return r.Value == w.written() && (r == l.last || r.Return < l.last.Call)
	})
}

// missing lists the writes that were certainly lost: their revision is higher than the last.
func (l *keyHistory) missing() []*Operation {
	var lost []*Operation
	for _, w := range l.writes {
		if w.done() && w.Return < l.last.Call && w.Revision > l.last.Revision {
			lost = append(lost, w)
		}
	}
	return lost
}

// checkReads looks for reads that may not be stale and show less than was acknowledged before they began. What the
// last read does not show either is lost, and found already.
func (l *keyHistory) checkReads() {
	for _, r := range l.reads {
		if r.Stale || r == l.last {
			continue
		}
		for _, w := range l.writes {
			if w.done() && w.Return < r.Call && !l.shows(r, w) && l.shows(l.last, w) {
				l.find(StaleRead, []*Operation{w, r}, "the %s does not show the %s, which was over before it began", r.what(),
					w.what())
				break
			}
		}
	}
}

// shows reports whether a read shows a write, or a later one.
func (l *keyHistory) shows(r, w *Operation) bool {
	if l.counter {
		return counted(r.Value, w.By) > 0
	}
	return w.Revision == 0 || r.Revision >= w.Revision
}
