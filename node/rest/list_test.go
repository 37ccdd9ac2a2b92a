package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// put writes keys, each with its own name as its value, and returns the revision of the last one.
func (a *testAPI) put(keys ...string) uint64 {
	a.t.Helper()
	revision := uint64(0)
	for _, key := range keys {
		answered := a.want(200, "PUT", api.KeyPath(key), "value of "+key, "Content-Type", "text/plain")
		revision = decode[api.PutResponse](a.t, answered.body).Revision
	}
	return revision
}

// list returns the page of a query.
func (a *testAPI) list(query string) api.ListPage {
	a.t.Helper()
	return decode[api.ListPage](a.t, a.want(200, "GET", api.PathList+"?"+query, "").body)
}

// lines returns the lines of a streamed list.
func (a *testAPI) lines(query string) []api.ListLine {
	a.t.Helper()
	got := a.want(200, "GET", api.PathList+"?"+query, "", "Accept", "application/x-ndjson")
	if got.header.Get("Content-Type") != "application/x-ndjson" {
		a.t.Errorf("the lines have the type %q", got.header.Get("Content-Type"))
	}
	var lines []api.ListLine
	for line := range strings.Lines(got.body) {
		lines = append(lines, decode[api.ListLine](a.t, line))
	}
	return lines
}

// compact compacts to a revision.
func (a *testAPI) compact(revision uint64) {
	a.t.Helper()
	got := a.want(200, "POST", api.PathCompact, fmt.Sprintf(`{"revision":%d}`, revision))
	if answered := decode[api.CompactResponse](a.t, got.body); answered.Revision < revision {
		a.t.Errorf("compacting to %d answered %+v", revision, answered)
	}
}

// wantCode fails the test unless a GET is refused with a code.
func (a *testAPI) wantCode(code api.Code, path string, headers ...string) {
	a.t.Helper()
	_ = a.refusal(code, path, headers...)
}

// refusal returns the error of a GET, and fails the test unless it has the code.
func (a *testAPI) refusal(code api.Code, path string, headers ...string) *api.Error {
	a.t.Helper()
	got := decode[api.ErrorBody](a.t, a.want(code.Status(), "GET", path, "", headers...).body).Error
	if got.Code != code {
		a.t.Errorf("GET %s: %+v, want %s", path, got, code)
	}
	return got
}

func keysOf(records []api.Record) []string {
	names := []string{}
	for _, r := range records {
		names = append(names, r.Key)
	}
	return names
}

