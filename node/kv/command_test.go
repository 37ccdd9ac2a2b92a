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
		if !parseCanonical([]byte(c.line), &request{}) {
			t.Errorf("%s does not take the fast path", c.line)
		}
	}
}

var canonicalCommands = []struct {
	command Command
	line    string
}{
	{Command{Op: OpGet, Key: "x"}, `{"op":"get","key":"x"}`},
	{
		Command{Op: OpPut, Key: "a/b c", Value: []byte("hello"), ContentType: TypeBytes},
		`{"op":"put","key":"a/b c","value":"hello"}`,
	},
	{
		Command{Op: OpPut, Key: "x", Value: []byte{}, ContentType: TypeBytes},
		`{"op":"put","key":"x","value":""}`,
	},
	{
		Command{Op: OpPut, Key: "ключ", Value: []byte("größe <&> \u2028"), ContentType: "text/plain"},
		"{\"op\":\"put\",\"key\":\"ключ\",\"value\":\"größe <&> \u2028\",\"content_type\":\"text/plain\"}",
	},
	{
		Command{Op: OpPut, Key: "k\x01\"", Value: []byte("a: \"b\\c\"\n\tx\r\n"), ContentType: TypeBytes},
		`{"op":"put","key":"k\u0001\"","value":"a: \"b\\c\"\n\tx\r\n"}`,
	},
	{
		Command{Op: OpPut, Key: "x", Value: []byte{0xff, 0, 1}, ContentType: "image/png", IfAbsent: true},
		`{"op":"put","key":"x","value":"/wAB","encoding":"base64","content_type":"image/png","if_absent":true}`,
	},
	{ // valid UTF-8, but not readable text
		Command{Op: OpPut, Key: "x", Value: []byte("\x00\x01"), ContentType: TypeBytes},
		`{"op":"put","key":"x","value":"AAE=","encoding":"base64"}`,
	},
	{
		Command{Op: OpPut, Key: "x", Value: []byte(`{"a": [1.0, "\u00e9"]}`), ContentType: TypeJSON},
		`{"op":"put","key":"x","json":{"a": [1.0, "\u00e9"]}}`,
	},
	{ // JSON on several lines keeps its bytes, so it is sent as a string
		Command{Op: OpPut, Key: "x", Value: []byte("{\n}"), ContentType: TypeJSON},
		`{"op":"put","key":"x","value":"{\n}","content_type":"application/json"}`,
	},
	{
		Command{Op: OpSet, Key: "x", Value: []byte(`{"n":1e400}`), ContentType: TypeJSON},
		`{"op":"set","key":"x","value":{"n":1e400}}`,
	},
	{
		Command{
			Op: OpSet, Key: "x", Value: []byte("null"), ContentType: TypeJSON,
			IfRevision: 18446744073709551615, HasIfRevision: true,
		},
		`{"op":"set","key":"x","value":null,"if_revision":18446744073709551615}`,
	},
	{Command{Op: OpDelete, Key: "x"}, `{"op":"delete","key":"x"}`},
	{
		Command{Op: OpDelete, Key: "x", IfRevision: 0, HasIfRevision: true},
		`{"op":"delete","key":"x","if_revision":0}`,
	},
	{
		Command{Op: OpIncr, Key: "n", By: -9223372036854775808},
		`{"op":"incr","key":"n","by":-9223372036854775808}`,
	},
	{
		Command{Op: OpCAS, Key: "x", Expected: []byte("null"), Value: []byte("[]"), ContentType: TypeJSON},
		`{"op":"cas","key":"x","expected":null,"value":[]}`,
	},
}

func TestAppendJSONIsJSONWhateverTheCommandHolds(t *testing.T) {
	t.Parallel()
	garbage := "\xff\x00\"\\\n\u2028"
	for _, op := range []Op{OpPut, OpSet, OpGet, OpDelete, OpIncr, OpCAS, Op(garbage)} {
		c := Command{
			Op: op, Key: garbage, Value: []byte(garbage), ContentType: garbage, Expected: []byte("{\n"),
			HasIfRevision: true, IfAbsent: true,
		}
		line := c.AppendJSON(nil)
		if !json.Valid(line) || bytes.ContainsAny(line, "\n\r") {
			t.Errorf("op %q: %q is not a line of JSON", op, line)
		}
	}
}

func TestLineBreaksInJSONAreDroppedFromCommands(t *testing.T) {
	t.Parallel()
	c := Command{Op: OpSet, Key: "x", Value: []byte("{\r\n  \"a b\": [1,\n 2]\n}\n")}
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
		command Command
		names   string // what the message must name
	}{
		{"no op", Command{Key: "x"}, `"op"`},
		{"unknown op", Command{Op: "noop", Key: "x"}, "put, set, get"},
		{"empty key", Command{Op: OpGet}, `"key"`},
		{"long key", Command{Op: OpGet, Key: string(long[:MaxKeyBytes+1])}, `"key"`},
		{"key of no UTF-8", Command{Op: OpGet, Key: "\xc3"}, `"key"`},
		{"key with NUL", Command{Op: OpGet, Key: "a\x00b"}, "NUL"},
		{"long value", Command{Op: OpPut, Key: "x", Value: long}, `"value"`},
		{"long content type", Command{Op: OpPut, Key: "x", ContentType: string(long[:257])}, `"content_type"`},
		{"odd content type", Command{Op: OpPut, Key: "x", ContentType: "a\r\nSet-Cookie: b"}, `"content_type"`},
		{"set of no JSON", Command{Op: OpSet, Key: "x", Value: []byte("{")}, `"value"`},
		{"set of nothing", Command{Op: OpSet, Key: "x"}, `"value"`},
		{"set of no UTF-8", Command{Op: OpSet, Key: "x", Value: []byte("\"\xff\"")}, `"value"`},
		{"cas of no JSON", Command{Op: OpCAS, Key: "x", Value: []byte("1"), Expected: []byte("01")}, `"expected"`},
		{"cas of too much", Command{Op: OpCAS, Key: "x", Value: []byte("1"), Expected: longJSON}, `"expected"`},
		{"two conditions", Command{Op: OpPut, Key: "x", HasIfRevision: true, IfAbsent: true}, `"if_absent"`},
		{"condition on incr", Command{Op: OpIncr, Key: "x", HasIfRevision: true}, `"if_revision"`},
		{"absence on delete", Command{Op: OpDelete, Key: "x", IfAbsent: true}, `"if_absent"`},
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
	key := strings.Repeat("\x01", MaxKeyBytes)
	text := bytes.Repeat([]byte(`"`), MaxValueBytes)
	number := bytes.Repeat([]byte("1"), MaxValueBytes)
	for _, c := range []Command{
		{Op: OpPut, Key: key, Value: text, ContentType: strings.Repeat(`\`, MaxContentTypeBytes)},
		{Op: OpPut, Key: key, Value: bytes.Repeat([]byte{0}, MaxValueBytes), HasIfRevision: true},
		{Op: OpCAS, Key: key, Value: number, Expected: number},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", c.Op, err)
		}
		if n := len(c.AppendJSON(nil)); n > MaxCommandBytes {
			t.Errorf("%s: %d bytes", c.Op, n)
		}
	}
}
