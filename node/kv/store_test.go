package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// applyText applies a command as the entry of a revision.
func (s *Store) applyText(revision uint64, command []byte) Result {
	return s.Apply(Entry{Revision: revision, Timestamp: int64(revision) * 1e6, Command: command})
}

// A test case is a log, and the expected result of each entry.
type story []struct {
	command string
	want    Result
}

func (story story) tell(t *testing.T) *Store {
	t.Helper()
	s := New()
	for i, step := range story {
		got := s.applyText(uint64(i+1), []byte(step.command))
		if step.want.Code != "" && got.Message == "" {
			t.Errorf("%d. %s: refused without a message", i+1, step.command)
		}
		got.Message = ""
		if !sameResult(got, step.want) {
			t.Errorf("%d. %s\n got %+v (%s)\nwant %+v (%s)",
				i+1, step.command, got, got.JSON(), step.want, step.want.Value)
		}
	}
	if s.Applied() != uint64(len(story)) {
		t.Errorf("applied %d of %d entries", s.Applied(), len(story))
	}
	return s
}

func sameResult(a, b Result) bool {
	same := string(a.JSON()) == string(b.JSON())
	a.Value, b.Value, a.found, b.found = nil, nil, nil, nil
	return same && reflect.DeepEqual(a, b)
}

// everything returns the present records of a store.
func everything(s *Store) []Item {
	page, err := s.Scan(Query{})
	if err != nil || page.Next != "" {
		panic(fmt.Sprint("a scan without limits: ", page.Next, err))
	}
	return page.Items
}

