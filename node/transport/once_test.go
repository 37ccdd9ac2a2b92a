package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/http1"
)

// A peer that restarted has closed the idle connections. A proposal that took one of them would have an unknown
// outcome for nothing: the link looks before it writes.
func TestClosedIdleConnectionCarriesNoProposal(t *testing.T) { // T49
	t.Parallel()
	server, asked := countingServer(t)
	k := linkTo(server.URL)
	defer k.close()
	ask := func() (bool, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, sent, err := k.once(ctx, postOf("{}"))
		return sent, err
	}
	if _, err := ask(); err != nil {
		t.Fatal(err)
	}
	server.CloseClientConnections()
	eventually(t, "the news has travelled through the kernel", func() bool { return hungUpNow(k) })
	if sent, err := ask(); err != nil || !sent {
		t.Errorf("sent %t, %v; want a new connection and an answer", sent, err)
	}
	if got := asked.Load(); got != 2 {
		t.Errorf("the peer was asked %d times, want 2", got)
	}
}

// countingServer answers every request with an empty object, and counts them.
func countingServer(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	asked := new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	return server, asked
}

// postOf is a request that waits a minute for an answer of at most 100 bytes.
func postOf(body string) *request {
	return &request{Request: http1.Request{
		Method: http.MethodPost, Path: "/", Body: []byte(body), Deadline: time.Now().Add(time.Minute),
	}, limit: 100}
}

func hungUpNow(k *link) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn == nil || k.conn.HungUp()
}

// A request whose time is over before a byte of it is written did not leave, though there was a connection for it.
func TestRequestThatDidNotLeaveAConnectionWasNotSent(t *testing.T) { // T49
	t.Parallel()
	server, asked := countingServer(t)
	k := linkTo(server.URL)
	defer k.close()
	if _, sent, err := k.once(t.Context(), postOf("{}")); err != nil || !sent {
		t.Fatalf("sent %t, %v", sent, err)
	}
	late := postOf("{}")
	late.Deadline = time.Unix(1, 0)
	if _, sent, err := k.once(t.Context(), late); err == nil || sent {
		t.Errorf("sent %t, %v; want an error and nothing sent", sent, err)
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("the peer was asked %d times, want once", got)
	}
}

func TestRequestThatNeverLeftWasNotSent(t *testing.T) { // T49
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	k := linkTo(server.URL)
	_, sent, err := k.once(t.Context(), postOf(""))
	if sent || err == nil {
		t.Errorf("sent %t, %v; want an error and nothing sent", sent, err)
	}
}

// What the socket took decides, not that there was a connection.
func TestOnlyWhatLeftMayHaveArrived(t *testing.T) { // T49
	t.Parallel()
	for wanted, want := range map[int]bool{0: false, 1: true} {
		here, there := net.Pipe()
		dial := func(context.Context, string, string) (net.Conn, error) { return &placed{here, "10.0.0.9"}, nil }
		k := newLink(newWhereabouts("http://h:1", http1.Dialer{DialContext: dial}, proved), nil)
		go func() {
			_, _ = io.ReadFull(there, make([]byte, wanted))
			_ = there.Close()
		}()
		if wanted == 0 {
			_ = here.Close()
		}
		_, sent, err := k.once(t.Context(), postOf("{}"))
		if sent != want || err == nil {
			t.Errorf("of %d bytes: sent %t, %v; want an error and %t", wanted, sent, err, want)
		}
		k.close()
	}
}

func TestLinkCutBeforeItsAnswerWasSent(t *testing.T) { // T49
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	k := linkTo(server.URL)
	defer k.close()
	_, sent, err := k.once(t.Context(), postOf(""))
	if !sent || err == nil {
		t.Errorf("sent %t, %v; want an error, and that it was sent", sent, err)
	}
}
