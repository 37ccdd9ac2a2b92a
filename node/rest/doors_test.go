package rest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// refusedEverywhere are commands that every route refuses, as a body of its own or as a line of a batch.
var refusedEverywhere = map[string]api.Code{
	`{"op":"set","key":"s\ud800","value":1}`:                                     api.CodeInvalid,
	`{"op":"get","key":"s\udfff"}`:                                               api.CodeInvalid,
	`{"op":"delete","key":"s\ud800"}`:                                            api.CodeInvalid,
	`{"op":"incr","key":"s\ud800"}`:                                              api.CodeInvalid,
	`{"op":"cas","key":"s\ud800","expected":1,"value":1}`:                        api.CodeInvalid,
	`{"op":"set","key":"k","value":"\ud800"}`:                                    api.CodeInvalid,
	`{"op":"set","key":"k","value":{"\udfff\ud800":1}}`:                          api.CodeInvalid,
	`{"op":"cas","key":"k","expected":"\ud800","value":1}`:                       api.CodeInvalid,
	`{"op":"cas","key":"k","expected":1,"value":["\ud800"]}`:                     api.CodeInvalid,
	`{"op":"put","key":"k","value":"\ud800"}`:                                    api.CodeInvalid,
	`{"op":"put","key":"k","value":"{]","content_type":"application/json"}`:      api.CodeInvalid,
	`{"op":"put","key":"k","value":"{]","content_type":"application/json; q=1"}`: api.CodeInvalid,
	`{"op":"put","key":"","value":"x"}`:                                          api.CodeInvalid,
	`{"op":"put","key":"k","value":"x","content_type":"json"}`:                   api.CodeInvalid,
	`{"op":"put","key":"k","value":"x","content_type":"a b"}`:                    api.CodeInvalid,
	`{"op":"noop"}`: api.CodeInvalid,
	`[1,,2]`:        api.CodeInvalid,
	"{\"op\":\"put\",\"key\":\"a\xff\",\"value\":\"x\"}":                             api.CodeInvalid,
	`{"op":"put","key":"k","value":"` + strings.Repeat("v", 1<<20+1) + `"}`:          api.CodeTooLarge,
	`{"op":"put","key":"` + strings.Repeat("k", 4097) + `","value":"x"}`:             api.CodeTooLarge,
	`{"op":"put","key":"k","value":"x"` + strings.Repeat(" ", maxCommandBytes) + `}`: api.CodeTooLarge,
}

func TestEveryDoorRefusesTheSame(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for command, code := range refusedEverywhere {
		status := code.Status()
		alone := decode[api.ErrorBody](t, a.want(status, "POST", api.PathCommand, command).body)
		if alone.Error.Code != code {
			t.Errorf("%.80s alone: %+v", command, alone.Error)
		}
		line := decode[api.BatchResult](t, a.want(200, "POST", api.PathBatch, command).body)
		if line.Error == nil || line.Error.Code != code {
			t.Errorf("%.80s on a line: %+v", command, line.Error)
		}
	}
	for _, key := range []string{"%ED%A0%80", "s%ED%BF%BF", "%ff", "%C0%80"} {
		for _, method := range []string{"PUT", "GET", "DELETE"} {
			a.want(400, method, "/api/v1/kv/"+key, "")
		}
	}
	for _, kind := range []string{
		"json", "a b", "/", "text/", "/plain", "text/a/b", "text/plain, text/html", "text/plain; charset", ";", "é/x",
	} {
		a.want(400, "PUT", "/api/v1/kv/k", "x", "Content-Type", kind)
	}
	for _, kind := range []string{"application/json", "Application/JSON;charset=utf-8"} {
		deep := strings.Repeat("[", 1001) + strings.Repeat("]", 1001)
		for _, body := range []string{`"\ud800"`, "[\n\"\\udfff\"]", "\"\xff\"", "{]", "", deep} {
			a.want(400, "PUT", "/api/v1/kv/k", body, "Content-Type", kind)
		}
	}
	if a.node.Revision() != 0 {
		t.Errorf("%d entries are in the log", a.node.Revision())
	}
}

