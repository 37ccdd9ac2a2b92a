package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestAppendJSONIsCanonical(t *testing.T) {
	t.Parallel()
	for _, c := range canonicalCommands {
		got := c.command.AppendJSON([]byte("before "))
		if want := "before " + c.line; string(got) != want {
			t.Errorf("AppendJSON(%+v)\n got %s\nwant %s", c.command, got, want)
		}
	}
}

func TestParseReadsItsOwnCanonicalForm(t *testing.T) {
	t.Parallel()
	for _, c := range canonicalCommands {
		if err := c.command.Validate(); err != nil {
			t.Errorf("%s: Validate: %v", c.line, err)
		}
		got, err := Parse([]byte(c.line))
		if err != nil || !reflect.DeepEqual(got, c.command) {
			t.Errorf("Parse(%s)\n got %+v, %v\nwant %+v", c.line, got, err, c.command)
		}
		if (Parser{}).parseCanonical([]byte(c.line)) == nil {
			t.Errorf("%s does not take the fast path", c.line)
		}
	}
}

var canonicalCommands = []struct {
	command Operation
	line    string
}{
	{&Get{Key: []byte("x")}, `{"op":"get","key":"x"}`},
	{
		&Put{Key: []byte("a/b c"), Value: []byte("hello"), ContentType: TypeBytes},
		`{"op":"put","key":"a/b c","value":"hello"}`,
	},
	{
		&Put{Key: []byte("x"), Value: []byte{}, ContentType: TypeBytes},
		`{"op":"put","key":"x","value":""}`,
	},
	{
		&Put{Key: []byte("ключ"), Value: []byte("größe <&> \u2028"), ContentType: "text/plain"},
		"{\"op\":\"put\",\"key\":\"ключ\",\"value\":\"größe <&> \u2028\",\"content_type\":\"text/plain\"}",
	},
	{
		&Put{Key: []byte("k\x01\""), Value: []byte("a: \"b\\c\"\n\tx\r\n"), ContentType: TypeBytes},
		`{"op":"put","key":"k\u0001\"","value":"a: \"b\\c\"\n\tx\r\n"}`,
	},
	{
		&Put{Key: []byte("x"), Value: []byte{0xff, 0, 1}, ContentType: "image/png", If: Absent()},
		`{"op":"put","key":"x","value":"/wAB","encoding":"base64","content_type":"image/png","if_absent":true}`,
	},
	{ // valid UTF-8, but not readable text
		&Put{Key: []byte("x"), Value: []byte("\x00\x01"), ContentType: TypeBytes},
		`{"op":"put","key":"x","value":"AAE=","encoding":"base64"}`,
	},
	{
		&Put{Key: []byte("x"), Value: []byte(`{"a": [1.0, "\u00e9"]}`), ContentType: TypeJSON},
		`{"op":"put","key":"x","json":{"a": [1.0, "\u00e9"]}}`,
	},
	{ // JSON on several lines keeps its bytes, so it is sent as a string
		&Put{Key: []byte("x"), Value: []byte("{\n}"), ContentType: TypeJSON},
		`{"op":"put","key":"x","value":"{\n}","content_type":"application/json"}`,
	},
	{
		&Set{Key: []byte("x"), Value: []byte(`{"n":1e400}`)},
		`{"op":"set","key":"x","value":{"n":1e400}}`,
	},
	{
		&Set{Key: []byte("x"), Value: []byte("null"), If: AtRevision(18446744073709551615)},
		`{"op":"set","key":"x","value":null,"if_revision":18446744073709551615}`,
	},
	{&Delete{Key: []byte("x")}, `{"op":"delete","key":"x"}`},
	{
		&Delete{Key: []byte("x"), If: AtRevision(0)},
		`{"op":"delete","key":"x","if_revision":0}`,
	},
	{
		&Incr{Key: []byte("n"), By: -9223372036854775808},
		`{"op":"incr","key":"n","by":-9223372036854775808}`,
	},
	{
		&CAS{Key: []byte("x"), Expected: []byte("null"), Value: []byte("[]")},
		`{"op":"cas","key":"x","expected":null,"value":[]}`,
	},
	{&Compact{Revision: 42}, `{"op":"compact","revision":42}`},
	{&Delete{Range: &Range{Prefix: []byte("p/")}}, `{"op":"delete","prefix":"p/"}`},
	{
		&Delete{Range: &Range{Prefix: []byte("p/"), From: []byte("p/b"), To: []byte("p/c")}},
		`{"op":"delete","prefix":"p/","from":"p/b","to":"p/c"}`,
	},
	{&Delete{Range: &Range{From: []byte("a")}}, `{"op":"delete","from":"a"}`},
	{
		&Txn{
			If: []Compare{
				{Key: []byte("a"), Attribute: Revision, Operator: Equal, Number: 42},
				{Range: &Range{Prefix: []byte("p")}, Attribute: Exists, Is: true},
				{Key: []byte("b"), Attribute: Value, Operator: Less, Value: []byte("x\n")},
				{Range: &Range{From: []byte("c"), To: []byte("d")}, Attribute: Value, Operator: Greater, Value: []byte{0xff}},
			},
			Then: []Operation{
				&Put{Key: []byte("a"), Value: []byte("1"), ContentType: TypeBytes, If: Absent()},
				&Set{Key: []byte("b"), Value: []byte("[1, 2]")}, &Delete{Key: []byte("c"), If: AtRevision(3)},
				&Delete{Range: &Range{Prefix: []byte("p")}}, &Incr{Key: []byte("n"), By: 1},
				&CAS{Key: []byte("x"), Expected: []byte("null"), Value: []byte("[]")},
			},
			Else: []Operation{
				&Read{Key: []byte("a")}, &Read{Range: &Range{Prefix: []byte("p")}, Limit: 10, KeysOnly: true},
				&Count{Range: &Range{To: []byte("b")}},
			},
		},
		`{"op":"txn","if":[{"key":"a","revision":{"eq":42}},{"prefix":"p","exists":true},` +
			`{"key":"b","value":{"lt":"x\n"}},{"from":"c","to":"d","value":{"gt":{"base64":"/w=="}}}],` +
			`"then":[{"put":{"key":"a","value":"1","if_absent":true}},{"set":{"key":"b","value":[1, 2]}},` +
			`{"delete":{"key":"c","if_revision":3}},{"delete":{"prefix":"p"}},{"incr":{"key":"n","by":1}},` +
			`{"cas":{"key":"x","expected":null,"value":[]}}],` +
			`"else":[{"get":{"key":"a"}},{"get":{"prefix":"p","limit":10,"keys_only":true}},` +
			`{"count":{"from":"","to":"b"}}]}`,
	},
	{
		&Txn{If: []Compare{{Key: []byte("a"), Attribute: Exists}}},
		`{"op":"txn","if":[{"key":"a","exists":false}],"then":[]}`,
	},
}

