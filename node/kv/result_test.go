package kv

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestResultOnTheWire(t *testing.T) {
	t.Parallel()
	tests := []struct {
		result Result
		text   string
	}{
		{Result{}, `{"revision":0}`},
		{Result{Revision: 18446744073709551615, Created: true}, `{"revision":18446744073709551615,"created":true}`},
		{Result{Revision: 5, Deleted: true}, `{"revision":5,"deleted":true}`},
		{Result{Revision: 5, Created: true, Swapped: true}, `{"revision":5,"created":true,"swapped":true}`},
		{Result{Revision: 5, Value: []byte(`{"a": [1]}`)}, `{"revision":5,"value":{"a": [1]}}`},
		{Result{Value: []byte(`null`)}, `{"revision":0,"value":null}`},
		{
			Result{Revision: 7, Code: CodeConflict, Message: "key \"é\"\nholds <1>"},
			`{"revision":7,"code":"conflict","message":"key \"é\"\nholds <1>"}`,
		},
		{Result{Code: "of_tomorrow"}, `{"revision":0,"code":"of_tomorrow"}`},
	}
	for _, test := range tests {
		if got := string(test.result.AppendJSON(nil)); got != test.text {
			t.Errorf("AppendJSON(%+v) = %s; want %s", test.result, got, test.text)
		}
		got, err := ParseResult([]byte(test.text))
		if err != nil || !sameResult(got, test.result) {
			t.Errorf("ParseResult(%s) = %+v, %v", test.text, got, err)
		}
		spaced := bytes.Replace([]byte(test.text), []byte(`{"revision"`), []byte(`{ "later":[], "revision"`), 1)
		if got, err = ParseResult(spaced); err != nil || !sameResult(got, test.result) {
			t.Errorf("ParseResult(%s) = %+v, %v", spaced, got, err)
		}
	}
}

func TestParseResultRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `{"revision":-1}`, `{"revision":1`, `{"created":1}`, `{"revision":1}}`} {
		if got, err := ParseResult([]byte(text)); err == nil {
			t.Errorf("ParseResult(%s) = %+v", text, got)
		}
	}
}

func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"revision":5,"created":true,"deleted":true,"swapped":true,"value":{"a": [1]}}`))
	f.Add([]byte(`{"revision":7,"code":"conflict","message":"key \"é\"\nholds","value":null}`))
	f.Add([]byte("{\"revision\":7,\"message\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if fast, ok := parseCanonicalResult(text); ok {
			var slow resultFields
			if err := json.Unmarshal(text, &slow); err != nil {
				t.Fatalf("%q: the fast path takes it, encoding/json returns %v", text, err)
			}
			if !sameResult(fast, slow.result()) {
				t.Fatalf("%q\nfast %+v\nslow %+v", text, fast, slow)
			}
		}
		r, err := ParseResult(text)
		if err != nil {
			return
		}
		line := r.AppendJSON(nil)
		if _, ok := parseCanonicalResult(line); !ok {
			t.Fatalf("%+v is written as %q, which does not take the fast path", r, line)
		}
		again, err := ParseResult(line)
		if err != nil || again.Revision != r.Revision || again.Code != r.Code || again.Message != r.Message {
			t.Fatalf("%q is read as %+v, %v; want %+v", line, again, err, r)
		}
	})
}

func BenchmarkResult(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		buf = Result{Revision: i, Created: true}.AppendJSON(buf[:0])
		if r, err := ParseResult(buf); err != nil || r.Revision != i {
			b.Fatal(r, err)
		}
	}
}
