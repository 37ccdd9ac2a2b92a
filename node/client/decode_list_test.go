package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// listLines are lines as the server writes them: these are recognised by hand.
var listLines = []string{
	`{"key":"a","value":"text","content_type":"text/plain","revision":3,"create_revision":2,"version":2,` +
		`"modified":1796034086.787235}`,
	`{"key":"a\n\"\\\u0000b","value":"line\n\"q\"\ttab\u0001","content_type":"text/plain; charset=utf-8","revision":1,` +
		`"create_revision":1,"version":1,"modified":0.000001}`,
	`{"key":"é/漢","value":"","content_type":"","revision":18446744073709551615,"create_revision":1,"version":1,` +
		`"modified":1.500000}`,
	`{"key":"b","value":"/wA=","encoding":"base64","content_type":"image/png","revision":2,"create_revision":2,` +
		`"version":1,"modified":1796034086.000000}`,
	`{"key":"j","value":{"x": [1,null,"\ud83d\ude00"]},"content_type":"application/json","revision":2,` +
		`"create_revision":2,"version":1,"modified":1796034086.000000}`,
	`{"key":"j","value":"a string","content_type":"application/json; charset=utf-8","revision":2,"create_revision":2,` +
		`"version":1,"modified":1796034086.000000}`,
	`{"key":"j","value":"e2JhZA==","encoding":"base64","content_type":"application/json","revision":2,` +
		`"create_revision":2,"version":1,"modified":1796034086.000000}`,
	`{"key":"only","content_type":"text/plain","revision":2,"create_revision":2,"version":1,"modified":1796034086.000000}`,
	`{"folder":"app/db/"}`,
	`{"folder":"a\"/"}`,
}

// spaced returns the same JSON in a spelling that is not the server's.
func spaced(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", " "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBothWaysDecodeALineAlike(t *testing.T) {
	t.Parallel()
	for _, text := range listLines {
		s := jsontext.Scan([]byte(text))
		if scanEntry(&s, &Entry{}); !s.Done() {
			t.Errorf("%s is not recognised", text)
		}
		fast, err := decodeListLine([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		line := spaced(t, text)
		slow, err := decodeListLine(line)
		if !strings.Contains(text, `"x": [`) && (err != nil || !reflect.DeepEqual(fast, slow)) {
			t.Errorf("%s is %+v by hand, and %+v, %v", text, fast, slow, err)
		}
	}
	first, _ := decodeListLine([]byte(listLines[0]))
	if e := first.entry; e.Key != "a" || string(e.Value) != "text" || e.Revision != 3 || e.CreateRevision != 2 ||
		e.Version != 2 || e.Modified.UnixMicro() != 1796034086787235 || e.ContentType != "text/plain" {
		t.Errorf("the first line is %+v", e)
	}
}

func TestWhatIsKeptOfALineIsItsOwn(t *testing.T) {
	t.Parallel()
	for _, text := range listLines {
		buffer := []byte(text)
		line, err := decodeListLine(buffer)
		before := fmt.Sprintf("%+v %s", line.entry, line.entry.Value)
		for i := range buffer {
			buffer[i] = '#'
		}
		if after := fmt.Sprintf("%+v %s", line.entry, line.entry.Value); err != nil || after != before {
			t.Errorf("%s became %s", before, after)
		}
	}
}

func TestBothWaysDecodeAPageAlike(t *testing.T) {
	t.Parallel()
	records := strings.Join(append(append([]string{}, listLines[:4]...), listLines[5:8]...), ",")
	for _, text := range []string{
		`{"revision":5,"records":[]}`,
		`{"revision":5,"records":[],"folders":[]}`,
		`{"revision":5,"records":[` + records + `]}`,
		`{"revision":5,"records":[` + records + `],"folders":["a/","b\n/"],"cursor":"AQVhcHAv"}`,
		`{"revision":5,"records":[],"cursor":"x_-"}`,
	} {
		s := jsontext.Scan([]byte(text + "\n"))
		if scanPage(&s, &Page{}); !s.Done() {
			t.Errorf("%s is not recognised", text)
		}
		fast, err := decodePage([]byte(text + "\n"))
		slow, slowErr := decodePage(spaced(t, text))
		if err != nil || slowErr != nil || !reflect.DeepEqual(fast, slow) {
			t.Errorf("%s is %+v, %v by hand, and %+v, %v", text, fast, err, slow, slowErr)
		}
	}
	for _, text := range []string{"", "{}}", `{"records":[{"key":"a","value":1,"content_type":"text/plain"}]}`} {
		if page, err := decodePage([]byte(text)); err == nil {
			t.Errorf("%q is the page %+v", text, page)
		}
	}
}

// FuzzListLine decodes any line by hand and by encoding/json: what is recognised means the same.
func FuzzListLine(f *testing.F) {
	for _, text := range listLines {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"end":true,"revision":5,"count":3}`))
	f.Add([]byte(`{"error":{"code":"compacted","message":"m","oldest_revision":7}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := jsontext.Scan(text)
		var e Entry
		if scanEntry(&s, &e); !s.Done() || !json.Valid(text) {
			return
		}
		var slow api.ListLine
		if err := json.Unmarshal(text, &slow); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if slow.Folder != "" {
			if validText(e.Folder) && e.Folder != slow.Folder {
				t.Fatalf("%q is the folder %q, want %q", text, e.Folder, slow.Folder)
			}
			return
		}
		want, err := entryOf(&slow.Record)
		if err != nil {
			t.Fatalf("%q is %+v by hand, and %v", text, e, err)
		}
		if !validText(e.Key) || !validText(string(e.Value)) || !validText(e.ContentType) {
			return // encoding/json replaces what is no UTF-8, and the server writes none
		}
		if e.Key != want.Key || !bytes.Equal(e.Value, want.Value) || e.ContentType != want.ContentType ||
			e.Revision != want.Revision || e.Version != want.Version {
			t.Fatalf("%q is %+v by hand, want %+v", text, e, want)
		}
	})
}

func validText(text string) bool {
	return !strings.ContainsRune(strings.ToValidUTF8(text, "\ufffd"), '\ufffd')
}

func BenchmarkListLine(b *testing.B) {
	line := []byte(`{"key":"load/000000001","value":"` + strings.Repeat("v", 256) + `","content_type":"text/plain",` +
		`"revision":3,"create_revision":2,"version":2,"modified":1796034086.787235}`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeListLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