// The texts of the contract, independent of the types.
func TestAListAsText(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/app%2Fa", "text", "Content-Type", "text/plain")
	a.want(200, "PUT", "/api/v1/kv/app%2Fb%2Fc", "\xff\x00")
	a.want(200, "POST", "/api/command", `{"op":"set","key":"app/d","value":{"x":[1]}}`)
	a.want(200, "DELETE", "/api/v1/kv/app%2Fa", "")
	a.want(200, "PUT", "/api/v1/kv/app%2Fa", "again")
	const (
		modified = `"modified":1700000000.000001}`
		first    = `{"key":"app/a","value":"again","content_type":"application/octet-stream","revision":5,` +
			`"create_revision":5,"version":1,` + modified
		second = `{"key":"app/b/c","value":"/wA=","encoding":"base64","content_type":"application/octet-stream",` +
			`"revision":2,"create_revision":2,"version":1,` + modified
		third = `{"key":"app/d","value":{"x":[1]},"content_type":"application/json","revision":3,"create_revision":3,` +
			`"version":1,` + modified
		before = `{"key":"app/a","value":"text","content_type":"text/plain","revision":1,"create_revision":1,"version":1,` +
			modified
	)
	for _, c := range []struct{ path, accept, want string }{
		{"kv?prefix=app/", "", `{"revision":5,"records":[` + first + `,` + second + `,` + third + `]}`},
		{"kv?prefix=app/&delimiter=/", "", `{"revision":5,"records":[` + first + `,` + third + `],"folders":["app/b/"]}`},
		{"kv?prefix=none", "", `{"revision":5,"records":[]}`},
		{"kv?prefix=none&delimiter=/", "", `{"revision":5,"records":[],"folders":[]}`},
		{"kv?count", "", `{"revision":5,"count":3}`},
		{"kv?count&prefix=app/&revision=4", "", `{"revision":4,"count":2}`},
		{"kv?prefix=app/", "application/x-ndjson", first + "\n" + second + "\n" + third + "\n" +
			`{"end":true,"revision":5,"count":3}`},
		{"kv?prefix=app/&delimiter=/&revision=2", "application/x-ndjson", before + "\n" + `{"folder":"app/b/"}` + "\n" +
			`{"end":true,"revision":2,"count":2}`},
		{
			"kv/app%2Fa", "application/json",
			strings.TrimSuffix(first, "}") + `,"mod_revision":5}`,
		},
		{
			"kv/app%2Fa?revision=2", "application/json",
			strings.TrimSuffix(before, "}") + `,"mod_revision":1}`,
		},
		{
			"kv/app%2Fa?history", "", `{"key":"app/a","revision":5,"compacted_revision":0,"versions":[` +
				`{` + strings.TrimPrefix(first, `{"key":"app/a",`) + `,{"revision":4,"deleted":true,` + modified +
				`,{` + strings.TrimPrefix(before, `{"key":"app/a",`) + `]}`,
		},
		{
			"kv?prefix=app/&keys_only&limit=1", "", `{"revision":5,"records":[{"key":"app/a",` +
				`"content_type":"application/octet-stream","revision":5,"create_revision":5,"version":1,` + modified +
				`],"cursor":"` + cursor{5, "app/b/c"}.encode(&span{from: "app/", to: "app0", prefix: "app/"}) + `"}`,
		},
	} {
		got := a.want(200, "GET", "/api/v1/"+c.path, "", "Accept", c.accept).body
		if got != c.want+"\n" {
			t.Errorf("%s\n got %s want %s", c.path, got, c.want)
		}
	}
	if got := a.want(200, "POST", api.PathCompact, `{"revision":4}`).body; got != "{\"revision\":4}\n" {
		t.Errorf("a compaction answered %s", got)
	}
	command := a.want(200, "POST", "/api/command", `{"op":"compact","revision":3}`).body
	if command != `{"index":7,"term":3,"result":{"revision":4}}`+"\n" {
		t.Errorf("a compaction as a command answered %s", command)
	}
	refused := a.want(410, "GET", "/api/v1/kv?revision=3", "").body
	if !strings.Contains(refused, `"code":"compacted"`) || !strings.Contains(refused, `"oldest_revision":4`) {
		t.Errorf("a compacted revision answered %s", refused)
	}
}

func TestAListIsOfARange(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a", "app", "app/1", "app/2", "app/2/x", "app0", "b", "\u00ff", "\U0001F6F6")
	for query, want := range map[string]string{
		"":                              "a app app/1 app/2 app/2/x app0 b \u00ff \U0001F6F6",
		"prefix=app/":                   "app/1 app/2 app/2/x",
		"prefix=app":                    "app app/1 app/2 app/2/x app0",
		"from=app/2":                    "app/2 app/2/x app0 b \u00ff \U0001F6F6",
		"from=app/2&to=b":               "app/2 app/2/x app0",
		"to=app":                        "a",
		"prefix=app/&from=app/2":        "app/2 app/2/x",
		"prefix=app/&to=app/2":          "app/1",
		"prefix=app/&from=a&to=z":       "app/1 app/2 app/2/x",
		"from=b&to=a":                   "",
		"from=b&to=b":                   "",
		"from=%F0&to=%ff":               "\U0001F6F6", // bounds are bytes
		"prefix=%C3":                    "\u00ff",
		"prefix=app/&delimiter=%2F":     "app/1 app/2 app/2/",
		"delimiter=%2F":                 "a app app/ app0 b \u00ff \U0001F6F6",
		"from=app/2/x&delimiter=%2F":    "app/ app0 b \u00ff \U0001F6F6",
		"keys_only=false&limit=3":       "a app app/1",
		"prefix=app/&keys_only=true":    "app/1 app/2 app/2/x",
		"revision=3":                    "a app app/1",
		"revision=3&from=app/1&limit=1": "app/1",
	} {
		var streamed []string
		for _, line := range a.lines(query) {
			if !line.End {
				streamed = append(streamed, line.Key+line.Folder)
			}
		}
		if got := strings.Join(streamed, " "); got != want {
			t.Errorf("%s as lines: %s, want %s", query, got, want)
		}
		page := a.list(query)
		listed := append(keysOf(page.Records), page.Folders...)
		slices.Sort(listed)
		if got := strings.Join(listed, " "); got != want {
			t.Errorf("%s as a page: %s, want %s", query, got, want)
		}
		if strings.Contains(query, "delimiter") || strings.Contains(query, "limit") || strings.Contains(query, "keys_only") {
			continue
		}
		answered := a.want(200, "GET", api.PathList+"?count&"+query, "").body
		if counted := decode[api.CountResponse](t, answered); counted.Count != uint64(len(streamed)) {
			t.Errorf("%s has the count %+v, want %d", query, counted, len(streamed))
		}
	}
}

