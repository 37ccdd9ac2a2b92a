package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

func TestParseReadsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, canonical string }{
		{` { "key" : "x" , "op" : "get" } ` + "\n", `{"op":"get","key":"x"}`},
		{`{"value":1,"op":"set","key":"x"}`, `{"op":"set","key":"x","value":1}`},
		{"{\"op\":\"set\",\"key\":\"x\",\"value\":{\n  \"a\": 1\n}}", `{"op":"set","key":"x","value":{"a":1}}`},
		{`{"op":"set","key":"x","value": {"a": 1} }`, `{"op":"set","key":"x","value":{"a": 1}}`},
		{`{"op":"incr","key":"n"}`, `{"op":"incr","key":"n","by":1}`},
		{`{"op":"p\u0075t","key":"\u00e9\/","value":"\ud83d\ude00"}`, `{"op":"put","key":"é/","value":"😀"}`},
		{`{"op":"put","key":"x","value":"aGk=","encoding":"base64"}`, `{"op":"put","key":"x","value":"hi"}`},
		{`{"op":"put","key":"x","value":"1","content_type":""}`, `{"op":"put","key":"x","value":"1"}`},
		{
			`{"op":"put","key":"x","value":"[1]","content_type":"application/json"}`,
			`{"op":"put","key":"x","json":[1]}`,
		},
		{`{"op":"put","key":"x","value":"","if_absent":false}`, `{"op":"put","key":"x","value":""}`},
		{`{"op":"cas","value":2,"expected":1,"key":"x"}`, `{"op":"cas","key":"x","expected":1,"value":2}`},
		{`{"if_revision":7,"op":"delete","key":"x"}`, `{"op":"delete","key":"x","if_revision":7}`},
	}
	for _, test := range tests {
		c, err := Parse([]byte(test.line))
		if err != nil {
			t.Errorf("Parse(%s): %v", test.line, err)
		} else if got := string(c.AppendJSON(nil)); got != test.canonical {
			t.Errorf("%s\n got %s\nwant %s", test.line, got, test.canonical)
		}
	}
}

func TestParseRefusalsNameTheFieldAndTheFix(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, names string }{
		{``, "JSON object"},
		{`null`, "JSON object"},
		{`[]`, "JSON object"},
		{`{"op":"get","key":"x"`, "JSON object"},
		{`{"op":"get","key":"x"} {}`, "one command at a time"},
		{"{\"op\":\"get\",\"key\":\"\xff\"}", "base64"},
		{`{}`, `"op" is missing; it must be one of put, set`},
		{`{"op":1,"key":"x"}`, `"op" is 1; it must be one of`},
		{`{"op":"noop"}`, `"op" is "noop"; it must be one of`},
		{`{"Op":"get","key":"x"}`, `"op" is missing`},
		{`{"op":"get"}`, `"key" is missing`},
		{`{"op":"get","key":null}`, `"key" must be a JSON string`},
		{`{"op":"get","key":"x","key":"y"}`, `"key" comes twice`},
		{`{"op":"get","key":"x","ttl":"1s"}`, `"ttl" does not belong to op get, which takes key`},
		{`{"op":"set","key":"x"}`, `"value" is missing`},
		{`{"op":"set","key":"x","value":` + deep(jsontext.MaxDepth+1) + `}`, `"value" must be a JSON value`},
		{`{"op":"set","key":"x","value":1,"content_type":"a/b"}`, `"content_type" does not belong to op set`},
		{`{"op":"put","key":"x"}`, `"value" is missing`},
		{`{"op":"put","key":"x","value":1}`, "use op set"},
		{`{"op":"put","key":"x","value":"1","json":1}`, `"json" and "value" exclude each other`},
		{`{"op":"put","key":"x","json":1,"content_type":"a"}`, `"json" and "content_type" exclude`},
		{`{"op":"put","key":"x","value":"1","encoding":"hex"}`, `"encoding" must be "base64"`},
		{`{"op":"put","key":"x","value":"1","encoding":"base64"}`, `"value" must be base64`},
		{`{"op":"put","key":"x","value":"","content_type":1}`, `"content_type" must be a string`},
		{`{"op":"put","key":"x","value":"","if_revision":"1"}`, `"if_revision" must be a revision`},
		{`{"op":"put","key":"x","value":"","if_revision":-1}`, `"if_revision" must be a revision`},
		{`{"op":"put","key":"x","value":"","if_absent":1}`, `"if_absent" must be true or false`},
		{`{"op":"put","key":"x","value":"","if_absent":true,"if_revision":1}`, "exclude each other"},
		{`{"op":"incr","key":"x","by":1.5}`, `"by" must be a whole number`},
		{`{"op":"incr","key":"x","by":9223372036854775808}`, `"by" must be a whole number`},
		{`{"op":"cas","key":"x","value":1}`, `"expected" is missing`},
		{`{"op":"cas","key":"x","expected":1}`, `"value" is missing`},
	}
	for _, test := range tests {
		_, err := Parse([]byte(test.line))
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Message, test.names) {
			t.Errorf("Parse(%.80s): error %v, want %s", test.line, err, test.names)
		}
	}
}

