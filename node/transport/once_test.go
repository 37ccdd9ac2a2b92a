package transport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A peer that restarted has closed the idle connections. A proposal that took one of them would have an unknown
// outcome for nothing: the link looks before it writes.
func TestClosedIdleConnectionCarriesNoProposal(t *testing.T) { // T49
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	k := linkTo(server.URL)
	defer k.close()
	ask := func() (bool, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, sent, err := k.once(ctx, time.Now().Add(time.Minute), http.MethodPost, "/", []byte(`{}`), 100, nil)
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

func hungUpNow(k *link) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn == nil || hungUp(k.conn)
}

func TestRequestThatNeverLeftIsSaidToBe(t *testing.T) { // T49
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	k := linkTo(server.URL)
	_, sent, err := k.once(t.Context(), time.Now().Add(time.Minute), http.MethodPost, "/", nil, 100, nil)
	if sent || err == nil {
		t.Errorf("sent %t, %v; want an error and nothing sent", sent, err)
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
	_, sent, err := k.once(t.Context(), time.Now().Add(time.Minute), http.MethodPost, "/", nil, 100, nil)
	if !sent || err == nil {
		t.Errorf("sent %t, %v; want an error, and that it was sent", sent, err)
	}
}
