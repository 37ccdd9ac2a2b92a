package client

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
)

func line(r request) string {
	if err := r.prepare(); err != nil {
		return "refused: " + err.Error()
	}
	return strings.TrimSuffix(string(r.appendLine(nil)), "\n")
}

func TestLinesAreCanonical(t *testing.T) {
	t.Parallel()
	seven := uint64(7)
	put := func(value, contentType string) request {
		command := api.Command{Op: api.OpPut, Key: "k", ContentType: contentType}
		return request{Command: command, raw: []byte(value), hasRaw: true}
	}
	conditional := put("v", "text/plain")
	conditional.IfRevision = &seven
	for want, r := range map[string]request{
		`{"op":"put","key":"k","value":"long"}`:                                          put("long", contentTypeBytes),
		`{"op":"put","key":"k","value":"/wA=","encoding":"base64"}`:                      put("\xff\x00", ""),
		`{"op":"put","key":"k","json":{"a":1}}`:                                          put(`{"a":1}`, contentTypeJSON),
		`{"op":"put","key":"k","value":"{","content_type":"application/json"}`:           put(`{`, contentTypeJSON),
		`{"op":"put","key":"k","value":"1\n","content_type":"application/json"}`:         put("1\n", contentTypeJSON),
		`{"op":"put","key":"k","value":"v","content_type":"text/plain","if_revision":7}`: conditional,
		`{"op":"put","key":"k","value":"12345678\\\"\u001f\n\r\té"}`:                     put("12345678\\\"\x1f\n\r\té", ""),
		`{"op":"set","key":"a\"b","value":{"x":[1,2]},"if_absent":true}`: {Command: api.Command{
			Op: api.OpSet, Key: `a"b`, Value: []byte("{\"x\":\n[1, 2]}"), IfAbsent: true,
		}},
		`{"op":"cas","key":"k","expected":null,"value":2}`: {Command: api.Command{
			Op: api.OpCas, Key: "k", Expected: []byte("null"), Value: []byte("2"),
		}},
		`{"op":"incr","key":"k","by":-3}`:               {Command: api.Command{Op: api.OpIncr, Key: "k", By: "-3"}},
		`{"op":"get","key":"k"}`:                        {Command: api.Command{Op: api.OpGet, Key: "k"}},
		`refused: invalid: the value is not valid JSON`: {Command: api.Command{Op: api.OpSet, Key: "k", Value: []byte("{")}},
	} {
		if got := line(r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// The server bounds the text of a line, so that a legal value must not become too long by its escapes.
func TestEveryLegalValueFitsIntoALine(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"\x00", "\x01", "\x1b", `"`, `\`, "\n", "x", "\xff", "é", "\ufffd", "\u2028", "0\x00"} {
		for _, size := range []int{1, 4, 20, 699_040, 700_000, api.MaxValueBytes} {
			raw := strings.Repeat(unit, size/len(unit)+1)[:size]
			for _, contentType := range []string{"", "text/plain", contentTypeJSON} {
				command := api.Command{Op: api.OpPut, Key: "k", ContentType: contentType}
				r := request{Command: command, raw: []byte(raw), hasRaw: true}
				if err := r.prepare(); err != nil {
					t.Fatal(err)
				}
				text := r.appendLine(nil)
				if most := base64.StdEncoding.EncodedLen(size) + 100; len(text) > most {
					t.Errorf("%d times %q needs a line of %d bytes, want at most %d", size, unit, len(text), most)
				}
				var back api.Command
				var value string
				if err := json.Unmarshal(text, &back); err != nil {
					t.Fatal(err)
				}
				if len(back.JSON) > 0 {
					continue
				}
				if err := json.Unmarshal(back.Value, &value); err != nil {
					t.Fatal(err)
				}
				if back.Encoding == api.EncodingBase64 {
					bytes, err := base64.StdEncoding.DecodeString(value)
					if err != nil {
						t.Fatal(err)
					}
					value = string(bytes)
				}
				if value != raw {
					t.Errorf("%d times %q came back changed", size, unit)
				}
			}
		}
	}
}

func TestAValueOverTheLimitIsRefusedHere(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"", contentTypeJSON} {
		r := request{Command: api.Command{Op: api.OpPut, Key: "k", ContentType: contentType}, hasRaw: true}
		r.raw = []byte(`"` + strings.Repeat("x", api.MaxValueBytes-1) + `"`)
		var e *api.Error
		if err := r.prepare(); !errors.As(err, &e) || e.Code != api.CodeTooLarge || e.Limit != api.MaxValueBytes {
			t.Errorf("got %v, want too_large", err)
		}
	}
}

// A batch of many JSON values is sent in requests that the server takes.
func TestPiecesOfABatchAreBoundedWhateverHoldsTheValue(t *testing.T) {
	t.Parallel()
	value := json.RawMessage(`"` + strings.Repeat("x", 600_000) + `"`)
	for what, c := range map[string]api.Command{
		"value": {Op: api.OpSet, Key: "k", Value: value}, "json": {Op: api.OpPut, Key: "k", JSON: value},
	} {
		requests, todo := make([]request, 40), make([]int, 40)
		for i := range requests {
			requests[i].Command, todo[i] = c, i
		}
		if n := pieceOf(requests, todo); n != 2 {
			t.Errorf("%s: a piece has %d commands, want 2", what, n)
		}
	}
}

func TestLinesOfTheServerAreReadByHand(t *testing.T) {
	t.Parallel()
	meta := api.RecordMeta{
		Encoding: "base64", ContentType: "a/b", CreateRevision: 1, ModRevision: 2, Version: 3,
	}
	for op, text := range map[string]string{
		api.OpPut:    `{"index":12,"term":3,"result":{"revision":12,"created":true}}`,
		api.OpSet:    `{"index":12,"term":3,"result":{"revision":12,"created":false}}`,
		api.OpDelete: `{"index":12,"term":3,"result":{"deleted":true}}`,
		api.OpCas:    `{"index":12,"term":3,"result":{"swapped":true}}`,
		api.OpGet: `{"index":12,"term":3,"result":"text","record":{"encoding":"base64","content_type":"a/b",` +
			`"create_revision":1,"mod_revision":2,"version":3}}`,
	} {
		a, ok := decodeFast(op, []byte(text))
		if !ok || a.index != 12 || a.term != 3 {
			t.Errorf("%s: %s was not recognised", op, text)
		}
		if op == api.OpGet && (string(a.text) != "text" || a.meta != meta) {
			t.Errorf("get: %+v", a)
		}
	}
}

// Whatever comes, reading by hand and reading by encoding/json agree, and neither panics.
func FuzzResultLine(f *testing.F) {
	for _, text := range []string{
		`{"index":12,"term":3,"result":{"revision":12,"created":true}}`,
		`{"index":12,"term":3,"result":{"deleted":false}}`,
		`{"index":12,"term":3,"result":{"swapped":true}}`,
		`{"index":12,"term":3,"result":{"swapped":false,"value":{"a":1}}}`,
		`{"index":12,"term":3,"result":42}`,
		`{"index":1,"term":3,"result":"dGV4dA==","record":{"encoding":"base64","content_type":"text/plain",` +
			`"create_revision":1,"mod_revision":2,"version":3}}`,
		`{"index":1,"term":3,"result":"a","record":{"content_type":"application/json","create_revision":1,` +
			`"mod_revision":2,"version":3}}`,
		`{"error":{"code":"precondition_failed","message":"no","revision":4}}`,
		`{"error":{}}`, `{}`, `null`, ``, `{"index":00,"term":3,"result":{"deleted":false}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, op := range []string{api.OpPut, api.OpDelete, api.OpCas, api.OpIncr, api.OpGet} {
			fast, ok := decodeFast(op, text)
			if !ok || !utf8.Valid(text) {
				slow := decodeLine(op, text, false)
				_, _ = slow.value()
				_, _ = slow.put()
				continue
			}
			slow := decodeLine(op, text, true)
			if slow.err != nil {
				t.Fatalf("%s %q was read by hand, but is: %v", op, text, slow.err)
			}
			compare(t, op, fast, slow)
		}
	})
}

func compare(t *testing.T, op string, fast, slow answer) {
	t.Helper()
	if fast.index != slow.index || fast.term != slow.term || fast.meta != slow.meta {
		t.Fatalf("by hand %+v, by encoding/json %+v", fast, slow)
	}
	read := func(a *answer) (any, error) {
		switch op {
		case api.OpPut:
			return a.put()
		case api.OpDelete:
			return a.deleted()
		case api.OpCas:
			return a.swapped()
		}
		v, err := a.value()
		return string(v), err
	}
	a, errA := read(&fast)
	b, errB := read(&slow)
	if !reflect.DeepEqual(a, b) || (errA == nil) != (errB == nil) {
		t.Fatalf("by hand %+v, %v; by encoding/json %+v, %v", a, errA, b, errB)
	}
}

func messagesOf(stream string, wrap func(io.Reader) io.Reader) ([]message, error) {
	r := newMessageReader(wrap(strings.NewReader(stream)))
	var all []message
	for {
		m, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

// The rules of the HTML standard, section 9.2.6.
func TestStreamIsTakenApart(t *testing.T) {
	t.Parallel()
	stream := "\ufeff: a comment\n\nid: 1\nevent: raft\ndata: {\"a\":\ndata:1}\n\n" +
		"event:status\r\ndata:  two spaces\r\n\r\nevent: no data\n\ndata\n\nid\rdata: x\r\rdata: cut off\n"
	want := []message{
		{event: "raft", id: "1", data: []byte("{\"a\":\n1}")},
		{event: "status", id: "1", data: []byte(" two spaces")},
		{event: "message", id: "1"},
		{event: "message", data: []byte("x")},
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
	} {
		got, err := messagesOf(stream, wrap)
		if err != io.ErrUnexpectedEOF || len(got) != len(want) {
			t.Fatalf("%s: got %+v, %v", name, got, err)
		}
		for i := range want {
			if got[i].event != want[i].event || got[i].id != want[i].id || string(got[i].data) != string(want[i].data) {
				t.Errorf("%s: message %d is %+v, want %+v", name, i, got[i], want[i])
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add("id: 1\nevent: raft\ndata: {}\n\n")
	f.Add("data: x\r\r\n\n:\n\r")
	f.Fuzz(func(t *testing.T, stream string) {
		whole, _ := messagesOf(stream, func(r io.Reader) io.Reader { return r })
		bytewise, _ := messagesOf(stream, iotest.OneByteReader)
		if !reflect.DeepEqual(whole, bytewise) {
			t.Fatalf("whole %+v, byte by byte %+v", whole, bytewise)
		}
	})
}
