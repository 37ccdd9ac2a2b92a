package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// The four routes of the original API group.

func TestDashboardIsServedAtTheRoot(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) {
		o.Dashboard = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("page of " + r.URL.Path))
		})
	})
	if got := a.want(200, "GET", "/", "").body; got != "page of /" {
		t.Errorf("/ gave %q", got)
	}
	if got := a.want(200, "GET", "/ui/abc/app.js", "").body; got != "page of /ui/abc/app.js" {
		t.Errorf("/ui/ gave %q", got)
	}
}

func TestStatusShowsAllNodes(t *testing.T) {
	t.Parallel()
	got := serve(t).want(200, "GET", "/api/status", "")
	status := decode[api.ClusterStatus](t, got.body)
	if len(status.Nodes) != 2 || status.LeaderID != 1 || status.Term != 3 || status.ClusterID != "demo" {
		t.Errorf("status is %+v", status)
	}
	if away := status.Nodes[1]; away.Healthy || away.AgeMs != -1 || away.Error == "" {
		t.Errorf("the unreachable node is not shown as such: %+v", away)
	}
	// The names of the original API, independent of the types above.
	for _, name := range []string{
		`"cluster_id"`, `"leader_id"`, `"term"`, `"health"`, `"nodes"`, `"id"`, `"address"`, `"state"`, `"current_term"`,
		`"voted_for"`, `"commit_index"`, `"last_applied"`, `"last_log_index"`, `"healthy"`, `"age_ms"`,
	} {
		if !strings.Contains(got.body, name+":") {
			t.Errorf("/api/status lacks %s", name)
		}
	}
}

func TestLogsShowTheReplicatedLog(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for i := 1; i <= 250; i++ {
		a.want(200, "POST", "/api/command", fmt.Sprintf(`{"op":"set","key":"k","value":%d}`, i))
	}
	page := decode[api.LogPage](t, a.want(200, "GET", "/api/logs", "").body)
	if page.FirstIndex != 1 || page.LastIndex != 250 || page.CommitIndex != 250 {
		t.Errorf("bounds are %d, %d, %d", page.FirstIndex, page.LastIndex, page.CommitIndex)
	}
	if len(page.Entries) != 100 || page.Entries[0].Index != 151 || page.Entries[99].Index != 250 {
		t.Fatalf("without from it is not the last 100 entries: %d from %d", len(page.Entries), page.Entries[0].Index)
	}
	e := page.Entries[99]
	if string(e.Command) != `{"op":"set","key":"k","value":250}` || e.Term != 3 || e.Type != "command" ||
		e.Timestamp != 1700000000.000001 {
		t.Errorf("entry is %+v", e)
	}
	page = decode[api.LogPage](t, a.want(200, "GET", "/api/logs?from=10&limit=120", "").body)
	if len(page.Entries) != 120 || page.Entries[0].Index != 10 || page.Entries[119].Index != 129 {
		t.Errorf("from and limit are not kept: %d entries", len(page.Entries))
	}
	page = decode[api.LogPage](t, a.want(200, "GET", "/api/logs?from=0&limit=100000", "").body)
	if len(page.Entries) != 250 {
		t.Errorf("the whole log has %d entries", len(page.Entries))
	}
	page = decode[api.LogPage](t, a.want(200, "GET", "/api/logs?from=999", "").body)
	if page.Entries == nil || len(page.Entries) != 0 || page.LastIndex != 250 {
		t.Errorf("beyond the end it is %+v", page)
	}
}

func TestLogsOfAnEmptyLog(t *testing.T) {
	t.Parallel()
	page := decode[api.LogPage](t, serve(t).want(200, "GET", "/api/logs", "").body)
	if page.Entries == nil || len(page.Entries) != 0 || page.LastIndex != 0 {
		t.Errorf("an empty log is %+v", page)
	}
}

func TestLogsEndAPageWhereEntriesAreLarge(t *testing.T) {
	t.Parallel()
	large := []byte(`{"op":"put","key":"large","value":"` + strings.Repeat("x", logPageBytes/logStretch) + `"}`)
	a := serve(t, func(n *fakeNode, _ *Options) {
		for i := range raft.Index(2 * logStretch) {
			n.log = append(n.log, raft.Entry{Index: i + 1, Term: 1, Command: large})
		}
	})
	page := decode[api.LogPage](t, a.want(200, "GET", "/api/logs?from=1&limit=1000", "").body)
	if len(page.Entries) != logStretch {
		t.Errorf("a page of large entries has %d entries, want %d", len(page.Entries), logStretch)
	}
}

