package transport

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// appendBodies are append-entries bodies in our own form and in forms that only look like it.
var appendBodies = []string{
	string(appendRequest(nil, &raft.Message{Type: raft.MsgAppendEntries, From: 1, Term: 1})),
	string(appendRequest(nil, &raft.Message{
		Type: raft.MsgAppendEntries, From: 1, Term: 1 << 63, RequestID: 1<<64 - 1,
		Entries: entries(1, `{"op":"noop"}`, `{"a":"\\\"}{","b":[[{}],-1.5e+3,true,null]}`, `""`, `"\\"`, `-0`, `false`),
	})),
	`{"term":1,"leader_id":1,"prev_log_index":1,"prev_log_term":1,"prev_log_digest":4294967296,"entries":[],` +
		`"leader_commit":0,"request_id":0,"read_seq":0}`,
	`{"term":1,"leader_id":1,"prev_log_index":1,"prev_log_term":1,"prev_log_digest":0,"entries":[],` +
		`"leader_commit":0,"request_id":0,"read_seq":0}`,
	`{"term":1,"leader_id":1,"prev_log_index":0,"prev_log_term":0,"entries":[` +
		`{"index":1,"term":1,"type":"command","command":{"a":1} ,"timestamp":1.000000}` +
		`],"leader_commit":0,"request_id":0,"read_seq":0}`,
	`{"leader_id":1,"term":01}`, `{"TERM":1,"leader_id":1,"extra":{"term":2},"entries":null}`,
	`{"term":18446744073709551616,"leader_id":1,"prev_log_index":0}`,
	oneEntry(`{"op":"noop"}`, "command", "1.000000"), oneEntry(`{"op":"set"}`, "noop", "1.000000"),
	oneEntry(`{"op":"set"}`, "config", "1.000000"), oneEntry(`1`, "command", "-0.000000"),
	oneEntry(`1`, "command", "9223372036854.775807"), oneEntry(`1`, "command", "1.00000"),
	oneEntry(`{"a":[}]`, "command", "1.000000"), oneEntry(`{"a":"}`, "command", "1.000000"),
	oneEntry(`tru`, "command", "1.000000"), oneEntry(`{"a":1},"x":{"b":2}`, "command", "1.000000"),
	oneEntry(nested(jsontext.FollowDepth+1), "command", "1.000000"),
	oneEntry(nested(jsontext.FollowDepth), "command", "1.000000"),
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func oneEntry(command, kind, timestamp string) string {
	return `{"term":1,"leader_id":1,"prev_log_index":0,"prev_log_term":0,"entries":[{"index":1,"term":1,"type":"` + kind +
		`","command":` + command + `,"timestamp":` + timestamp + `}],"leader_commit":0,"request_id":0,"read_seq":0}`
}

func TestOurOwnFormIsScanned(t *testing.T) {
	t.Parallel()
	for _, body := range appendBodies[:2] {
		if _, ok := scanAppendEntries([]byte(body)); !ok {
			t.Errorf("not recognised: %s", body)
		}
	}
	m := raft.Message{
		Type: raft.MsgAppendEntriesResponse, Term: 1, Success: true, MatchIndex: 2, RequestID: 3, Disk: raft.DiskFull,
		MatchDigest: 4, ConflictIndex: 5, ConflictTerm: 6, ReadSeq: 7, SentAt: 8, Stamp: 9, Incarnation: 10,
		RequestSnapshot: 11, Level: 12, RemovedBy: 13,
	}
	body := appendResponse(nil, &m)
	if got, ok := scanAppendEntriesResponse(body); !ok || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, want %+v", got, m)
	}
	later := bytes.Replace(body, []byte(`{`), []byte(`{"later":{"more":1},`), 1) // of a newer version
	if got, err := decodeResponse(raft.MsgAppendEntries, later); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
	outcomes := []node.Outcome{{Index: 1, Term: 2, Result: kv.Result{Revision: 1, Created: true}}, {Err: node.ErrNotReady}}
	if got, ok := scanOutcomes(appendOutcomes(nil, outcomes), 2); !ok || !reflect.DeepEqual(got, outcomes) {
		t.Errorf("got %+v, want %+v", got, outcomes)
	}
}

// What the scanner accepts is, to the last byte, what the encoder makes of the message that it found, so nothing
// was cut at a wrong place or misread. And where encoding/json reads the body too, both find the same message.
func FuzzDecodeAppendEntries(f *testing.F) {
	for _, body := range appendBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		scanned, ok := scanAppendEntries(bytes.Clone(body))
		if !ok {
			if m, err := decodeRequest(raft.MsgAppendEntries, body, nil); err == nil && !json.Valid(body) {
				t.Errorf("%+v read from what is not JSON", m)
			}
			return
		}
		if again := appendRequest(nil, &scanned); !bytes.Equal(again, body) {
			t.Errorf("scanned  %q\nmeans    %q", body, again)
		}
		if parsed, err := parseAppendEntries(body, nil); err == nil && !reflect.DeepEqual(parsed, scanned) {
			t.Errorf("scanned %+v\nparsed  %+v", scanned, parsed)
		} else if err != nil && json.Valid(body) {
			t.Errorf("scanned %+v, but encoding/json returns %v", scanned, err)
		}
	})
}

func FuzzDecodePropose(f *testing.F) {
	seeds := []string{
		`{"commands":[]}`, `{"commands":[{"op":"set"},{"a":"]}"},[1,[2]],null,-1]}`, `{"commands":[1,]}`,
		`{"commands":[1 ,2]}`, `{"Commands":[1],"more":true}`, `{"commands":[{]}]}`, `{"commands":null}`,
		`{"commands":["\\"]}`,
	}
	for _, body := range seeds {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		scanned, ok := scanCommands(bytes.Clone(body))
		if !ok {
			if commands, err := decodeCommands(body); err == nil && !json.Valid(body) {
				t.Errorf("%q read from what is not JSON", commands)
			}
			return
		}
		if again := appendCommands(scanned); !bytes.Equal(again, body) {
			t.Errorf("scanned %q\nmeans   %q", body, again)
		}
		if parsed, err := parseCommands(body); err == nil && !reflect.DeepEqual(parsed, scanned) {
			t.Errorf("scanned %q\nparsed  %q", scanned, parsed)
		} else if err != nil && json.Valid(body) {
			t.Errorf("scanned %q, but encoding/json returns %v", scanned, err)
		}
	})
}

// FuzzDecodeAnswers feeds what a peer answers to the readers of answers, which must agree with encoding/json.
func FuzzDecodeAnswers(f *testing.F) {
	f.Add(appendResponse(nil, &raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1, Success: true, ReadSeq: 4}))
	done := node.Outcome{Index: 1, Term: 2, Result: kv.Result{Revision: 1}}
	f.Add(appendOutcomes(nil, []node.Outcome{done, {Err: node.ErrNotLeader}}))
	f.Add([]byte(`{"outcomes":[{"error":null}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if scanned, ok := scanAppendEntriesResponse(body); ok {
			if again := appendResponse(nil, &scanned); !bytes.Equal(again, body) {
				t.Errorf("scanned %q\nmeans   %q", body, again)
			}
		}
		outcomes, ok := scanOutcomes(body, 1)
		if !ok {
			return
		}
		if parsed, err := parseOutcomes(body, 1); err == nil && !reflect.DeepEqual(parsed, outcomes) {
			t.Errorf("scanned %+v\nparsed  %+v", outcomes, parsed)
		}
	})
}