func TestMessagesDoNotGrowWithTheInput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	for _, line := range []string{
		`{"op":"` + long + `","key":"x"}`,
		`{"op":"get","key":"x","` + long + `":1}`,
		`{"op":"get","key":"x","` + long + `":1,"` + long + `":1}`,
		`{"op":"incr","key":"x","by":"` + long + `"}`,
	} {
		if _, err := Parse([]byte(line)); err == nil || len(err.Error()) > 300 {
			t.Errorf("%.40s...: %v", line, err)
		}
	}
}

func deep(levels int) string {
	return strings.Repeat("[", levels) + strings.Repeat("]", levels)
}

func TestJSONMayNestToItsLimit(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(`{"op":"set","key":"x","value":` + deep(jsontext.MaxDepth) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	// Deeper JSON can be put: it goes as a string, so that the log entry does not nest.
	c = &Put{Key: []byte("x"), ContentType: TypeJSON, Value: []byte(deep(jsontext.MaxDepth + 1))}
	if got, err := Parse(c.AppendJSON(nil)); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %.80v, %v", got, err)
	}
}

// FuzzParse checks that the fast path and the slow one agree, and that a parsed command can be written and parsed
// again.
func FuzzParse(f *testing.F) {
	for _, c := range canonicalCommands {
		f.Add([]byte(c.line))
		f.Add([]byte(c.line + " "))
	}
	f.Add([]byte(`{"op":"put","key":"\u001f\u0020","value":"\u000A\/"}`))
	f.Add([]byte(`{"op":"incr","key":"x","by":-0}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		checkPathsAgree(t, line)
		c, err := Parse(line)
		if err != nil {
			var invalid *InvalidError
			var large *TooLargeError
			if !errors.As(err, &invalid) && !errors.As(err, &large) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if !json.Valid(line) {
			t.Fatalf("%q is not JSON, but was read as %+v", line, c)
		}
		checkRoundTrip(t, c)
	})
}

// FuzzCommand checks the round trip for commands that no client's JSON produces.
func FuzzCommand(f *testing.F) {
	f.Add("put", "key", []byte("value"), "", int64(0), []byte("1"), uint64(7), true, false)
	f.Add("cas", "key", []byte("[1,\n2]"), "", int64(0), []byte("null"), uint64(0), false, false)
	f.Add("compact", "", []byte(nil), "", int64(0), []byte(nil), uint64(18446744073709551615), false, false)
	f.Add("put", "k\x1f", []byte("{\"a\":\"\xff\"}"), TypeJSON, int64(0), []byte(nil), uint64(0), false, true)
	f.Fuzz(func(t *testing.T, op, key string, value []byte, kind string, by int64, expected []byte,
		revision uint64, hasRevision, absent bool,
	) {
		all := fields{key: []byte(key), value: value, contentType: kind, by: by, expected: expected, revision: revision}
		switch {
		case hasRevision:
			all.condition = AtRevision(revision)
		case absent:
			all.condition = Absent()
		}
		c := allOperations(all)[Op(op)]
		if c == nil {
			return
		}
		line := c.AppendJSON(nil)
		if !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("%+v: %q is not a line of JSON", c, line)
		}
		if c.Validate() == nil {
			checkRoundTrip(t, c)
		}
	})
}

// checkPathsAgree compares the two ways to parse a line.
func checkPathsAgree(t *testing.T, line []byte) {
	t.Helper()
	if !bytes.Equal(line, bytes.ToValidUTF8(line, nil)) {
		return
	}
	fast := Parser{}.parseCanonical(line)
	if fast == nil {
		return
	}
	slow, err := Parser{}.decode(line)
	if err != nil {
		t.Fatalf("%q: the fast path takes it, the slow one returns %v", line, err)
	}
	if !sameCommand(fast, slow) {
		t.Fatalf("%q\nfast %+v\nslow %+v", line, fast, slow)
	}
}

// checkRoundTrip writes a command, parses it by both paths, and writes it again.
func checkRoundTrip(t *testing.T, c Operation) {
	t.Helper()
	line := c.AppendJSON(nil)
	if (Parser{}).parseCanonical(line) == nil {
		t.Fatalf("%q does not take the fast path", line)
	}
	checkPathsAgree(t, line)
	got, err := Parse(line)
	if err != nil {
		t.Fatalf("%+v was written as %q, which cannot be read: %v", c, line, err)
	}
	if want := asStored(c); !sameCommand(got, want) {
		t.Fatalf("%q\n got %+v\nwant %+v", line, got, want)
	}
	if again := got.AppendJSON(nil); !bytes.Equal(line, again) {
		t.Fatalf("%q is written as %q the second time", line, again)
	}
}

// asStored returns the meaning of a command, with its defaults and its JSON on one line.
func asStored(c Operation) Operation {
	switch c := c.(type) {
	case *Put:
		stored := *c
		stored.ContentType = contentType([]byte(c.ContentType))
		return &stored
	case *Set:
		stored := *c
		stored.Value = jsontext.OneLine(c.Value)
		return &stored
	case *CAS:
		stored := *c
		stored.Value, stored.Expected = jsontext.OneLine(c.Value), jsontext.OneLine(c.Expected)
		return &stored
	case *Txn:
		stored := *c
		stored.Then, stored.Else = nil, nil
		for _, o := range c.Then {
			stored.Then = append(stored.Then, asStored(o))
		}
		for _, o := range c.Else {
			stored.Else = append(stored.Else, asStored(o))
		}
		return &stored
	}
	return c
}

// sameCommand compares commands; an empty value may be nil. Of what an operation points to it compares the text.
func sameCommand(a, b Operation) bool {
	if changedKey(a) == nil && a.Op() != OpGet {
		return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) && bytes.Equal(a.AppendJSON(nil), b.AppendJSON(nil))
	}
	return fmt.Sprintf("%T %+v", a, a) == fmt.Sprintf("%T %+v", b, b)
}

// fields are those of all operations.
type fields struct {
	key, value, expected []byte
	contentType          string
	by                   int64
	condition            Condition
	revision             uint64 // of a compaction
}

// allOperations returns an operation of each kind with those of the fields that it takes.
func allOperations(f fields) map[Op]Operation {
	return map[Op]Operation{
		OpPut:     &Put{Key: f.key, Value: f.value, ContentType: f.contentType, If: f.condition},
		OpSet:     &Set{Key: f.key, Value: f.value, If: f.condition},
		OpGet:     &Get{Key: f.key},
		OpDelete:  &Delete{Key: f.key, If: f.condition},
		OpIncr:    &Incr{Key: f.key, By: f.by},
		OpCAS:     &CAS{Key: f.key, Value: f.value, Expected: f.expected},
		OpCompact: &Compact{Revision: f.revision},
		OpTxn:     f.txn(),
	}
}

// txn returns a transaction of the operations that may be in one, of which those that write have keys of their own.
func (f fields) txn() *Txn {
	key := func(suffix string) []byte { return append(bytes.Clone(f.key), suffix...) }
	all := &Range{Prefix: f.key, From: f.value, To: f.expected}
	ifOf := f.condition
	if ifOf == Absent() {
		ifOf = Condition{} // a delete takes no such
	}
	return &Txn{
		If: []Compare{
			{Key: f.key, Attribute: Value, Operator: Equal, Value: f.value},
			{Range: all, Attribute: Version, Operator: Less, Number: f.revision},
			{Key: f.key, Attribute: Exists, Is: f.by > 0},
		},
		Then: []Operation{
			&Put{Key: key("p"), Value: f.value, ContentType: f.contentType, If: f.condition},
			&Set{Key: key("s"), Value: f.value, If: f.condition}, &Delete{Key: key("d"), If: ifOf}, &Delete{Range: all},
			&Incr{Key: key("i"), By: f.by}, &CAS{Key: key("c"), Value: f.value, Expected: f.expected},
			&Read{Range: all, Limit: int(f.revision % 7), KeysOnly: f.by > 0}, &Read{Key: f.key}, &Count{Range: all},
		},
		Else: []Operation{&Count{Key: f.key}},
	}
}

// The tests cover what the table lists.
func TestAllOperationsAreTested(t *testing.T) {
	t.Parallel()
	all := allOperations(fields{})
	if len(all) != len(operations) {
		t.Errorf("%d operations are tested, the table has %d", len(all), len(operations))
	}
	for _, o := range operations {
		if all[o.op] == nil || o.empty().Op() != o.op {
			t.Errorf("op %s: tested is %T, in the table is %T", o.op, all[o.op], o.empty())
		}
	}
}

func BenchmarkParsePut256(b *testing.B) {
	benchmarkParse(b, &Put{Key: []byte("bench/key-0000012345"), Value: bytes.Repeat([]byte("v"), 256)})
}

func BenchmarkParsePutText256(b *testing.B) {
	lines := strings.Repeat("name: \"value\"\n", 256/14)
	benchmarkParse(b, &Put{Key: []byte("bench/key-0000012345"), Value: []byte(lines)})
}

func BenchmarkParsePutJSON256(b *testing.B) {
	benchmarkParse(b, &Put{
		Key: []byte("bench/key-0000012345"), ContentType: TypeJSON,
		Value: []byte("[" + strings.Repeat(`{"name":"value","n":12345},`, 9) + "null]"),
	})
}

func benchmarkParse(b *testing.B, c Operation) {
	line := c.AppendJSON(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		c, err := Parse(line)
		if err != nil || c.Validate() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseByEncodingJSON(b *testing.B) {
	c := &Put{Key: []byte("bench/key-0000012345"), Value: bytes.Repeat([]byte("v"), 256)}
	line := c.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Parser{}).decode(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPut256(b *testing.B) {
	c := &Put{Key: []byte("bench/key-0000012345"), Value: bytes.Repeat([]byte("v"), 256)}
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = c.AppendJSON(buf[:0])
	}
}

func BenchmarkReplay100000(b *testing.B) {
	entries := make([][]byte, 100_000)
	for i := range entries {
		c := &Put{Key: fmt.Appendf(nil, "key-%d", i*7919%50_000), Value: bytes.Repeat([]byte("v"), 256)}
		entries[i] = c.AppendJSON(nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := New()
		for i, entry := range entries {
			s.applyText(uint64(i+1), entry)
		}
	}
}

// A command with endless fields is refused at the first that is too many: each is compared with those before it.
func TestManyFieldsAreRefusedEarly(t *testing.T) {
	t.Parallel()
	var line strings.Builder
	line.WriteString(`{"op":"get"`)
	for i := range maxFields {
		fmt.Fprintf(&line, `,"f%d":0`, i)
	}
	line.WriteString(`,"this is not compared any more":0,"op":"get"}`)
	_, err := Parse([]byte(line.String()))
	if err == nil || !strings.Contains(err.Error(), "fewer than 16 fields") {
		t.Fatal(err)
	}
}