// Between the pages keys are written, replaced and deleted: the list shows none of it.
func TestPagesAreOfOneRevision(t *testing.T) {
	t.Parallel()
	a := serve(t)
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("list/%02d", i))
	}
	revision := a.put(want...)
	var got []string
	query := url.Values{"prefix": {"list/"}, "limit": {"7"}}
	for pages := 0; ; pages++ {
		page := a.list(query.Encode())
		got = append(got, keysOf(page.Records)...)
		if page.Revision != revision || pages > 3 {
			t.Fatalf("page %d is of revision %d, want %d", pages, page.Revision, revision)
		}
		for _, r := range page.Records {
			if string(r.Value) != `"value of `+r.Key+`"` {
				t.Errorf("%s has the value %s", r.Key, r.Value)
			}
		}
		if page.Cursor == "" {
			break
		}
		a.want(200, "DELETE", api.KeyPath(want[20+pages]), "")
		a.want(200, "PUT", api.KeyPath(want[24]), "replaced")
		a.put(fmt.Sprintf("list/00/%d", pages), fmt.Sprintf("list/99/%d", pages))
		query.Set("cursor", page.Cursor)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %q", got)
	}
}

// A page is read on another node than the one before. It has not applied the revision of the first page yet.
func TestACursorContinuesOnANodeThatIsBehind(t *testing.T) {
	t.Parallel()
	a, b := serve(t), serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = node.ErrNoLeader })
	a.put("a", "b", "c")
	b.put("a", "b")
	cursor := a.list("limit=1").Cursor
	b.node.awaitErr = node.ErrNotReady
	e := b.refusal(api.CodeNotReady, api.PathList+"?limit=1&cursor="+cursor)
	if !strings.Contains(e.Message, "has applied revision 2") {
		t.Errorf("error is %+v", e)
	}
	b.node.mu.Lock()
	b.node.awaitErr = nil
	b.node.onAwait = func() { b.node.apply(`{"op":"set","key":"c","value":1}`) }
	b.node.mu.Unlock()
	page := b.list("limit=1&cursor=" + cursor) // no leader: what was committed needs no confirmation
	if b.node.awaited != 3 || page.Revision != 3 || page.Records[0].Key != "b" {
		t.Errorf("waited for %d, and got %+v", b.node.awaited, page)
	}
}

func TestPastRevisionsAreRead(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/k", "one")
	a.want(200, "PUT", "/api/v1/kv/other", "x")
	a.want(200, "PUT", "/api/v1/kv/k", "two")
	a.want(200, "DELETE", "/api/v1/kv/k", "")
	a.want(200, "PUT", "/api/v1/kv/k", "three")
	for revision, want := range map[int]string{1: "one", 2: "one", 3: "two", 5: "three"} {
		got := a.want(200, "GET", fmt.Sprintf("/api/v1/kv/k?revision=%d", revision), "")
		if got.body != want {
			t.Errorf("at %d it is %q, want %q", revision, got.body, want)
		}
	}
	second := a.want(200, "GET", "/api/v1/kv/k?revision=3", "").header
	for name, want := range map[string]string{
		"ETag": `"3"`, "X-Revision": "3", "X-Create-Revision": "1", "X-Version": "2", "X-Raft-Term": "3",
	} {
		if second.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, second.Get(name), want)
		}
	}
	a.want(304, "GET", "/api/v1/kv/k?revision=3", "", "If-None-Match", `"3"`)
	if e := a.refusal(api.CodeNotFound, "/api/v1/kv/k?revision=4"); !strings.Contains(e.Message, "revision 4") {
		t.Errorf("error is %+v", e)
	}
	if got := a.want(200, "GET", "/api/v1/kv/k", "").header.Get("X-Version"); got != "1" {
		t.Errorf("after a delete the version is %s", got)
	}
}