// expectRecord checks a record, whose time is that of the entry by applyText.
func expectRecord(t *testing.T, s *Store, want Record) {
	t.Helper()
	want.Modified = int64(want.ModRevision) * 1e6
	if got, ok := s.Get(want.Key); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: got %+v, %t\nwant %+v", want.Key, got, ok, want)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	s := story{
		{`{"op":"put","key":"a","value":"one"}`, Result{Revision: 1, Created: true}},
		{
			`{"op":"put","key":"b","value":"/w==","encoding":"base64","content_type":"image/png"}`,
			Result{Revision: 2, Created: true},
		},
		{`{"op":"put","key":"a","json":{"n": 1}}`, Result{Revision: 3}},
	}.tell(t)
	expectRecord(t, s, Record{
		Key: "a", Value: []byte(`{"n": 1}`), ContentType: TypeJSON, CreateRevision: 1, ModRevision: 3, Version: 2,
	})
	expectRecord(t, s, Record{
		Key: "b", Value: []byte{0xff}, ContentType: "image/png", CreateRevision: 2, ModRevision: 2, Version: 1,
	})
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	s := story{
		{`{"op":"put","key":"a","value":"1","if_revision":9}`, Result{Code: CodePreconditionFailed}},
		{`{"op":"put","key":"a","value":"1","if_absent":true}`, Result{Revision: 2, Created: true}},
		{`{"op":"put","key":"a","value":"2","if_absent":true}`, Result{Revision: 2, Code: CodePreconditionFailed}},
		{`{"op":"put","key":"a","value":"3","if_revision":1}`, Result{Revision: 2, Code: CodePreconditionFailed}},
		{`{"op":"put","key":"a","value":"4","if_revision":2}`, Result{Revision: 5}},
		{`{"op":"put","key":"a","value":"5","if_revision":0}`, Result{Revision: 5, Code: CodePreconditionFailed}},
		{`{"op":"set","key":"b","value":1,"if_revision":0}`, Result{Revision: 7, Created: true}},
		{`{"op":"set","key":"b","value":2,"if_absent":true}`, Result{Revision: 7, Code: CodePreconditionFailed}},
		{`{"op":"delete","key":"b","if_revision":6}`, Result{Revision: 7, Code: CodePreconditionFailed}},
		{`{"op":"delete","key":"b","if_revision":7}`, Result{Revision: 10, Deleted: true}},
		{`{"op":"delete","key":"b","if_revision":7}`, Result{Code: CodePreconditionFailed}},
	}.tell(t)
	expectRecord(t, s, Record{
		Key: "a", Value: []byte("4"), ContentType: TypeBytes, CreateRevision: 2, ModRevision: 5, Version: 2,
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := story{
		{`{"op":"delete","key":"a"}`, Result{}},
		{`{"op":"set","key":"a","value":1}`, Result{Revision: 2, Created: true}},
		{`{"op":"delete","key":"a"}`, Result{Revision: 3, Deleted: true}},
		{`{"op":"delete","key":"a"}`, Result{}},
		{`{"op":"set","key":"a","value":2}`, Result{Revision: 5, Created: true}},
	}.tell(t)
	expectRecord(t, s, Record{
		Key: "a", Value: []byte("2"), ContentType: TypeJSON, CreateRevision: 5, ModRevision: 5, Version: 1,
	})
}

func TestGetThroughTheLogChangesNothing(t *testing.T) {
	t.Parallel()
	s := story{
		{`{"op":"get","key":"a"}`, Result{}},
		{`{"op":"set","key":"a","value":1}`, Result{Revision: 2, Created: true}},
		{`{"op":"get","key":"a"}`, Result{Revision: 2}},
	}.tell(t)
	if s.Len() != 1 {
		t.Errorf("%d keys", s.Len())
	}
}

func TestIncr(t *testing.T) {
	t.Parallel()
	number := func(n string) []byte { return []byte(n) }
	s := story{
		{`{"op":"incr","key":"n"}`, Result{Revision: 1, Created: true, Value: number("1")}},
		{`{"op":"incr","key":"n","by":-43}`, Result{Revision: 2, Value: number("-42")}},
		{`{"op":"set","key":"n","value":9223372036854775806}`, Result{Revision: 3}},
		{`{"op":"incr","key":"n"}`, Result{Revision: 4, Value: number("9223372036854775807")}},
		{`{"op":"incr","key":"n"}`, Result{Revision: 4, Code: CodeConflict}},
		{`{"op":"set","key":"n","value":-9223372036854775808}`, Result{Revision: 6}},
		{`{"op":"incr","key":"n","by":-1}`, Result{Revision: 6, Code: CodeConflict}},
		{`{"op":"incr","key":"n","by":9223372036854775807}`, Result{Revision: 8, Value: number("-1")}},
		{`{"op":"put","key":"t","value":"41\n","content_type":"text/plain"}`, Result{Revision: 9, Created: true}},
		{`{"op":"incr","key":"t"}`, Result{Revision: 10, Value: number("42")}},
	}.tell(t)
	expectRecord(t, s, Record{
		Key: "t", Value: []byte("42"), ContentType: "text/plain", CreateRevision: 9, ModRevision: 10, Version: 2,
	})
}

func TestIncrOfWhatIsNoIntegerIsAConflictThatSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, holds := range []string{
		`1.0`, `1e2`, `null`, `true`, `"1"`, `[1]`, `{"n":1}`, `9223372036854775808`, `"é"`,
	} {
		s := New()
		s.applyText(1, []byte(`{"op":"set","key":"counter","value":`+holds+`}`))
		digest := s.Digest()
		got := s.applyText(2, []byte(`{"op":"incr","key":"counter"}`))
		if got.Code != CodeConflict || got.Revision != 1 || len(got.Value) > 0 {
			t.Errorf("%s: %+v", holds, got)
		}
		if !strings.Contains(got.Message, `"counter"`) || !strings.Contains(got.Message, holds) {
			t.Errorf("%s: message %q names neither key nor value", holds, got.Message)
		}
		s.applied, s.time = 1, 1e6 // in the digest beside the records
		if s.Digest() != digest {
			t.Errorf("%s: a refused incr changed the state", holds)
		}
	}
	for _, text := range []string{"", "+1", "007", "1_000", "0x1", "1 2", "-", "--1", "١"} {
		s := New()
		s.applyText(1, (&Put{Key: []byte("t"), Value: []byte(text)}).AppendJSON(nil))
		if got := s.applyText(2, []byte(`{"op":"incr","key":"t"}`)); got.Code != CodeConflict {
			t.Errorf("text %q: %+v", text, got)
		}
	}
}

