package kv

import (
	"fmt"
	"testing"
)

// What a command may add is counted before it is applied, so the bound must hold for each operation, alone and in a
// transaction, on an empty store and on one that has the keys.
func TestGrowthBoundsWhatACommandAdds(t *testing.T) {
	t.Parallel()
	writes := []Operation{
		&Put{Key: []byte("k")}, &Put{Key: []byte("k"), Value: make([]byte, 5000), ContentType: "text/plain"},
		&Put{Key: []byte("\x01\"k"), Value: []byte("\x00\xff\xfe")},
		&Set{Key: []byte("k"), Value: []byte(`{"put":{"key":1}}`)}, &Incr{Key: []byte("n"), By: 1},
		&CAS{Key: []byte("k"), Expected: []byte("null"), Value: []byte(`"some longer text"`)},
	}
	removes := []Operation{&Delete{Key: []byte("k")}, &Delete{Key: []byte("absent")}}
	var all []Operation
	for i, o := range writes {
		all = append(all, o, &Txn{Then: []Operation{o, removes[1]}}, &Txn{If: present("x"), Else: []Operation{o}})
		if !MayGrow(o.AppendJSON(nil)) || !MayGrow(all[3*i+1].AppendJSON(nil)) || !MayGrow(all[3*i+2].AppendJSON(nil)) {
			t.Errorf("%s may add bytes, alone or in a transaction", o.AppendJSON(nil))
		}
	}
	many := &Txn{}
	for i := range MaxTxnOperations {
		many.Then = append(many.Then, &Incr{Key: fmt.Appendf(nil, "%d", i), By: 1})
	}
	all = append(all, many)
	for _, o := range removes {
		all = append(all, o, &Txn{Then: []Operation{o}}, &Txn{If: present("x"), Then: []Operation{o}, Else: []Operation{o}})
	}
	for _, o := range all[3*len(writes)+1:] {
		if MayGrow(o.AppendJSON(nil)) {
			t.Errorf("%s only removes", o.AppendJSON(nil))
		}
	}
	for _, o := range all {
		s := New()
		for revision := range uint64(2) {
			before := s.Stats().LiveBytes
			result := s.Apply(Entry{Revision: revision + 1, Command: o.AppendJSON(nil)})
			if added := s.Stats().LiveBytes - before; added > Growth(o.AppendJSON(nil)) {
				t.Errorf("%.100s added %d bytes, and the bound is %d (%+v)", o.AppendJSON(nil), added,
					Growth(o.AppendJSON(nil)), result)
			}
		}
	}
}

// What a group may add is about what its puts may add alone, whatever the values look like.
func TestAGroupMayAddWhatItsPutsMayAdd(t *testing.T) {
	t.Parallel()
	value := []byte(`{"a":{"b":{"c":{"d":[{"e":{"f":1}},{"e":{"f":2}}]}}}}`)
	var g Group
	alone := int64(0)
	for i := range mostGrouped {
		p := &Put{Key: fmt.Append(nil, i), Value: value, ContentType: TypeJSON}
		alone += Growth(p.AppendJSON(nil))
		g.Add(p)
	}
	command := g.Take()
	if together := Growth(command); together > alone || together < alone/2 {
		t.Errorf("a group may add %d bytes, and its puts alone %d", together, alone)
	}
	if !MayGrow(command) {
		t.Error("a group of puts may add bytes")
	}
}

// present is a comparison that holds if the key is there.
func present(key string) []Compare {
	return []Compare{{Key: []byte(key), Attribute: Exists, Is: true}}
}

// Whatever is no command that only removes is taken for one that adds: an older version may have let it into the log.
func TestForeignCommandsMayGrow(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		``, `{`, `{"op":"`, `{"op":"put"`, `{"op":"txn"`, `{"op":"noop"}`, ` {"op":"delete"}`, `[]`,
	} {
		if !MayGrow([]byte(command)) || Growth([]byte(command)) <= 0 {
			t.Errorf("%q: %v, %d", command, MayGrow([]byte(command)), Growth([]byte(command)))
		}
	}
}