func TestAPastRevisionNeedsNoLeader(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = node.ErrNoLeader })
	a.put("k", "k")
	a.wantCode(api.CodeNoLeader, "/api/v1/kv/k")
	a.want(200, "GET", "/api/v1/kv/k?revision=1", "")
	a.wantCode(api.CodeNoLeader, "/api/v1/kv?prefix=k")
	a.want(200, "GET", "/api/v1/kv?revision=2", "")
	a.wantCode(api.CodeNoLeader, "/api/v1/kv/k?revision=3") // whether it exists is not known here
	a.wantCode(api.CodeNotReady, "/api/v1/kv/k?revision=3&consistency=stale")
	a.wantCode(api.CodeNotReady, "/api/v1/kv?revision=3&consistency=stale")
}

func TestAFutureRevisionIsInvalidUnlessItIsAwaited(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("k")
	for _, path := range []string{"/api/v1/kv/k", "/api/v1/kv"} {
		next := a.node.Revision() + 1
		e := a.refusal(api.CodeInvalid, fmt.Sprintf("%s?revision=%d", path, next))
		if !strings.Contains(e.Message, "the newest is") {
			t.Errorf("error is %+v", e)
		}
		a.node.onAwait = func() { a.node.apply(`{"op":"set","key":"k","value":1}`) }
		a.want(200, "GET", fmt.Sprintf("%s?revision=%d&min_revision=%d", path, next, next), "")
	}
}

func TestCompactedRevisionsAreGone(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("k", "k", "k", "k", "l")
	cursor := a.list("revision=2&limit=1").Cursor
	if cursor != "" {
		t.Fatal("one key has a second page")
	}
	cursor = a.list("limit=1").Cursor
	a.compact(3)
	for _, path := range []string{"/api/v1/kv/k?revision=2", "/api/v1/kv?revision=2", "/api/v1/kv?count&revision=2"} {
		if e := a.refusal(api.CodeCompacted, path); e.OldestRevision != 3 {
			t.Errorf("GET %s: %+v", path, e)
		}
	}
	a.want(200, "GET", "/api/v1/kv/k?revision=3", "")
	a.list("limit=1&cursor=" + cursor)
	a.compact(6)
	if e := a.refusal(api.CodeCompacted, "/api/v1/kv?limit=1&cursor="+cursor); e.OldestRevision != 6 {
		t.Errorf("a cursor of revision 5: %+v", e)
	}
	a.compact(2) // done already
	e := a.refusal(api.CodeCompacted, "/api/v1/kv/k?revision=5", "Accept", "application/json")
	if e.OldestRevision != 6 {
		t.Errorf("error is %+v", e)
	}
}

func TestTheHistoryOfAKey(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for i := range 40 {
		a.want(200, "PUT", "/api/v1/kv/k", fmt.Sprint(i))
	}
	a.want(200, "DELETE", "/api/v1/kv/k", "")
	history := func(query string) api.HistoryPage {
		return decode[api.HistoryPage](t, a.want(200, "GET", "/api/v1/kv/k?history&"+query, "").body)
	}
	whole := history("")
	if len(whole.Versions) != 41 || !whole.Versions[0].Deleted || whole.Versions[40].Revision != 1 || whole.More {
		t.Errorf("the history is %+v", whole)
	}
	var got []api.Version
	before := uint64(0)
	for more := true; more; {
		query := "limit=6"
		if before > 0 {
			query += fmt.Sprintf("&before=%d", before)
		}
		page := history(query)
		got, more = append(got, page.Versions...), page.More
		before = got[len(got)-1].Revision
	}
	same := func(a, b api.Version) bool { return a.Revision == b.Revision && string(a.Value) == string(b.Value) }
	if !slices.EqualFunc(got, whole.Versions, same) {
		t.Errorf("the pages have %+v", got)
	}
	a.compact(30)
	kept := history("")
	if last := kept.Versions[len(kept.Versions)-1]; kept.CompactedRevision != 30 || last.Revision != 30 {
		t.Errorf("after the compaction it ends with %+v, at %d", last, kept.CompactedRevision)
	}
	if older := history("before=30"); len(older.Versions) != 0 || older.Versions == nil {
		t.Errorf("before the compaction is %+v", older)
	}
	a.compact(42)
	a.wantCode(api.CodeNotFound, "/api/v1/kv/k?history") // deleted, and the deletion is compacted
	a.wantCode(api.CodeNotFound, "/api/v1/kv/none?history")
}

