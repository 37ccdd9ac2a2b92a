package kv

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// grouped applies commands as groups, and returns the result of each as the node that applied them has it, and as
// another node receives it.
func (s *Store) grouped(t *testing.T, commands []Operation) (here, there []Result) {
	t.Helper()
	var g Group
	members := 0
	end := func() {
		command := g.Take()
		if command == nil {
			return
		}
		checkAdmitted(t, command)
		r := s.applyText(s.Applied()+1, command)
		sent, err := ParseResult(r.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		mine, theirs := r.Parts(), sent.Parts()
		for range members {
			a, okA := mine.Next()
			b, okB := theirs.Next()
			if !okA || !okB {
				t.Fatalf("%s: a result is missing: %s", command, r.JSON())
			}
			here, there = append(here, a), append(there, b)
		}
		if r, more := mine.Next(); more {
			t.Fatalf("%s: there is one result more: %+v", command, r)
		}
		members = 0
	}
	for _, o := range commands {
		if g.Add(o) {
			members++
			continue
		}
		end()
		if g.Add(o) {
			members++
			continue
		}
		r := s.applyText(s.Applied()+1, o.AppendJSON(nil))
		here, there = append(here, r), append(there, r)
	}
	end()
	return here, there
}

// checkAdmitted checks that any node accepts a command, and takes it as it is.
func checkAdmitted(t *testing.T, command []byte) {
	t.Helper()
	admitted, err := Admit(command)
	if err != nil || &admitted[0] != &command[0] {
		t.Fatalf("%.200s is not the canonical form of a valid command: %v", command, err)
	}
	if op := opOf(command); op != OpTxn && op != OpPut && op != OpSet {
		t.Fatalf("the command of a group has op %q", op)
	}
}

// Writes have the same results in groups as alone, and leave the same records, but for the revisions.
func TestAWriteInAGroupDoesWhatItDoesAlone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		alone, together := New(), New()
		for range 3 {
			var commands []Operation
			for range r.IntN(20) {
				commands = append(commands, anyWrite(r))
			}
			here, there := together.grouped(t, commands)
			for i, o := range commands {
				want := alone.applyText(alone.Applied()+1, o.AppendJSON(nil))
				for _, got := range []Result{here[i], there[i]} {
					if got.Code != want.Code || got.Created != want.Created || got.Deleted != want.Deleted ||
						got.Swapped != want.Swapped || !bytes.Equal(got.JSON(), want.JSON()) ||
						(got.Revision == 0) != (want.Revision == 0) {
						t.Fatalf("seed %d: %s: %+v in a group, %+v alone", seed, o.AppendJSON(nil), got, want)
					}
				}
			}
		}
		checkSameContent(t, alone, together)
	}
}

// anyWrite returns a write of one of a few keys. Its outcome does not depend on revisions.
func anyWrite(r *rand.Rand) Operation {
	key := []byte(fmt.Sprintf("k\n%d", r.IntN(8)))
	value := fmt.Appendf(nil, "%d", r.IntN(100))
	switch r.IntN(10) {
	case 0:
		return &Delete{Key: key}
	case 1:
		return &Incr{Key: key, By: 1}
	case 2:
		return &Put{Key: key, Value: value, If: Absent()}
	case 3:
		return &Set{Key: key, Value: value, If: Absent()}
	case 4, 5:
		return &Set{Key: key, Value: value}
	case 6:
		return &Put{Key: key, Value: value, ContentType: TypeJSON}
	case 7:
		return &Put{Key: key, Value: []byte{0xff, 0}, ContentType: "image/png"}
	}
	return &Put{Key: key, Value: value}
}

// checkSameContent compares the keys of two stores without their revisions.
func checkSameContent(t *testing.T, a, b *Store) {
	t.Helper()
	content := func(s *Store) string {
		var text strings.Builder
		for key := range 8 {
			if _, r := s.find(fmt.Appendf(nil, "k\n%d", key)); r != nil {
				fmt.Fprintf(&text, "%q %q %s %d\n", r.Key, r.Value, r.ContentType, r.Version)
			}
		}
		return text.String()
	}
	if content(a) != content(b) {
		t.Fatalf("alone:\n%sin groups:\n%s", content(a), content(b))
	}
}