func TestCAS(t *testing.T) {
	t.Parallel()
	swapped := func(revision uint64) Result { return Result{Revision: revision, Swapped: true} }
	s := story{
		{`{"op":"cas","key":"x","expected":1,"value":2}`, Result{Value: []byte("null")}},
		{`{"op":"cas","key":"x","expected":null,"value":1}`, Result{Revision: 2, Swapped: true, Created: true}},
		{`{"op":"cas","key":"x","expected":null,"value":2}`, Result{Revision: 2, Value: []byte("1")}},
		{`{"op":"cas","key":"x","expected":1.0,"value":{"a":1,"b":[true,"é"]}}`, swapped(4)},
		{`{"op":"cas","key":"x","expected":{"b":[true,"\u00e9"],"a":1e0},"value":null}`, swapped(5)},
		// A stored null equals null, as an absent key does: a refusal never shows the expected value.
		{`{"op":"cas","key":"x","expected":null,"value":3}`, swapped(6)},
		{`{"op":"put","key":"x","value":"three","content_type":"text/plain"}`, Result{Revision: 7}},
		{`{"op":"cas","key":"x","expected":3,"value":4}`, Result{Revision: 7, Value: []byte(`"three"`)}},
		{`{"op":"cas","key":"x","expected":"three","value":4}`, swapped(9)},
		{`{"op":"put","key":"x","value":"/w==","encoding":"base64"}`, Result{Revision: 10}},
		{`{"op":"cas","key":"x","expected":0,"value":1}`, Result{Revision: 10, Value: []byte(`"/w=="`)}},
		{
			`{"op":"put","key":"x","value":" {\n\"a\": 1}","content_type":"Application/JSON; charset=utf-8"}`,
			Result{Revision: 12},
		},
		{`{"op":"cas","key":"x","expected":0,"value":1}`, Result{Revision: 12, Value: []byte(`{"a":1}`)}},
		{`{"op":"cas","key":"x","expected":{"a":1},"value":5}`, swapped(14)},
	}.tell(t)
	expectRecord(t, s, Record{
		Key: "x", Value: []byte("5"), ContentType: TypeJSON, CreateRevision: 2, ModRevision: 14, Version: 9,
	})
}

func TestEntryWithoutACommandChangesNothing(t *testing.T) { // such as a no-op: paper, section 8
	t.Parallel()
	s := New()
	if got := s.Apply(Entry{Revision: 1, Timestamp: 1}); !sameResult(got, Result{}) || s.Applied() != 1 || s.Len() != 0 {
		t.Errorf("got %+v; %d applied, %d keys", got, s.Applied(), s.Len())
	}
}

func TestUnreadableEntriesCountAsApplied(t *testing.T) {
	t.Parallel()
	invalid := Result{Code: CodeInvalid}
	s := story{
		{``, invalid},
		{`{"op":"put","key":"a"`, invalid},
		{`{"op":"fly","key":"a"}`, invalid},
		{"\xff", invalid},
		{`{"op":"noop","key":"a"}`, invalid},
		{`{"op":"set","key":"a","value":1}`, Result{Revision: 6, Created: true}},
	}.tell(t)
	if s.Len() != 1 {
		t.Errorf("%d keys", s.Len())
	}
}

func TestLimitsDoNotDecideWhatAnEntryDoes(t *testing.T) { // T45: nodes of two versions apply one log
	t.Parallel()
	c := &Put{Key: bytes.Repeat([]byte("k"), 2*MaxKeyBytes), Value: make([]byte, MaxValueBytes+1)}
	if c.Validate() == nil {
		t.Fatal("the command is within the limits")
	}
	s := New()
	if got := s.applyText(1, c.AppendJSON(nil)); got.Code != "" || s.Len() != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestApplyOutOfOrderPanics(t *testing.T) { // T44: never twice, never with a gap
	t.Parallel()
	for _, index := range []uint64{0, 1, 3} {
		func() {
			s := New()
			s.applyText(1, nil)
			defer func() {
				message, _ := recover().(string)
				if !strings.Contains(message, fmt.Sprintf("entry %d came after entry 1", index)) {
					t.Errorf("entry %d after entry 1: panic %q", index, message)
				}
			}()
			s.applyText(index, nil)
		}()
	}
}

// randomLog returns a log whose commands share a few keys.
func randomLog(seed uint64, length int) [][]byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	values := []string{`1`, `1.0`, `"1"`, `null`, `{"a":1,"b":2}`, `{"b":2,"a":1}`, `9223372036854775807`}
	value := func() []byte { return []byte(values[rng.IntN(len(values))]) }
	ops := []Op{OpPut, OpSet, OpGet, OpDelete, OpIncr, OpCAS, OpCompact, "junk"}
	var log [][]byte
	for range length {
		op := ops[rng.IntN(len(ops))]
		f := fields{
			key: []byte("key-" + string(rune('a'+rng.IntN(8)))), value: value(), expected: value(),
			contentType: []string{"", TypeJSON, "text/plain"}[rng.IntN(3)], by: rng.Int64() - rng.Int64(),
			revision: rng.Uint64N(uint64(len(log) + 2)),
		}
		switch rng.IntN(4) {
		case 0:
			f.condition = Absent()
		case 1:
			f.condition = AtRevision(rng.Uint64N(uint64(len(log) + 1)))
		}
		if c := allOperations(f)[op]; c != nil {
			log = append(log, c.AppendJSON(nil))
			continue
		}
		log = append(log, []byte(`{"op":"junk","key":"key-a"}`))
	}
	return log
}

