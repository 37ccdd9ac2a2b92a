package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

// door is a way in which a command comes to a node. grows: it is refused for want of room.
type door struct {
	method, path, body string
	grows              bool
}

func doorsOf(command string, grows bool) []door {
	return []door{
		{"POST", api.PathCommand, command, grows},
		{"POST", api.PathBatch, command, grows},
		{"POST", api.PathTxn, strings.Replace(command, `"op":"txn",`, "", 1), grows},
	}
}

// Every operation that may add data is refused at every door alike, and no other operation is (507 quota_exceeded).
func TestEveryDoorRefusesWhatThereIsNoRoomFor(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/k", "1")
	a.node.mu.Lock()
	a.node.full = fmt.Errorf("%w: it holds 2.0 GiB of 2.0 GiB", node.ErrQuotaExceeded)
	a.node.mu.Unlock()
	var doors []door
	for _, command := range []string{
		`{"op":"put","key":"k","value":""}`, `{"op":"set","key":"k","value":1}`, `{"op":"incr","key":"n","by":-1}`,
		`{"op":"cas","key":"k","expected":1,"value":2}`,
	} {
		doors = append(doors, doorsOf(command, true)[:2]...)
	}
	for _, branches := range []string{
		`"then":[{"put":{"key":"k","value":"1"}}]`, `"then":[{"set":{"key":"k","value":1}}]`,
		`"if":[{"key":"k","exists":true}],"then":[{"delete":{"key":"k"}}],"else":[{"incr":{"key":"n"}}]`,
		`"then":[{"get":{"key":"k"}},{"cas":{"key":"k","expected":1,"value":1}}]`,
	} {
		doors = append(doors, doorsOf(`{"op":"txn",`+branches+`}`, true)...)
	}
	for _, branches := range []string{
		`"then":[{"delete":{"key":"a"}},{"get":{"key":"k"}}]`, `"then":[{"count":{"prefix":""}}]`,
	} {
		doors = append(doors, doorsOf(`{"op":"txn",`+branches+`}`, false)...)
	}
	for _, command := range []string{`{"op":"delete","key":"a"}`, `{"op":"get","key":"k"}`} {
		doors = append(doors, doorsOf(command, false)[:2]...)
	}
	doors = append(doors,
		door{"PUT", "/api/v1/kv/k", "v", true}, door{"DELETE", "/api/v1/kv/a", "", false},
		door{"DELETE", "/api/v1/kv?prefix=a", "", false}, door{"GET", "/api/v1/kv/k", "", false},
		door{"GET", "/api/v1/kv?prefix=", "", false}, door{"POST", api.PathCompact, `{"revision":1}`, false},
	)
	for _, d := range doors {
		a.wantRoom(t, d)
	}
	if record, ok := a.node.Get("k"); !ok || string(record.Value) != "1" {
		t.Errorf("k is %+v", record)
	}
}

// wantRoom wants a door to be open, or to answer that there is no room.
func (a *testAPI) wantRoom(t *testing.T, d door) {
	t.Helper()
	if d.path == api.PathBatch {
		line := decode[api.BatchResult](t, a.want(200, d.method, d.path, d.body).body)
		if refused := line.Error != nil && line.Error.Code == api.CodeQuotaExceeded; refused != d.grows {
			t.Errorf("a line %s: %+v", d.body, line.Error)
		}
		return
	}
	if !d.grows {
		a.want(200, d.method, d.path, d.body)
		return
	}
	e := decode[api.ErrorBody](t, a.want(507, d.method, d.path, d.body).body).Error
	if e.Code != api.CodeQuotaExceeded || !strings.Contains(e.Message, "2.0 GiB of 2.0 GiB") {
		t.Errorf("%s %s %s: %+v", d.method, d.path, d.body, e)
	}
}
