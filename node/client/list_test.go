package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// put writes keys, each with its own name as its value.
func put(t *testing.T, c *client.Client, keys ...string) (revision uint64) {
	t.Helper()
	for _, key := range keys {
		answered, err := c.Put(t.Context(), key, []byte("value of "+key))
		if err != nil {
			t.Fatal(err)
		}
		revision = answered.Revision
	}
	return revision
}

// namesOf reads a whole range, and returns the names and the error at its end.
func namesOf(ctx context.Context, c *client.Client, r client.Range, options ...client.ReadOption) ([]string, error) {
	var names []string
	for e, err := range c.Scan(ctx, r, options...) {
		if err != nil {
			return names, err
		}
		names = append(names, e.Name())
	}
	return names, nil
}

func TestScanReadsARange(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()[1:2]})
	put(t, c, "a", "app/1", "app/2", "app/2/x", "app/2/y", "app0", "a\x00b", "q?&=%2F+ \u00e9")
	for _, s := range []struct {
		r    client.Range
		want string
	}{
		{client.Range{}, "a|a\x00b|app/1|app/2|app/2/x|app/2/y|app0|q?&=%2F+ \u00e9"},
		{client.Range{Prefix: "app/"}, "app/1|app/2|app/2/x|app/2/y"},
		{client.Range{Prefix: "app/", Delimiter: "/"}, "app/1|app/2|app/2/"},
		{client.Range{From: "app/2", To: "app0", KeysOnly: true}, "app/2|app/2/x|app/2/y"},
		{client.Range{Prefix: "q?&=%2F+ "}, "q?&=%2F+ \u00e9"},
		{client.Range{Limit: 2}, "a|a\x00b"},
		{client.Range{Prefix: "none"}, ""},
	} {
		names, err := namesOf(t.Context(), c, s.r)
		if got := strings.Join(names, "|"); err != nil || got != s.want {
			t.Errorf("%+v has %q, %v, want %q", s.r, got, err, s.want)
		}
		page, err := c.List(t.Context(), s.r, "")
		var listed []string
		for i := range page.Entries {
			listed = append(listed, page.Entries[i].Name())
		}
		if !slices.Equal(listed, names) || err != nil {
			t.Errorf("%+v is listed as %q, %v, want %q", s.r, listed, err, s.want)
		}
	}
	then, err := namesOf(t.Context(), c, client.Range{}, client.AtRevision(2))
	if got := strings.Join(then, "|"); err != nil || got != "a|app/1" {
		t.Errorf("at revision 2 it is %q, %v", got, err)
	}
}

func TestAnEntryHasTheWholeRecord(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	began := time.Now().Add(-time.Second)
	put(t, c, "bytes")
	if _, err := c.Put(t.Context(), "bytes", []byte("\xff\x00")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), "json", []int{1}); err != nil {
		t.Fatal(err)
	}
	var entries []client.Entry
	for e, err := range c.Scan(t.Context(), client.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	first, second := entries[0], entries[1]
	if string(first.Value) != "\xff\x00" || first.Revision != 2 || first.CreateRevision != 1 || first.Version != 2 ||
		first.Modified.Before(began) || string(second.Value) != "[1]" || second.ContentType != "application/json" {
		t.Errorf("entries are %+v", entries)
	}
	for e, err := range c.Scan(t.Context(), client.Range{KeysOnly: true}) {
		if e.Value != nil || err != nil {
			t.Errorf("%s has a value, %v", e.Key, err)
		}
		break // the caller may stop at any time
	}
}

func TestPagesContinueOnAnotherNode(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()[:1]})
	want := []string{"a", "b", "c/1", "d", "e"}
	revision := put(t, c, want...)
	var got []string
	cursor := ""
	for i := 0; ; i++ {
		other := connect(t, client.Config{Endpoints: cluster.URLs()[i%3 : i%3+1]})
		page, err := other.List(t.Context(), client.Range{Limit: 2}, cursor)
		if err != nil || page.Revision != revision {
			t.Fatalf("page %d: %+v, %v", i, page, err)
		}
		for _, e := range page.Entries {
			got = append(got, e.Key)
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
		put(t, c, fmt.Sprintf("b%d", i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %q", got)
	}
	_, err := c.List(t.Context(), client.Range{Prefix: "other"}, "x")
	wantCode(t, err, api.CodeInvalid)
}

func TestCountHistoryAndCompact(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	ctx := t.Context()
	put(t, c, "k", "other", "k")
	if _, err := c.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	last := put(t, c, "k")
	counted, err := c.Count(ctx, client.Range{Prefix: "k"})
	if err != nil || counted.Count != 1 || counted.Revision != last {
		t.Errorf("counted %+v, %v", counted, err)
	}
	h, err := c.History(ctx, "k", 0, 0)
	if err != nil || len(h.Versions) != 4 || h.More || h.CompactedRevision != 0 {
		t.Fatalf("history is %+v, %v", h, err)
	}
	if v := h.Versions; v[0].Revision != 5 || v[0].Item.Version != 1 || !v[1].Deleted || v[1].Revision != 4 ||
		string(v[3].Value) != "value of k" {
		t.Errorf("versions are %+v", v)
	}
	h, err = c.History(ctx, "k", 5, 1)
	if err != nil || len(h.Versions) != 1 || !h.Versions[0].Deleted || !h.More {
		t.Errorf("history before 5 is %+v, %v", h, err)
	}
	then, err := c.Get(ctx, "k", client.AtRevision(3))
	if err != nil || then.Version != 2 || then.Revision != 3 {
		t.Errorf("at 3 it is %+v, %v", then, err)
	}
	_, err = c.Get(ctx, "k", client.AtRevision(4))
	wantCode(t, err, api.CodeNotFound)
	_, err = c.Get(ctx, "k", client.AtRevision(99))
	wantCode(t, err, api.CodeInvalid)

	compacted, err := c.Compact(ctx, 4)
	if err != nil || compacted.Revision != 4 {
		t.Errorf("compacted %+v, %v", compacted, err)
	}
	_, err = c.Get(ctx, "k", client.AtRevision(3))
	if e := wantCode(t, err, api.CodeCompacted); e.OldestRevision != 4 {
		t.Errorf("error is %+v", e)
	}
	_, err = namesOf(ctx, c, client.Range{}, client.AtRevision(3))
	wantCode(t, err, api.CodeCompacted)
	_, err = c.Compact(ctx, 99)
	wantCode(t, err, api.CodeInvalid)
	_, err = c.History(ctx, "none", 0, 0)
	wantCode(t, err, api.CodeNotFound)
	_, err = c.History(ctx, "", 0, 0)
	wantCode(t, err, api.CodeInvalid)
}

// answered makes a node answer every list with a text.
func answered(node *clienttest.Node, text string) {
	node.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathList {
			return false
		}
		_, _ = io.WriteString(w, text)
		return true
	})
}