func TestApplyIsAFunctionOfStateAndEntry(t *testing.T) { // T45
	t.Parallel()
	for seed := range uint64(20) {
		a, b := New(), New()
		for i, entry := range randomLog(seed, 500) {
			index := uint64(i + 1)
			// The same command in another spelling takes the other path through the parser.
			first, second := a.applyText(index, entry), b.applyText(index, append([]byte(" "), entry...))
			if !sameResult(first, second) {
				t.Fatalf("seed %d, %s: %+v and %+v", seed, entry, first, second)
			}
			if a.Digest() != b.Digest() {
				t.Fatalf("seed %d: the states differ after %s", seed, entry)
			}
		}
		if !reflect.DeepEqual(everything(a), everything(b)) {
			t.Fatalf("seed %d: equal digests of different states", seed)
		}
	}
}

func TestRefusedCommandsChangeNothing(t *testing.T) {
	t.Parallel()
	s := New()
	for i, entry := range randomLog(7, 3000) {
		before, keys := everything(s), s.Len()
		r := s.applyText(uint64(i+1), entry)
		changed := !reflect.DeepEqual(before, everything(s))
		mayChange := r.Code == "" && r.Revision == uint64(i+1) // a compaction has an earlier one
		if changed != mayChange || (r.Code != "" && s.Len() != keys) {
			t.Fatalf("%s: result %+v, but changed is %t", entry, r, changed)
		}
		if r.Code != "" && (r.Created || r.Deleted || r.Swapped || r.Message == "") {
			t.Fatalf("%s: refused with %+v", entry, r)
		}
	}
}

func TestDigestSeesEveryPart(t *testing.T) {
	t.Parallel()
	logs := [][]string{
		{},
		{`{"op":"get","key":"a"}`},
		{`{"op":"put","key":"a","value":"bc"}`},
		{`{"op":"put","key":"ab","value":"c"}`},
		{`{"op":"put","key":"a","value":"bc","content_type":"text/plain"}`},
		{`{"op":"put","key":"a","value":"bc"}`, `{"op":"get","key":"a"}`},
		{`{"op":"get","key":"a"}`, `{"op":"put","key":"a","value":"bc"}`},
		{`{"op":"put","key":"a","value":"bc"}`, `{"op":"put","key":"a","value":"bc"}`},
		{`{"op":"put","key":"a","value":"bc"}`, `{"op":"delete","key":"a"}`},
	}
	var digests []uint64
	for _, log := range logs {
		s := New()
		for i, entry := range log {
			s.applyText(uint64(i+1), []byte(entry))
		}
		if slices.Contains(digests, s.Digest()) {
			t.Errorf("%v has the digest of another state", log)
		}
		digests = append(digests, s.Digest())
	}
}

// FuzzApply checks that no input makes Apply panic or makes the reads of a store differ.
func FuzzApply(f *testing.F) {
	for _, c := range canonicalCommands {
		f.Add([]byte(c.line), []byte(`{"op":"incr","key":"x"}`), []byte(`{"op":"delete","key":"x"}`))
	}
	f.Add([]byte(`{"op":"incr","key":"x"}`), []byte(`{"op":"delete","key":"x"}`), []byte(`{"op":"compact","revision":2}`))
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		s := New()
		for i, entry := range [][]byte{first, second, third} {
			r := s.applyText(uint64(i+1), entry)
			if r.Revision > uint64(i+1) || (len(r.Value) > 0 && !json.Valid(r.Value)) {
				t.Fatalf("%q: %+v", entry, r)
			}
			all := everything(s)
			if s.Len() != len(all) || s.Applied() != uint64(i+1) {
				t.Fatalf("after %q: %d keys, %d in order, %d applied", entry, s.Len(), len(all), s.Applied())
			}
			for _, item := range all {
				if found, ok := s.Get(item.Key); !ok || !reflect.DeepEqual(found, item.Record) {
					t.Fatalf("after %q: %+v and %+v", entry, found, item.Record)
				}
			}
		}
	})
}
