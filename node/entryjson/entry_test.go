package entryjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// entry returns an entry as a disk or a message returns it.
func entry(command string) raft.Entry {
	return raft.Entry{
		Index: 12, Term: 3, Type: TypeOf([]byte(command)), Timestamp: 1_700_000_000_000_001, Command: []byte(command),
	}
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	for command, kind := range map[string]string{
		`{"op":"get","key":"x"}`: "command", `{"op":"noop"}`: "noop", `{"op":"seat","member":1,"incarnation":2}`: "seat",
	} {
		e := entry(command)
		want := `{"index":12,"term":3,"type":"` + kind + `","command":` + command + `,"timestamp":1700000000.000001}`
		got := string(Append(nil, &e))
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Both ways of reading return the entry that was written. A seat is left to Parse.
func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		`{"op":"noop"}`, `{"a":"\\\"}{","b":[[{}],-1.5e+3,true,null]}`, `""`, `-0`,
		`{"op":"seat","member":1,"incarnation":2}`,
	} {
		want := entry(command)
		text := Append(nil, &want)
		got, err := Parse(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is parsed as %+v, %v", text, got, err)
		}
		s := jsontext.Scan(text)
		got = Scan(&s)
		if done := s.Done(); done != (want.Type != raft.EntrySeat) || done && !reflect.DeepEqual(got, want) {
			t.Errorf("%s is scanned as %+v, %t", text, got, done)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"index":1,"term":1,"timestamp":1}`:                                          "no command",
		`{"index":1,"term":1,"type":"noop","command":{},"timestamp":1}`:               `which makes it "command"`,
		`{"index":1,"term":1,"type":"command","command":{"op":"noop"},"timestamp":1}`: `which makes it "noop"`,
		`{"index":1,"term":1,"type":"config","command":{},"timestamp":1}`:             `type "config" does not fit`,
		`{"index":1,"term":1,"command":{}}`:                                           "not a time",
		`{"index":-1,"term":1,"command":{},"timestamp":1}`:                            "index",
	} {
		if e, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", text, e, err, want)
		}
	}
	if e, err := Parse([]byte(`{"index":1,"term":1,"command":{"op":"noop"},"timestamp":1}`)); err != nil ||
		e.Type != raft.EntryNoOp {
		t.Errorf("a no-op of an older version, without type: %+v, %v", e, err)
	}
}

// An entry whose type does not fit its command is not scanned: nodes would differ in what it means.
func TestScanRefusesATypeThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for kind, commands := range map[string][]string{
		"command": {`{"op":"noop"}`, `{"op":"seat","member":1,"incarnation":2}`},
		"noop":    {`{"op":"get","key":"x"}`, `{"op":"seat","member":1,"incarnation":2}`},
		"seat":    {`{"op":"noop"}`, `{}`},
	} {
		for _, command := range commands {
			text := `{"index":1,"term":1,"type":"` + kind + `","command":` + command + `,"timestamp":1.000000}`
			s := jsontext.Scan([]byte(text))
			if e := Scan(&s); s.Done() {
				t.Errorf("%s is scanned as %+v", text, e)
			}
		}
	}
}

var benchEntry = entry(`{"op":"set","key":"key-000001","value":"` + strings.Repeat("v", 170) + `"}`)

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = Append(dst[:0], &benchEntry)
	}
}

func BenchmarkScan(b *testing.B) {
	text := Append(nil, &benchEntry)
	b.ReportAllocs()
	for b.Loop() {
		s := jsontext.Scan(text)
		if Scan(&s); !s.Done() {
			b.Fatal("not recognised")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := Append(nil, &benchEntry)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
