package rest

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// reader is one reader of the stream.
type reader struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Reader
}

// message is one message of a stream; comment is set for a comment line.
type message struct{ event, id, data, comment string }

func (a *testAPI) stream(path string, headers ...string) *reader {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), "GET", a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != 200 {
		a.t.Fatalf("the stream is answered with %s", response.Status)
	}
	return &reader{a.t, response, bufio.NewReader(response.Body)}
}

// next reads one message; ok is false at the end of the stream.
func (r *reader) next() (m message, ok bool) {
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return m, false
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data = value
		case "":
			if strings.HasPrefix(line, ":") {
				m.comment = value
				continue
			}
			return m, true
		default:
			r.t.Fatalf("unexpected line %q", line)
		}
	}
}

// find reads up to the next message of a kind.
func (r *reader) find(event string) message {
	r.t.Helper()
	for {
		m, ok := r.next()
		if !ok {
			r.t.Fatalf("the stream ended before an event of kind %s", event)
		}
		if m.event == event {
			return m
		}
	}
}

func TestTheStreamTellsWhatIsAndWhatHappens(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.node.happen(api.EventTerm)
	a.node.happen(api.EventElected)
	r := a.stream("/api/v1/events")
	for name, value := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-store",
		"Content-Encoding": "", "X-Raft-Term": "3",
	} {
		if got := r.response.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	first, _ := r.next()
	second, _ := r.next()
	if first.event != "raft" || first.id != "1" || second.id != "2" {
		t.Errorf("the stream begins with %+v, %+v", first, second)
	}
	if e := decode[api.ObservedEvent](t, second.data); e.Kind != "elected" || e.Cursor != 2 {
		t.Errorf("the event is %+v", e)
	}
	now, _ := r.next() // at once, not after the first interval
	if now.event != "status" || now.id != "" {
		t.Errorf("then came %+v", now)
	}
	if s := decode[api.ClusterStatus](t, now.data); s.LeaderID != 1 {
		t.Errorf("the status is %+v", s)
	}
	a.node.happen(api.EventVote)
	if m := r.find("raft"); m.id != "3" {
		t.Errorf("the next event is %+v", m)
	}
	r.find("status") // and repeatedly
}

func TestAStreamGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for range 3 {
		a.node.happen(api.EventTerm)
	}
	for _, c := range []struct {
		path, lastID, first string
	}{
		{"/api/v1/events?since=2", "", "3"},
		{"/api/v1/events", "1", "2"},
		{"/api/v1/events?since=1", "2", "3"},    // what a browser sends when it reconnects
		{"/api/v1/events?since=10000", "", "1"}, // a cursor from before a restart
	} {
		var headers []string
		if c.lastID != "" {
			headers = []string{"Last-Event-ID", c.lastID}
		}
		if m := a.stream(c.path, headers...).find("raft"); m.id != c.first {
			t.Errorf("%s after %q begins with %s, want %s", c.path, c.lastID, m.id, c.first)
		}
	}
}

func TestASilentStreamComments(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.rest.events.statusEvery, a.rest.events.commentEvery = time.Hour, time.Millisecond
	r := a.stream("/api/v1/events")
	for {
		if m, ok := r.next(); !ok || m.comment != "" {
			if !ok {
				t.Error("the stream ended without a comment")
			}
			return
		}
	}
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	a := serve(t)
	r := a.stream("/api/v1/events")
	r.find("status")
	a.rest.SetStopping()
	a.want(503, "GET", "/readyz", "")
	a.want(200, "PUT", "/api/v1/kv/a", "1") // not ready, but it serves
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.rest.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for {
		if _, ok := r.next(); !ok {
			return
		}
	}
}

func TestShutdownGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	a := serve(t, func(_ *fakeNode, o *Options) {
		o.Dashboard = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(reached)
			<-release
		})
	})
	defer close(release)
	go func() {
		response, err := http.Get(a.url + "/") //nolint:noctx // it must outlive the server
		if err == nil {
			_ = response.Body.Close()
		}
	}()
	<-reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.rest.Shutdown(ctx); err == nil {
		t.Error("Shutdown returned no error, though a request was cut off")
	}
}