// A group ends before what must not, or need not, be in it.
func TestWhatAGroupTakes(t *testing.T) {
	t.Parallel()
	put := func(key string, bytes int) *Put { return &Put{Key: []byte(key), Value: make([]byte, bytes)} }
	var g Group
	if g.Take() != nil {
		t.Error("an empty group has a command")
	}
	for i := range mostGrouped {
		if !g.Add(put(fmt.Sprint(i), 1)) {
			t.Fatalf("put %d is refused", i)
		}
	}
	if g.Add(put("more", 1)) {
		t.Errorf("a group takes more than %d", mostGrouped)
	}
	checkAdmitted(t, g.Take())
	for name, second := range map[string]Operation{
		"the same key":      &Set{Key: []byte("a"), Value: []byte("1")},
		"a revision":        &Put{Key: []byte("b"), If: AtRevision(1)},
		"an absent key":     &Set{Key: []byte("b"), Value: []byte("1"), If: Absent()},
		"a delete":          &Delete{Key: []byte("b")},
		"an increment":      &Incr{Key: []byte("b"), By: 1},
		"too much together": put("b", MaxValueBytes),
	} {
		if !g.Add(put("a", 1)) || g.Add(second) {
			t.Errorf("%s: is taken", name)
		}
		if alone := g.Take(); string(alone) != string(put("a", 1).AppendJSON(nil)) {
			t.Errorf("%s: a group of one is %s", name, alone)
		}
	}
	if !g.Add(put("a", MaxValueBytes)) || g.Add(put("b", 1)) {
		t.Error("a long value does not stand alone")
	}
	checkAdmitted(t, g.Take())
}

// The results of puts have no stored values; those of a transaction that reads have, on each node.
func TestStoredValuesInResults(t *testing.T) {
	t.Parallel()
	s := New()
	for _, c := range []struct {
		command string
		want    bool
	}{
		{`{"op":"txn","then":[{"put":{"key":"a","value":"1"}},{"set":{"key":"b","value":1}}]}`, false},
		{`{"op":"txn","then":[{"put":{"key":"a","value":"1"}},{"get":{"key":"a"}}]}`, true},
		{`{"op":"cas","key":"b","expected":7,"value":2}`, true},
		{`{"op":"txn","then":[{"put":{"key":"b","value":"1"}},{"incr":{"key":"n","by":1}},{"count":{"prefix":"a"}}]}`, false},
	} {
		command, want := c.command, c.want
		here := s.applyText(s.Applied()+1, []byte(command))
		there, err := ParseResult(here.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := here.ValueSize([]byte(command)), there.ValueSize([]byte(command)); a > 0 != want || b > 0 != want {
			t.Errorf("%s: %d bytes of stored values where it was applied, and %d elsewhere", command, a, b)
		}
	}
}

// A refusal of the whole is that of each part; a result that no group has gives none.
func TestPartsOfForeignResults(t *testing.T) {
	t.Parallel()
	refused := Result{Code: CodeTooLarge, Message: "no"}
	parts := refused.Parts()
	for range 3 {
		if r, ok := parts.Next(); !ok || r.Code != CodeTooLarge {
			t.Errorf("the part of a refused group is %+v, %t", r, ok)
		}
	}
	for _, value := range []string{
		`{}`, `7`, `{"succeeded":true,"results":[]}`, `{"succeeded":false,"results":[{"put":{"revision":1,"created":true}}]}`,
		`{"succeeded":true,"results":[{"delete":{"deleted":1}}]}`,
	} {
		foreign := Result{Revision: 5, Value: []byte(value)}
		parts := foreign.Parts()
		if r, ok := parts.Next(); ok {
			t.Errorf("%s has a part, %+v", value, r)
		}
	}
}

func BenchmarkApplyGroup(b *testing.B) {
	s, value := New(), []byte(strings.Repeat("v", 256))
	var commands [][]byte
	for i := range 128 {
		var g Group
		for j := range 128 {
			g.Add(&Put{Key: fmt.Appendf(nil, "bench/key/%08d", (i*128+j)*7919%10_000), Value: value})
		}
		commands = append(commands, g.Take())
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.applyText(s.Applied()+1, commands[i%len(commands)])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/128, "ns/put")
}
