package kv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/jsontext"
)

func TestAdmitTakesCanonicalCommandsAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, c := range canonicalCommands {
		got, err := Admit([]byte(c.line))
		if c.command.Op() == OpGet {
			if err == nil {
				t.Errorf("%s: a get was admitted to the log", c.line)
			}
			continue
		}
		if err != nil || string(got) != c.line {
			t.Errorf("Admit(%s) = %s, %v", c.line, got, err)
		}
	}
}

func TestAdmitMakesOtherFormsCanonical(t *testing.T) {
	t.Parallel()
	got, err := Admit([]byte(`{ "key":"\u0061", "value":"b", "op":"put" }`))
	if want := `{"op":"put","key":"a","value":"b"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

// A node cannot bring into the log what no client can.
func TestAdmitRefusesWhatTheAPIRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxValueBytes+1)
	for _, line := range []string{
		``, `null`, `01x`, `[nul]`, `[1,,2]`, `{"a":}`, `"x"`, `{"op":"noop"}`, "\xff\xfe", `{"op":"put","key":"x","value":"`,
		`{"op":"put","key":"","value":"y"}`, `{"op":"compact","revision":0}`,
		"{\"op\":\"put\",\"key\":\"a\xffb\",\"value\":\"y\"}", `{"op":"put","key":"s\ud800","value":"y"}`,
		`{"op":"put","key":"x","value":"<b>","content_type":"text/html\u0001"}`,
		`{"op":"put","key":"x","value":"{]","content_type":"application/json"}`,
		`{"op":"put","key":"x","value":"{]","content_type":"Application/JSON; charset=utf-8"}`,
		`{"op":"put","key":"` + strings.Repeat("k", MaxKeyBytes+1) + `","value":"y"}`,
		`{"op":"put","key":"x","value":"` + long + `"}`,
		`{"op":"cas","key":"x","expected":"` + long + `","value":1}`,
		`{"op":"put","key":"x","value":"y"` + strings.Repeat(" ", MaxCommandBytes) + `}`,
		`{"op":"set","key":"x","value":` + deep(jsontext.MaxDepth+1) + `}`,
		`{"op":"set","key":"x","value":1}{"op":"set","key":"x","value":1}`,
	} {
		got, err := Admit([]byte(line))
		var invalid *InvalidError
		var large *TooLargeError
		if err == nil || !errors.As(err, &invalid) && !errors.As(err, &large) {
			t.Errorf("Admit(%.80s) = %.80s, %v", line, got, err)
		}
	}
}

var loneSurrogates = []string{
	`\ud800`, `\uDFFF`, `\ud800\ud800`, `\udc00\ud800`, `\ud83d\u0041`, `\ud83dx`, `\ud83d\n`,
	`\ud83d\\ude00`, `a\\\ud800`,
	`\ud83d\ude00\ude00`,
}

// Decoders read all of them as the same text, so that two keys or two values would become one.
func TestHalfASurrogatePairIsRefused(t *testing.T) {
	t.Parallel()
	for _, half := range loneSurrogates {
		for _, line := range []string{
			`{"op":"set","key":"s%s","value":1}`,
			`{"op":"get","key":"s%s"}`,
			`{"op":"delete","key":"s%s"}`,
			`{"op":"incr","key":"s%s"}`,
			`{"op":"cas","key":"s%s","expected":1,"value":1}`,
			`{"op":"set","key":"k","value":"%s"}`,
			`{"op":"set","key":"k","value":{"%s":1}}`,
			`{"op":"cas","key":"k","expected":["%s"],"value":1}`,
			`{"op":"cas","key":"k","expected":1,"value":["%s"]}`,
			`{"op":"put","key":"k","value":"%s"}`,
			`{"op":"put","key":"k","json":"%s"}`,
			`{"op":"put","key":"k","value":"x","content_type":"%s"}`,
		} {
			text := fmt.Sprintf(line, half)
			c, err := Parse([]byte(text))
			if err == nil {
				t.Errorf("%s was read as %+v", text, c)
			}
		}
		key := []byte("k")
		for _, c := range []Operation{
			&Put{Key: key, Value: []byte(`"` + half + `"`), ContentType: TypeJSON},
			&Put{Key: key, Value: []byte("[\n\"" + half + "\"]"), ContentType: "application/json; charset=utf-8"},
			&Set{Key: key, Value: []byte(`"` + half + `"`)},
			&CAS{Key: key, Value: []byte(`1`), Expected: []byte(`"` + half + `"`)},
		} {
			if c.Validate() == nil {
				t.Errorf("%s passes Validate", c.AppendJSON(nil))
			}
		}
	}
}