func TestAHistoryOfLargeVersionsHasSeveralPages(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for range 6 {
		a.want(200, "PUT", "/api/v1/kv/k", strings.Repeat("v", 1<<20))
	}
	page := decode[api.HistoryPage](t, a.want(200, "GET", "/api/v1/kv/k?history", "").body)
	if len(page.Versions) != 4 || !page.More {
		t.Errorf("a page has %d versions, more: %t", len(page.Versions), page.More)
	}
}

func TestAPageEndsWhereTheValuesAreLarge(t *testing.T) {
	t.Parallel()
	a := serve(t)
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("k%02d", i))
		a.want(200, "PUT", "/api/v1/kv/"+names[i], strings.Repeat("v", 1<<20))
	}
	first := a.list("")
	second := a.list("cursor=" + first.Cursor)
	if len(first.Records) != 8 || second.Cursor != "" {
		t.Errorf("the first page has %d keys, the second %d", len(first.Records), len(second.Records))
	}
	if got := append(keysOf(first.Records), keysOf(second.Records)...); !slices.Equal(got, names) {
		t.Errorf("the pages have %q", got)
	}
}

func TestAPageHasAtMostTenThousandKeys(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.scan = manyKeys(1_000_000, 16) })
	for query, want := range map[string]int{
		"": 1000, "limit=1": 1, "limit=513": 513, "limit=10000": 10_000, "limit=99999999999": 10_000,
	} {
		page := a.list(query)
		if len(page.Records) != want || page.Cursor == "" {
			t.Errorf("%q has %d keys, cursor %q", query, len(page.Records), page.Cursor)
		}
	}
}

// Keys that did not exist at the revision cost visits and give no records: a page ends, and is continued.
func TestAPageOfNothingEnds(t *testing.T) {
	t.Parallel()
	scans := 0
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.scan = func(q kv.Query) (kv.Page, error) {
			scans++
			return kv.Page{Next: q.From + "a", Revision: 1}, nil
		}
	})
	a.put("a")
	page := a.list("revision=1")
	if len(page.Records) != 0 || page.Cursor == "" || scans != listChunks {
		t.Errorf("after %d chunks the page is %+v", scans, page)
	}
}

func TestQueriesOfListsThatCannotBe(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a", "b", "c")
	cursor := a.list("prefix=&limit=1").Cursor
	for query, names := range map[string]string{
		"delimiter=":                             "delimiter must be UTF-8 text",
		"delimiter=%ff":                          "delimiter must be UTF-8 text",
		"limit=0":                                "limit is 0",
		"limit=-1":                               "limit must be a whole number",
		"limit=1&limit=2":                        "limit comes 2 times",
		"revision=0":                             "revision must be a revision",
		"revision=x":                             "revision must be a revision",
		"keys_only=maybe":                        "keys_only must be true or false",
		"count=2":                                "count must be true or false",
		"count&limit=1":                          "count does not go with limit",
		"count&delimiter=/":                      "count does not go with delimiter",
		"count&cursor=" + cursor:                 "count does not go with cursor",
		"cursor=":                                "is not one of this list",
		"cursor=" + cursor + "A":                 "is not one of this list",
		"cursor=" + cursor + "%0A":               "is not one of this list",
		"cursor=" + cursor[1:]:                   "is not one of this list",
		"prefix=a&cursor=" + cursor:              "is not one of this list",
		"delimiter=/&cursor=" + cursor:           "is not one of this list",
		"cursor=" + strings.Repeat("A", 9000):    "is not one of this list",
		"revision=1&cursor=" + cursor:            "the cursor is of revision 3",
		"consistency=strong":                     "consistency must be",
		"max_stale=1s":                           "max_stale goes with",
		"history":                                "unknown parameter",
		"min_revision=1&min_revision=2&cursor=x": "2 times",
	} {
		a.refuses(names, "GET", api.PathList+"?"+query, "")
	}
	for query, names := range map[string]string{
		"history=x":             "history must be true or false",
		"before=1":              "before and limit go with history",
		"limit=1":               "before and limit go with history",
		"history&before=0":      "before must be a revision",
		"history&limit=0":       "limit is 0",
		"history&revision=1":    "revision does not go with history",
		"history&cursor=" + "x": "unknown parameter",
	} {
		a.refuses(names, "GET", "/api/v1/kv/a?"+query, "")
	}
	long := strings.Repeat("k", kv.MaxKeyBytes+1)
	for _, name := range []string{"prefix", "from", "to", "delimiter"} {
		e := a.refusal(api.CodeTooLarge, api.PathList+"?"+name+"="+long)
		if e.Limit != kv.MaxKeyBytes || !strings.Contains(e.Message, name) {
			t.Errorf("a long %s: %+v", name, e)
		}
	}
}