func TestAppendJSONIsJSONWhateverTheCommandHolds(t *testing.T) {
	t.Parallel()
	garbage := "\xff\x00\"\\\n\u2028"
	for op, c := range allOperations(fields{
		key: []byte(garbage), value: []byte(garbage), contentType: garbage, expected: []byte("{\n"), condition: Absent(),
	}) {
		line := c.AppendJSON(nil)
		if !json.Valid(line) || bytes.ContainsAny(line, "\n\r") {
			t.Errorf("op %q: %q is not a line of JSON", op, line)
		}
	}
}

func TestLineBreaksInJSONAreDroppedFromCommands(t *testing.T) {
	t.Parallel()
	c := &Set{Key: []byte("x"), Value: []byte("{\r\n  \"a b\": [1,\n 2]\n}\n")}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := string(c.AppendJSON(nil)); got != `{"op":"set","key":"x","value":{"a b":[1,2]}}` {
		t.Errorf("got %s", got)
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("x"), MaxValueBytes+1)
	longJSON := append(append([]byte(`"`), long...), '"')
	tests := []struct {
		name    string
		command Operation
		names   string // what the message must name
	}{
		{"empty key", &Get{}, `"key"`},
		{"long key", &Get{Key: long[:MaxKeyBytes+1]}, `"key"`},
		{"key of no UTF-8", &Get{Key: []byte("\xc3")}, `"key"`},
		{"compaction to nothing", &Compact{}, `"revision"`},
		{"long value", &Put{Key: []byte("x"), Value: long}, `"value"`},
		{"long content type", &Put{Key: []byte("x"), ContentType: string(long[:257])}, `"content_type"`},
		{"odd content type", &Put{Key: []byte("x"), ContentType: "a\r\nSet-Cookie: b"}, `"content_type"`},
		{"set of no JSON", &Set{Key: []byte("x"), Value: []byte("{")}, `"value"`},
		{"set of nothing", &Set{Key: []byte("x")}, `"value"`},
		{"set of no UTF-8", &Set{Key: []byte("x"), Value: []byte("\"\xff\"")}, `"value"`},
		{"cas of no JSON", &CAS{Key: []byte("x"), Value: []byte("1"), Expected: []byte("01")}, `"expected"`},
		{"cas of too much", &CAS{Key: []byte("x"), Value: []byte("1"), Expected: longJSON}, `"expected"`},
		{"absence on delete", &Delete{Key: []byte("x"), If: Absent()}, `"if_absent"`},
	}
	for _, test := range tests {
		err := test.command.Validate()
		if err == nil || !strings.Contains(err.Error(), test.names) {
			t.Errorf("%s: error %v does not name %s", test.name, err, test.names)
		}
		var large *TooLargeError
		var invalid *InvalidError
		if errors.As(err, &large) {
			if large.Size <= large.Limit || large.Limit == 0 {
				t.Errorf("%s: size %d, limit %d", test.name, large.Size, large.Limit)
			}
		} else if !errors.As(err, &invalid) {
			t.Errorf("%s: error of type %T", test.name, err)
		}
	}
}

func TestTheLargestCommandsFitTheirLimit(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{1}, MaxKeyBytes)
	text := bytes.Repeat([]byte(`"`), MaxValueBytes)
	number := bytes.Repeat([]byte("1"), MaxValueBytes)
	for _, c := range []Operation{
		&Put{Key: key, Value: text, ContentType: strings.Repeat(`\`, MaxContentTypeBytes)},
		&Put{Key: key, Value: bytes.Repeat([]byte{0}, MaxValueBytes), If: AtRevision(0)},
		&CAS{Key: key, Value: number, Expected: number},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", c.Op(), err)
		}
		if n := len(c.AppendJSON(nil)); n > MaxCommandBytes {
			t.Errorf("%s: %d bytes", c.Op(), n)
		}
	}
}