func TestAListWithoutItsLastLineIsAnError(t *testing.T) {
	t.Parallel()
	const line = `{"key":"a","value":"1","content_type":"text/plain","revision":1,"create_revision":1,"version":1}` + "\n"
	for text, want := range map[string]struct {
		code   api.Code
		names  string
		before int // entries
	}{
		"":                                     {api.CodeUnreachable, "not complete", 0},
		line:                                   {api.CodeUnreachable, "broke off after 1 lines", 1},
		line + line[:40]:                       {api.CodeUnreachable, "line 2 of the list is malformed", 1},
		line + "{}}\n":                         {api.CodeUnreachable, "line 2 of the list is malformed", 1},
		line + `{"end":true,"count":2}` + "\n": {api.CodeUnreachable, "counts 2", 1},
		line + `{"error":{"code":"compacted","message":"gone","oldest_revision":9}}` + "\n": {api.CodeCompacted, "gone", 1},
	} {
		cluster := clienttest.New(t, 1)
		answered(cluster.Nodes[0], text)
		c := connect(t, client.Config{Endpoints: cluster.URLs()})
		names, err := namesOf(t.Context(), c, client.Range{})
		if e := wantCode(t, err, want.code); !strings.Contains(e.Message, want.names) || len(names) != want.before {
			t.Errorf("%q: %d entries, %+v", text, len(names), e)
		}
	}
}

func TestAScanIsTriedOnEveryNode(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	put(t, c, "a")
	cluster.Nodes[1].Kill()
	cluster.Nodes[2].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathList {
			clienttest.Fail(w, &api.Error{Code: api.CodeNoLeader, Message: "planted"})
		}
		return r.URL.Path == api.PathList
	})
	for range 6 {
		if names, err := namesOf(t.Context(), c, client.Range{}); err != nil || len(names) != 1 {
			t.Errorf("got %q, %v", names, err)
		}
	}
}

func TestAScanEnds(t *testing.T) {
	t.Parallel()
	for what, config := range map[string]client.Config{
		"the caller's time is over": {},
		"the node hangs":            {RequestTimeout: 50 * time.Millisecond},
	} {
		cluster := clienttest.New(t, 1)
		release := make(chan struct{})
		cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != api.PathList {
				return false
			}
			_, _ = io.WriteString(w, `{"folder":"a"}`+"\n")
			_ = http.NewResponseController(w).Flush()
			<-release
			return true
		})
		config.Endpoints = cluster.URLs()
		c := connect(t, config)
		ctx, cancel := context.WithCancel(t.Context())
		var last error
		count := 0
		for e, err := range c.Scan(ctx, client.Range{}) {
			if last = err; e.Folder == "a" {
				count++
			}
			if config.RequestTimeout == 0 {
				cancel()
			}
		}
		cancel()
		close(release)
		want := api.CodeUnreachable
		if config.RequestTimeout == 0 {
			want = api.CodeCanceled
		}
		wantCode(t, last, want)
		if count != 1 || errors.Is(last, io.EOF) {
			t.Errorf("%s: %d entries, %v", what, count, last)
		}
	}
}

func TestRecordsOfOneKey(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	put(t, c, "k", "k")
	r, err := c.GetRecord(t.Context(), "k")
	if err != nil || r.Revision != 2 || r.ModRevision != 2 || r.Modified == 0 || string(r.Value) != `"value of k"` {
		t.Errorf("record is %+v, %v", r, err)
	}
	_, err = c.GetRecord(t.Context(), "")
	wantCode(t, err, api.CodeInvalid)
	_, err = c.GetRecord(t.Context(), "none")
	wantCode(t, err, api.CodeNotFound)
}
