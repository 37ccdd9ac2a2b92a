package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/history"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// serve answers every request with a status and a body, or cuts the connection where the status is 0.
func serve(t *testing.T, status int, body string) *single {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status == 0 {
			clienttest.Cut(w)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	p, err := newSingle(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlainRequestsAndTheirAnswers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if n, err := serve(t, 200, `{"key":"k","value":17}`).get(ctx, "k"); n != 17 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	absent := serve(t, 404, `{"error":{"code":"not_found","message":"no such key"}}`)
	if n, err := absent.get(ctx, "k"); n != 0 || err != nil {
		t.Errorf("an absent key: got %d, %v", n, err)
	}
	swapped, _, err := serve(t, 200, `{"index":4,"term":1,"result":{"swapped":true}}`).cas(ctx, "k", 0, 1)
	if !swapped || err != nil {
		t.Errorf("got %t, %v", swapped, err)
	}
	refusal := serve(t, 200, `{"index":4,"term":1,"result":{"swapped":false,"value":null}}`)
	swapped, found, err := refusal.cas(ctx, "k", 5, 1)
	if swapped || found != 0 || err != nil {
		t.Errorf("got %t, %d, %v", swapped, found, err)
	}
	for _, c := range []struct {
		status int
		body   string
		want   api.Code
	}{
		{503, `{"error":{"code":"no_leader","message":"none"}}`, api.CodeNoLeader},
		{504, "gateway", api.CodeOutcomeUnknown},
		{502, "a proxy", api.CodeOutcomeUnknown},
		{200, "no JSON", api.CodeOutcomeUnknown},
		{0, "", api.CodeOutcomeUnknown},
	} {
		if err := serve(t, c.status, c.body).put(ctx, "k", 1); api.ErrorCode(err) != c.want {
			t.Errorf("%d %s: got %v, want %s", c.status, c.body, err, c.want)
		}
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	p, err := newSingle(nobody.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.put(ctx, "k", 1); api.ErrorCode(err) != api.CodeUnreachable {
		t.Errorf("nobody listens: got %v", err)
	}
}

func TestAnEndpointMustBeAURL(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "demo:8080", "ftp://demo"} {
		if _, err := newWorkload(endpoint, "p", nil); err == nil {
			t.Errorf("%q was taken", endpoint)
		}
	}
}

func TestWhatIsWrittenIsReadBackAndLinearizable(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	var out bytes.Buffer
	p := &printer{encoder: json.NewEncoder(&out)}
	w, err := newWorkload(cluster.URLs()[0], "p", p)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	ctx := t.Context()
	c := &worker{workload: w, store: w.library, path: history.Library}
	for range 20 {
		key := w.register()
		c.put(ctx, key, w.numbers.Add(1))
		c.cas(ctx, key, w.numbers.Add(1)) // swaps: it knows what is there
		c.lastKey = ""
		c.cas(ctx, key, w.numbers.Add(1)) // swaps nothing: it believes that the key is absent
		c.get(ctx, key)
	}
	if err := history.ReadBack(recorded(t, out.Bytes())); err != nil {
		t.Error(err)
	}
	c.put(ctx, "p/last", w.numbers.Add(1))
	if err := history.ReadBack(recorded(t, out.Bytes())); err == nil {
		t.Error("the last put was not read back, and nobody noticed")
	}
	w.readBack(ctx)
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	operations := recorded(t, out.Bytes())
	if err := history.ReadBack(operations); err != nil {
		t.Error(err)
	}
	if err := history.Check(operations, time.Minute); err != nil {
		t.Error(err)
	}
	if len(operations) != p.count {
		t.Errorf("%d of %d lines were read", len(operations), p.count)
	}
}

func TestTheLossOfAWriteIsSeen(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var out bytes.Buffer
	w, err := newWorkload(cluster.URLs()[0], "p", &printer{encoder: json.NewEncoder(&out)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	c := &worker{workload: w, store: w.library, path: history.Library}
	c.put(t.Context(), "p/a", 1)
	c.put(t.Context(), "p/b", 2)
	cluster.Lose("p/a")
	w.readBack(t.Context())
	violation, ok := errors.AsType[*history.Violation](history.Check(recorded(t, out.Bytes()), time.Minute))
	if !ok || violation.Key != "p/a" {
		t.Errorf("got %v, want a violation on p/a", violation)
	}
}

func TestStopEndsTheReadBackInTime(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	w, err := newWorkload(cluster.URLs()[0], "p", &printer{encoder: json.NewEncoder(&strings.Builder{})})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	w.note("p/a")
	cluster.Nodes[0].Kill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.readBack(ctx) // returns
}

// recorded reads the printed lines as the harness does.
func recorded(t *testing.T, lines []byte) []history.Operation {
	t.Helper()
	r := history.NewRecorder()
	if err := r.Read(bytes.NewReader(lines)); err != nil {
		t.Fatal(err)
	}
	return r.Operations()
}
