package workload

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// serve answers every request with a status and a body, or closes the connection if the status is 0.
func serve(t *testing.T, status int, body string) *plain {
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
	p, err := newPlain(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// do does one operation and returns its outcome.
func do(ctx context.Context, p *plain, o history.Operation) (history.Operation, error) {
	o.Key = "k"
	err := p.do(ctx, &o)
	return o, err
}

func TestPlainRequestsAndTheirAnswers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	get := history.Operation{Kind: history.Get}
	if o, err := do(ctx, serve(t, 200, `{"key":"k","value":17}`), get); o.Value != 17 || err != nil {
		t.Errorf("got %d, %v", o.Value, err)
	}
	absent := serve(t, 404, `{"error":{"code":"not_found","message":"no such key"}}`)
	if o, err := do(ctx, absent, get); o.Value != 0 || err != nil {
		t.Errorf("an absent key: got %d, %v", o.Value, err)
	}
	cas := history.Operation{Kind: history.CAS, New: 1}
	o, err := do(ctx, serve(t, 200, `{"index":4,"term":1,"result":{"swapped":true}}`), cas)
	if !o.Swapped || err != nil {
		t.Errorf("got %t, %v", o.Swapped, err)
	}
	cas.Expected = 5
	o, err = do(ctx, serve(t, 200, `{"index":4,"term":1,"result":{"swapped":false,"value":null}}`), cas)
	if o.Swapped || o.Value != 0 || err != nil {
		t.Errorf("got %t, %d, %v", o.Swapped, o.Value, err)
	}
	put := history.Operation{Kind: history.Put, Value: 1}
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
		if _, err := do(ctx, serve(t, c.status, c.body), put); api.ErrorCode(err) != c.want {
			t.Errorf("%d %s: got %v, want %s", c.status, c.body, err, c.want)
		}
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	p, err := newPlain(nobody.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := do(ctx, p, put); api.ErrorCode(err) != api.CodeUnreachable {
		t.Errorf("without a listener: got %v", err)
	}
}

func TestAnEndpointMustBeAURL(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "demo:8080", "ftp://demo"} {
		if _, err := New(Config{Endpoints: []string{endpoint}}); err == nil {
			t.Errorf("%q was accepted", endpoint)
		}
	}
}