func TestCommandsAnswerAsTheSeedSays(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for _, step := range []struct{ command, answer string }{
		{`{"op":"set","key":"x","value":1}`, `{"index":1,"term":3,"result":{"revision":1,"created":true}}`},
		{`{"value":{"a":[1,2]},"key":"x","op":"set"}`, `{"index":2,"term":3,"result":{"revision":2,"created":false}}`},
		{`{"op":"incr","key":"n"}`, `{"index":3,"term":3,"result":1}`},
		{`{"op":"incr","key":"n","by":41}`, `{"index":4,"term":3,"result":42}`},
		{`{"op":"cas","key":"n","expected":42,"value":43}`, `{"index":5,"term":3,"result":{"swapped":true}}`},
		{
			`{"op":"cas","key":"n","expected":42,"value":44}`,
			`{"index":6,"term":3,"result":{"swapped":false,"value":43}}`,
		},
		{`{"op":"cas","key":"new","expected":null,"value":true}`, `{"index":7,"term":3,"result":{"swapped":true}}`},
		{`{"op":"cas","key":"no","expected":1,"value":2}`, `{"index":8,"term":3,"result":{"swapped":false,"value":null}}`},
		{`{"op":"delete","key":"new"}`, `{"index":9,"term":3,"result":{"deleted":true}}`},
		{`{"op":"delete","key":"new"}`, `{"index":10,"term":3,"result":{"deleted":false}}`},
		{`{"op":"put","key":"raw","value":"a\nb"}`, `{"index":11,"term":3,"result":{"revision":11,"created":true}}`},
		{
			`{"op":"get","key":"x"}`,
			`{"index":11,"term":3,"result":{"a":[1,2]},"record":{"content_type":"application/json",` +
				`"create_revision":1,"mod_revision":2,"version":2}}`,
		},
		{
			`{"op":"get","key":"raw"}`,
			`{"index":11,"term":3,"result":"a\nb","record":{"content_type":"application/octet-stream",` +
				`"create_revision":11,"mod_revision":11,"version":1}}`,
		},
	} {
		got := a.want(200, "POST", "/api/command", step.command)
		if got.body != step.answer+"\n" {
			t.Errorf("%s\n got %s want %s", step.command, got.body, step.answer)
		}
		decode[api.CommandResponse](t, got.body)
	}
	if a.node.barriers != 2 {
		t.Errorf("two gets made %d read barriers; a get is linearizable", a.node.barriers)
	}
	if len(a.node.log) != 11 {
		t.Errorf("the log has %d entries; a get does not go through it", len(a.node.log))
	}
}

func TestClusterViewIsThisNodesOwn(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) { o.Capabilities = []string{"chaos"} })
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	got := a.want(200, "GET", "/api/v1/cluster", "")
	view := decode[api.ClusterView](t, got.body)
	if view.ClusterID != "demo" || view.NodeID != 1 || view.State != "member" || view.Role != "LEADER" ||
		view.Term != 3 || view.LeaderID != 1 || view.LastLogIndex != 1 || view.Version != "1.2.3" {
		t.Errorf("view is %+v", view)
	}
	if len(view.Config.Members) != 3 || view.Config.Members[2].Role != "learner" || view.Capabilities[0] != "chaos" {
		t.Errorf("view is %+v", view)
	}
	if bare := serve(t).want(200, "GET", "/api/v1/cluster", "").body; !strings.Contains(bare, `"capabilities":[]`) {
		t.Errorf("no capabilities are not an empty list: %s", bare)
	}
}

func TestEveryAnswerTellsTermLeaderAndRevision(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) {
		o.Dashboard = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	})
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	a.want(200, "PUT", "/api/v1/kv/b", "1")
	for _, r := range []struct{ method, path, body, revision string }{
		{"GET", "/", "", "2"},
		{"GET", "/api/status", "", "2"},
		{"GET", "/api/logs", "", "2"},
		{"GET", "/api/v1/cluster", "", "2"},
		{"GET", "/api/v1/kv/a", "", "1"}, // the revision of the key
		{"GET", "/api/v1/kv/none", "", "2"},
		{"GET", "/readyz", "", "2"},
		{"GET", "/metrics", "", "2"},
		{"GET", "/nowhere", "", "2"},
		{"POST", "/livez", "", "2"},
		{"POST", "/api/command", `{"op":"set","key":"c","value":1}`, "3"},
		{"POST", "/api/v1/batch", `{"op":"set","key":"c","value":1}`, "4"},
		{"PUT", "/api/v1/kv/a", "2", "5"},
		{"DELETE", "/api/v1/kv/a", "", "6"},
		{"DELETE", "/api/v1/kv/a", "", "0"},
	} {
		h := a.ask(r.method, r.path, r.body).header
		if h.Get("X-Raft-Term") != "3" || h.Get("X-Raft-Leader") != "1" || h.Get("X-Revision") != r.revision {
			t.Errorf("%s %s: term %q, leader %q, revision %q want %q", r.method, r.path, h.Get("X-Raft-Term"),
				h.Get("X-Raft-Leader"), h.Get("X-Revision"), r.revision)
		}
	}
	a.node.mu.Lock()
	a.node.status.CurrentTerm, a.node.status.LeaderID = 9, 0
	a.node.mu.Unlock()
	if h := a.ask("GET", "/livez", "").header; h.Get("X-Raft-Term") != "9" || h.Get("X-Raft-Leader") != "0" {
		t.Errorf("the headers did not follow the node: %v", h)
	}
}