func TestAListIsAsFreshAsAsked(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.status.StalenessMs = 1500 })
	a.put("a")
	got := a.want(200, "GET", api.PathList, "")
	if got.header.Get("X-Consistency") != "linearizable" || a.node.barriers != 1 {
		t.Errorf("%d barriers, %v", a.node.barriers, got.header)
	}
	got = a.want(200, "GET", api.PathList+"?consistency=stale&max_stale=2s", "")
	if got.header.Get("X-Consistency") != "stale" || a.node.barriers != 1 {
		t.Errorf("%d barriers, %v", a.node.barriers, got.header)
	}
	for _, more := range []string{"", "&count"} {
		for _, accept := range []string{"application/json", "application/x-ndjson"} {
			a.wantCode(api.CodeNotReady, api.PathList+"?consistency=stale&max_stale=1s"+more, "Accept", accept)
		}
	}
}

func TestAListThatFindsNoMemoryIsRefused(t *testing.T) {
	t.Parallel()
	a := serve(t, within(budget.NewMemory(4<<20)), func(n *fakeNode, _ *Options) { n.scan = manyKeys(1_000_000, 1024) })
	full := a.memoryFull()
	wantOverloaded(t, a.ask("GET", api.PathList, ""))
	a.want(200, "GET", api.PathList+"?limit=1", "")
	full.Close()
	a.want(200, "GET", api.PathList, "")
	got := a.want(200, "HEAD", api.PathList, "", "Accept", "application/x-ndjson")
	if got.body != "" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %q, %v", got.body, got.header)
	}
}

// manyKeys returns the pages of a range of n keys with values of a size, without holding them.
func manyKeys(n, size int) func(kv.Query) (kv.Page, error) {
	value := []byte(strings.Repeat("v", size))
	return func(q kv.Query) (kv.Page, error) {
		first := 0
		if q.From != "" {
			_, _ = fmt.Sscanf(q.From, "key-%d", &first)
		}
		page := kv.Page{Revision: 1}
		for i := first; i < min(n, first+q.Limit); i++ {
			page.Items = append(page.Items, kv.Item{Record: kv.Record{
				Key: fmt.Sprintf("key-%07d", i), Value: value, ContentType: "text/plain", CreateRevision: 1, ModRevision: 1,
				Version: 1,
			}})
		}
		if next := first + len(page.Items); next < n {
			page.Next = fmt.Sprintf("key-%07d", next)
		}
		return page, nil
	}
}

func TestStatusAndMetricsCountTheState(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.status.Store = api.Store{Keys: 3, LiveBytes: 400, HistoryVersions: 5, HistoryBytes: 600, CompactedRevision: 7}
	})
	text := a.want(200, "GET", "/metrics", "").body
	for _, line := range []string{
		"kontiki_keys 3", "kontiki_live_bytes 400", "kontiki_history_versions 5", "kontiki_history_bytes 600",
		"kontiki_compacted_revision 7",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	status := a.want(200, "GET", "/api/status", "").body
	var named struct {
		Nodes []struct{ Store map[string]int }
	}
	if err := json.Unmarshal([]byte(status), &named); err != nil || named.Nodes[0].Store["history_versions"] != 5 {
		t.Errorf("status is %s, %v", status, err)
	}
	if a.want(200, "GET", api.PathList, "").status != http.StatusOK {
		t.Error("an empty state cannot be listed")
	}
}
