package kv

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modelTxn is a transaction by its definition: a map, one operation after the other, and an undo.
type modelTxn struct {
	keys    map[string]Record
	before  map[string]Record
	changed map[string]bool
	entry   Entry
}

var errModel = fmt.Errorf("refused")

// run returns the results as JSON, and errModel, with the keys as they were, if the transaction is refused.
func (m *modelTxn) run(t *Txn) (string, error) {
	m.before = maps.Clone(m.keys)
	m.changed = map[string]bool{}
	operations, holds := t.Then, true
	for i := range t.If {
		holds = holds && m.holds(&t.If[i])
	}
	if !holds {
		operations = t.Else
	}
	var results []string
	for _, o := range operations {
		result, err := m.do(o)
		if err != nil {
			m.keys = m.before
			return "", err
		}
		results = append(results, fmt.Sprintf(`{"%s":{%s}}`, o.Op(), result))
	}
	return fmt.Sprintf(`{"succeeded":%t,"results":[%s]}`, holds, strings.Join(results, ",")), nil
}

// selected returns the keys that are there.
func (m *modelTxn) selected(key []byte, r *Range) []string {
	var found []string
	for _, k := range slices.Sorted(maps.Keys(m.keys)) {
		if r == nil && k == string(key) || r != nil && strings.HasPrefix(k, string(r.Prefix)) && k >= string(r.From) &&
			(len(r.To) == 0 || k < string(r.To)) {
			found = append(found, k)
		}
	}
	return found
}

func (m *modelTxn) isChanged(key string) bool { return m.changed[key] }

func (m *modelTxn) holds(c *Compare) bool {
	selected := m.selected(c.Key, c.Range)
	if c.Range == nil && len(selected) == 0 {
		return c.Attribute == Exists && !c.Is || c.Attribute != Exists && c.Attribute != Value &&
			modelOrder(c.Operator, cmp.Compare(0, c.Number))
	}
	for _, key := range selected {
		r := m.keys[key]
		order := 0
		switch c.Attribute {
		case Exists:
			if !c.Is {
				return false
			}
			continue
		case Value:
			order = bytes.Compare(r.Value, c.Value)
		case Revision:
			order = cmp.Compare(r.ModRevision, c.Number)
		case CreateRevision:
			order = cmp.Compare(r.CreateRevision, c.Number)
		case Version:
			order = cmp.Compare(r.Version, c.Number)
		}
		if !modelOrder(c.Operator, order) {
			return false
		}
	}
	return true
}

func modelOrder(o Operator, order int) bool {
	return map[Operator]bool{Equal: order == 0, NotEqual: order != 0, Less: order < 0, Greater: order > 0}[o]
}

func (m *modelTxn) do(o Operation) (string, error) {
	switch o := o.(type) {
	case *Put:
		return m.write(o.Key, o.Value, TypeBytes, o.If)
	case *Set:
		return m.write(o.Key, o.Value, TypeJSON, o.If)
	case *Delete:
		selected := m.selected(o.Key, o.Range)
		if o.If != (Condition{}) && !m.meets(o.Key, o.If) {
			return "", errModel
		}
		if o.Range == nil && m.changed[string(o.Key)] {
			return "", errModel
		}
		m.changed[string(o.Key)] = true
		if o.Range != nil { // which also selects what was there before the transaction
			before := modelTxn{keys: m.before}
			if slices.ContainsFunc(append(before.selected(nil, o.Range), selected...), m.isChanged) {
				return "", errModel
			}
		}
		for _, key := range selected {
			m.changed[key] = true
			delete(m.keys, key)
		}
		return fmt.Sprintf(`"deleted":%d`, len(selected)), nil
	case *Incr:
		r, ok := m.keys[string(o.Key)]
		n, err := strconv.ParseInt(string(r.Value), 10, 64)
		if ok && err != nil {
			return "", errModel
		}
		text := fmt.Sprint(n + o.By)
		_, err = m.write(o.Key, []byte(text), cmp.Or(r.ContentType, TypeJSON), Condition{})
		return `"value":` + text, err
	case *CAS:
		r, ok := m.keys[string(o.Key)]
		if ok != (string(o.Expected) != "null") || ok && string(viewOf(r.Value, r.ContentType)) != string(o.Expected) {
			return "", errModel
		}
		_, err := m.write(o.Key, o.Value, TypeJSON, Condition{})
		return `"swapped":true`, err
	case *Count:
		return fmt.Sprintf(`"count":%d`, len(m.selected(o.Key, o.Range))), nil
	}
	return m.read(o.(*Read)), nil
}

func (m *modelTxn) read(o *Read) string {
	selected := m.selected(o.Key, o.Range)
	more := ""
	if o.Limit > 0 && len(selected) > o.Limit {
		more = `,"more":true`
		selected = selected[:o.Limit]
	}
	var records []string
	for _, key := range selected {
		r := m.keys[key]
		value := fmt.Sprintf(`"value":%s,`, viewOf(r.Value, r.ContentType))
		if o.KeysOnly {
			value = ""
		}
		records = append(records, fmt.Sprintf(`{"key":"%s",%s"content_type":"%s","revision":%d,"create_revision":%d,`+
			`"version":%d,"modified":%d}`, key, value, r.ContentType, r.ModRevision, r.CreateRevision, r.Version,
			r.Modified/1e6))
	}
	return `"records":[` + strings.Join(records, ",") + `]` + more
}