func TestAnETagThatAProxyChangedIsExplained(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	for _, tag := range []string{`W/"1"`, `"1-gzip"`, `W/"1-gzip"`, `"1--gzip"`, `"1;gzip"`, `"1-br"`} {
		for _, method := range []string{"PUT", "DELETE"} {
			e := decode[api.ErrorBody](t, a.want(400, method, "/api/v1/kv/a", "", "If-Match", tag).body).Error
			if !strings.Contains(e.Message, tag) || !strings.Contains(e.Message, "proxy") ||
				!strings.Contains(e.Message, `If-Match: "1"`) {
				t.Errorf("If-Match: %s: %s", tag, e.Message)
			}
		}
	}
	for _, tag := range []string{`W/1`, `W/"x"`, `"x-gzip"`, `"1-zip"`, `"-gzip"`, `W/"`} {
		e := decode[api.ErrorBody](t, a.want(400, "PUT", "/api/v1/kv/a", "", "If-Match", tag).body).Error
		if strings.Contains(e.Message, "proxy") {
			t.Errorf("If-Match: %s: %s", tag, e.Message)
		}
	}
}

func TestContentTypesAreTheSameWithParameters(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for i, kind := range []string{
		"application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8",
	} {
		path := fmt.Sprintf("/api/v1/kv/%d", i)
		a.want(200, "PUT", path, `{"n": 1}`, "Content-Type", kind)
		a.want(400, "PUT", path, `{"n"}`, "Content-Type", kind)
		if got := a.want(200, "GET", path, ""); got.header.Get("Content-Type") != kind {
			t.Errorf("%s is served as %s", kind, got.header.Get("Content-Type"))
		}
		for _, accept := range []string{
			"application/json", "text/html, application/json;q=0.9", "APPLICATION/JSON; charset=utf-8",
		} {
			record := decode[api.Record](t, a.want(200, "GET", path, "", "Accept", accept).body)
			if string(record.Value) != `{"n": 1}` || record.ContentType != kind {
				t.Errorf("%s for %s: %s %+v", kind, accept, record.Value, record.RecordMeta)
			}
		}
		swapped := a.want(200, "POST", api.PathCommand,
			fmt.Sprintf(`{"op":"cas","key":"%d","expected":{"n":1.0},"value":2}`, i))
		if !strings.Contains(swapped.body, `"swapped":true`) {
			t.Errorf("%s compares as %s", kind, swapped.body)
		}
	}
	for _, accept := range []string{
		"application/json-seq", "application/json;q=0", "application/json ; charset=utf-8 ; Q=0.000", "text/plain;q=1",
	} {
		if got := a.want(200, "GET", "/api/v1/kv/0", "", "Accept", accept); got.body != "2" {
			t.Errorf("Accept: %s gave %s", accept, got.body)
		}
	}
	for _, kind := range []string{
		"text/plain", "image/svg+xml", "text/plain;charset=utf-8", `multipart/x; boundary="a b"`, "text/plain;", "x-a/y.z-1",
	} {
		a.want(200, "PUT", "/api/v1/kv/t", "x", "Content-Type", kind)
		if got := a.want(200, "GET", "/api/v1/kv/t", ""); got.header.Get("Content-Type") != kind {
			t.Errorf("%s is served as %s", kind, got.header.Get("Content-Type"))
		}
	}
}

// An entry that an earlier version accepted must not make the log unreadable for every tool.
func TestTheLogPageIsJSONWhateverTheLogHolds(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		for i, command := range []string{`[1,,2]`, "\xff\xfe", `01x`, ``, `{"op":"put","key":"a","value":"b"}`} {
			n.log = append(n.log, raft.Entry{Index: raft.Index(i + 1), Term: 3, Command: []byte(command)})
		}
	})
	text := a.want(200, "GET", api.PathLogs, "").body
	page := decode[api.LogPage](t, text)
	if len(page.Entries) != 5 || !json.Valid([]byte(text)) {
		t.Fatalf("the page is %s", text)
	}
	for i, want := range []string{`"[1,,2]"`, "\"\ufffd\ufffd\"", `"01x"`, `""`, `{"op":"put","key":"a","value":"b"}`} {
		if got := string(page.Entries[i].Command); got != want {
			t.Errorf("entry %d is shown as %s, want %s", i+1, got, want)
		}
	}
}

// Bytes that are JSON except for invalid UTF-8 would make a record that no client can read.
func TestRecordsAreUTF8(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { // of an old log
		old := &kv.Put{Key: []byte("a"), Value: []byte("\"\xff\""), ContentType: kv.TypeJSON}
		n.store.Apply(kv.Entry{Revision: 1, Timestamp: 1700000000000001, Command: old.AppendJSON(nil)})
	})
	record := decode[api.Record](t, a.want(200, "GET", "/api/v1/kv/a", "", "Accept", "application/json").body)
	if record.Encoding != api.EncodingBase64 || string(record.Value) != `"Iv8i"` {
		t.Errorf("the record is %s %+v", record.Value, record.RecordMeta)
	}
}