func TestWholeSurrogatePairsAndPlainTextAreTaken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`\ud83d\ude00`, `\\ud800`, `\\\\udfff`, `\ud83d\ude00\ud83d\ude00`, `😀`, `\ufffd`, `\u0041`,
	} {
		line := `{"op":"set","key":"` + text + `","value":"` + text + `"}`
		if _, err := Parse([]byte(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	c := &Put{Key: []byte("k"), Value: []byte(`\ud800`), ContentType: "text/plain"} // text that is no JSON
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCheckEntry(t *testing.T) {
	t.Parallel()
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	for _, entry := range []string{
		`{"op":"noop"}`, `{"op":"put","key":"a","value":"b"}`, `{"op":"fly"}`, `[]`, `null`, // Apply handles these
		`{"op":"put","key":"","value":"y"}`, `{"op":"set","key":"s","value":"\ud800"}`, "{\n}", // of an old log
		`{"op":"set","key":"s","value":` + deep(jsontext.MaxDepth) + `}`,
	} {
		if err := CheckEntry([]byte(entry)); err != nil {
			t.Errorf("%.60s: %v", entry, err)
		}
	}
	for _, entry := range []string{
		``, ` `, `[1,,2]`, `{"a":}`, `01x`, `{"op":"put"`, `{} {}`, "\"\xff\"", "\xff\xfe", `nul`,
		"{}\x00", deep(maxCommandDepth + 1),
		`"` + strings.Repeat("x", MaxCommandBytes) + `"`,
	} {
		if err := CheckEntry([]byte(entry)); err == nil {
			t.Errorf("%.60s can be an entry", entry)
		}
	}
}

// An entry of an old log that is refused today is still applied, or rejected by Apply: the same on every node.
func TestApplyTakesWhatTheDoorsRefuse(t *testing.T) { // T45
	t.Parallel()
	s := story{
		{`{"op":"set","key":"s","value":"\ud800"}`, Result{Revision: 1, Created: true}},
		{`{"op":"cas","key":"s","expected":"\udfff","value":1}`, Result{Revision: 2, Swapped: true}},
		{`{"op":"put","key":"","value":"y"}`, Result{Revision: 3, Created: true}},
		{`{"op":"put","key":"j","value":"{]","content_type":"application/json"}`, Result{Revision: 4, Created: true}},
		{`[1,,2]`, Result{Code: CodeInvalid}},
		{"\xff\xfe", Result{Code: CodeInvalid}},
	}.tell(t)
	if s.Len() != 3 {
		t.Errorf("%d keys", s.Len())
	}
}

func FuzzAdmit(f *testing.F) {
	for _, c := range canonicalCommands {
		f.Add([]byte(c.line))
	}
	f.Add([]byte(`{"key":"a","op":"put","value":"\ud83d\ude00"}`))
	f.Add([]byte(`{"op":"set","key":"a","value":"\ud83d"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		entry, err := Admit(line)
		if err != nil {
			return
		}
		if err := CheckEntry(entry); err != nil {
			t.Fatalf("%q was admitted as %q: %v", line, entry, err)
		}
		if (Parser{}).parseCanonical(entry) == nil || bytes.ContainsAny(entry, "\r\n") {
			t.Fatalf("%q was admitted as %q, which is not canonical", line, entry)
		}
		again, err := Admit(entry)
		if err != nil || !bytes.Equal(again, entry) {
			t.Fatalf("%q was admitted as %q, and that as %q, %v", line, entry, again, err)
		}
	})
}