func (m *modelTxn) meets(key []byte, c Condition) bool {
	r := m.keys[string(key)]
	return c.kind == noCondition || c.kind == atRevision && c.revision == r.ModRevision ||
		c.kind == isAbsent && r.Version == 0
}

func (m *modelTxn) write(key, value []byte, contentType string, c Condition) (string, error) {
	r, ok := m.keys[string(key)]
	if m.changed[string(key)] || !m.meets(key, c) {
		return "", errModel
	}
	m.changed[string(key)] = true
	if !ok {
		r = Record{Key: string(key), CreateRevision: m.entry.Revision}
	}
	r.Value, r.ContentType, r.ModRevision, r.Modified = value, contentType, m.entry.Revision, m.entry.Timestamp
	r.Version++
	m.keys[r.Key] = r
	return fmt.Sprintf(`"revision":%d,"created":%t`, m.entry.Revision, !ok), nil
}

// dice draws transactions over a few keys, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) key() []byte { return []byte{"ab"[d.IntN(2)], "abc"[d.IntN(3)]} }

func (d dice) keys() ([]byte, *Range) {
	switch d.IntN(4) {
	case 0:
		return nil, &Range{Prefix: []byte{"abc"[d.IntN(3)]}}
	case 1:
		return nil, &Range{From: d.key(), To: d.key()}
	}
	return d.key(), nil
}

func (d dice) condition() Condition {
	return []Condition{{}, {}, {}, {}, Absent(), AtRevision(uint64(d.IntN(40)))}[d.IntN(6)]
}

func (d dice) compare() Compare {
	c := Compare{
		Attribute: Attribute(attributes[d.IntN(len(attributes))]), Operator: Operator(operators[d.IntN(len(operators))]),
		Number: uint64(d.IntN(30)),
	}
	c.Key, c.Range = d.keys()
	switch c.Attribute {
	case Exists:
		c.Operator, c.Is, c.Number = "", d.IntN(2) == 0, 0
	case Value:
		c.Value, c.Number = fmt.Append(nil, d.IntN(5)), 0
	case Version:
		c.Number %= 4
	}
	return c
}

func (d dice) operation() Operation {
	switch d.IntN(8) {
	case 0:
		return &Set{Key: d.key(), Value: fmt.Append(nil, d.IntN(5)), If: d.condition()}
	case 1:
		return &Incr{Key: d.key(), By: int64(d.IntN(5)) - 2}
	case 2:
		expected := []string{"null", "0", "1", `"text"`}[d.IntN(4)]
		return &CAS{Key: d.key(), Expected: []byte(expected), Value: fmt.Append(nil, d.IntN(5))}
	case 3:
		o := &Delete{}
		if o.Key, o.Range = d.keys(); o.Range == nil && d.IntN(3) == 0 {
			o.If = AtRevision(uint64(d.IntN(40)))
		}
		return o
	case 4:
		o := &Read{KeysOnly: d.IntN(2) == 0}
		if o.Key, o.Range = d.keys(); o.Range != nil {
			o.Limit = d.IntN(4)
		}
		return o
	case 5:
		o := &Count{}
		o.Key, o.Range = d.keys()
		return o
	}
	return &Put{Key: d.key(), Value: []byte([]string{"text", "0", "1"}[d.IntN(3)]), If: d.condition()}
}

func (d dice) txn() *Txn {
	t := &Txn{}
	for range d.IntN(3) {
		t.If = append(t.If, d.compare())
	}
	for range 1 + d.IntN(4) {
		t.Then = append(t.Then, d.operation())
	}
	for range d.IntN(4) {
		t.Else = append(t.Else, d.operation())
	}
	return t
}

// A transaction does what its operations do one after the other, or nothing, although every change is decided before
// any is made.
func TestTransactionsDoWhatASequentialModelDoes(t *testing.T) {
	t.Parallel()
	done, refused := 0, 0
	for seed := range uint64(300) {
		d := dice{rand.New(rand.NewPCG(seed, 1))}
		s, m := New(), &modelTxn{keys: map[string]Record{}}
		for revision := uint64(1); revision <= 40; revision++ {
			txn := d.txn()
			m.entry = Entry{Revision: revision, Timestamp: int64(revision) * 1e6}
			want, err := m.run(txn)
			r := s.applyText(revision, txn.AppendJSON(nil))
			if (r.Code != "") != (err != nil) || err == nil && string(r.JSON()) != want {
				t.Fatalf("seed %d, revision %d: %s\n got %s %s %s\nwant %s, %v", seed, revision, txn.AppendJSON(nil), r.Code,
					r.Message, r.JSON(), want, err)
			}
			if err != nil {
				refused++
				continue
			}
			done++
		}
		checkModel(t, s, m.keys)
	}
	if done < 1000 || refused < 1000 {
		t.Errorf("%d transactions were done, and %d refused", done, refused)
	}
}

// checkModel compares the records of a store with those of the model, which has no positions.
func checkModel(t *testing.T, s *Store, want map[string]Record) {
	t.Helper()
	all := everything(s)
	if len(all) != len(want) || s.Len() != len(want) {
		t.Fatalf("%d keys, want %d", len(all), len(want))
	}
	for _, item := range all {
		got, want := item.Record, want[item.Key]
		got.Position = 0
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}
