package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

var (
	successMessage = raft.Message{
		Type: raft.MsgAppendEntriesResponse, Term: 1, Success: true, MatchIndex: 2, RequestID: 3, ReadSeq: 4,
	}
	success = string(appendResponse(nil, &successMessage))
)

// linkTo makes a link to a peer's URL.
func linkTo(url string) *link {
	return newLink(newWhereabouts(url, http1.Dialer{}, proved), http.Header{})
}

// scripted is a port that answers the first connection with the first script, and so on. A script reads requests
// itself; its connection is closed when it returns.
func scripted(t *testing.T, scripts ...func(conn net.Conn, requests *bufio.Reader)) string {
	t.Helper()
	l := listen(t)
	go func() {
		for _, script := range scripts {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			script(conn, bufio.NewReader(conn))
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// takeRequest reads one whole request and gives its header.
func takeRequest(requests *bufio.Reader) http.Header {
	r, err := http.ReadRequest(requests)
	if err != nil {
		return nil
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Header
}

// answerWith answers one request with text as it is.
func answerWith(text string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, requests *bufio.Reader) {
		takeRequest(requests)
		_, _ = io.WriteString(conn, text)
	}
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// A peer may close a connection that was idle. That is no loss: the next message makes a new one.
func TestAnIdleConnectionThatWasClosedIsReplaced(t *testing.T) {
	t.Parallel()
	n := sender(t, scripted(t, answerWith(ok(success)), answerWith(ok(success)), answerWith(ok(success))))
	for range 3 {
		n.Send([]raft.Message{bulkAppend(2, 3)})
		if got := next(t, n.fake.received, "the answer"); got.RequestID != 3 || !got.Success {
			t.Errorf("got %+v", got)
		}
	}
	if len(n.fake.unreachable) > 0 {
		t.Error("a closed idle connection was reported as a loss")
	}
}

// Another connection is no help against a peer that hangs up on every request.
func TestAPeerThatHangsUpIsReported(t *testing.T) {
	t.Parallel()
	n := sender(t, scripted(t, answerWith(ok(success)), answerWith("")))
	n.Send([]raft.Message{bulkAppend(2, 3)})
	next(t, n.fake.received, "the answer")
	n.Send([]raft.Message{bulkAppend(2, 3)})
	next(t, n.fake.unreachable, "the report")
}

func TestAnswersInOtherFormsAreUnderstood(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(success), success),
		"to the end":            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + success,
		"after interim answers": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 5) + ok(success),
		"other order":           ok(`{"request_id":3, "success":true, "new":{}, "term":1, "match_index":2, "read_seq":4}`),
	}
	want := successMessage
	want.From, want.To = 2, 1
	for name, text := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := sender(t, scripted(t, answerWith(text)))
			n.Send([]raft.Message{bulkAppend(2, 3)})
			if got := next(t, n.fake.received, "the answer"); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// Whatever a port answers that is no answer to a message counts as a loss, and its connection is closed.
func TestAnswersThatAreNoneAreLosses(t *testing.T) { // H2, H4
	t.Parallel()
	answers := map[string]string{
		"no HTTP":        "SSH-2.0-OpenSSH_9.9\r\n",
		"no JSON":        ok(`<html>`),
		"not found":      "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nwhat",
		"cut":            "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
		"too long":       "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{",
		"other protocol": "HTTP/1.1 101 Switching Protocols\r\n\r\n" + ok(success),
		"only interim":   strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + ok(success),
		"endless header": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeaderBytes+maxSmallAnswer+1),
		"endless body":   "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(" ", maxSmallAnswer+1),
	}
	for name, text := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := sender(t, scripted(t, answerWith(text)))
			n.Send([]raft.Message{bulkAppend(2, 3)})
			next(t, n.fake.unreachable, "the report")
			if len(n.fake.received) > 0 {
				t.Errorf("the answer was taken for %+v", <-n.fake.received)
			}
		})
	}
}

// A second answer to one request must not be taken for the answer to the next request (trap T18).
func TestAnAnswerTooManyEndsTheConnection(t *testing.T) {
	t.Parallel()
	late := strings.Replace(success, `"request_id":3`, `"request_id":9`, 1)
	n := sender(t, scripted(t, answerWith(ok(success)+ok(late)), answerWith(ok(success))))
	for range 2 {
		n.Send([]raft.Message{bulkAppend(2, 3)})
		if got := next(t, n.fake.received, "the answer"); got.RequestID != 3 {
			t.Fatalf("got the answer to request %d, want 3", got.RequestID)
		}
	}
}

// Raft messages carry the same headers as everything else.
func TestMessagesCarryTheirHeaders(t *testing.T) { // H3
	t.Parallel()
	headers := make(chan http.Header, 1)
	n := sender(t, scripted(t, func(_ net.Conn, requests *bufio.Reader) { headers <- takeRequest(requests) }))
	n.Send([]raft.Message{heartbeat(2, 1)})
	got := next(t, headers, "a request")
	for name, want := range identify(testCluster, 1, 2) {
		if got.Get(name) != want[0] {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want[0])
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"http://a:7080": "a:7080", "http://a": "a:80", "http://[::1]:7080/": "[::1]:7080", "http://a:1/base/": "a:1",
		"http://a.b.svc.cluster.local.:7080": "a.b.svc.cluster.local.:7080",
	}
	for text, want := range good {
		if l := linkTo(text); l.err != nil || l.where.route().addresses[0] != want {
			t.Errorf("%s: got %q (%v), want %q", text, l.where.route().addresses, l.err, want)
		}
	}
	for _, text := range []string{"", "a:7080", "https://a:7080", "http://", "http://a:b", "/a"} {
		if l := linkTo(text); l.err == nil || !strings.Contains(l.err.Error(), "http://host:port") {
			t.Errorf("%q: got %q (%v), want an error that shows what is right", text, l.where.route().addresses, l.err)
		}
	}
}

// An address that cannot be right is logged at once, and what is sent there is lost as to any other.
func TestABadAddressIsLogged(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	tr := New(Config{
		ID: 1, ClusterID: testCluster, Members: []identity.Member{{ID: 2, Address: "host:7080"}},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	fake := newFakeNode()
	tr.Start(fake)
	defer closeTransport(t, tr)
	if !strings.Contains(log.String(), "http://host:port") {
		t.Errorf("the log is %q", log.String())
	}
	tr.Send([]raft.Message{heartbeat(2, 1)})
	next(t, fake.unreachable, "the report")
	if _, err := tr.Status(t.Context(), 2); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("got %v, want %v", err, node.ErrNotSent)
	}
}

// A link that was closed stays closed, even if its connection was being made meanwhile.
func TestAClosedLinkMakesNoConnection(t *testing.T) { // T22
	t.Parallel()
	silent := newSilentPeer(t)
	l := linkTo(silent.url)
	l.close()
	_, err := l.post(t.Context(), time.Now().Add(testTimeout), pathTimeoutNow, []byte(`{}`))
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	eventually(t, "its connection is closed", func() bool { return silent.open.Load() == 0 })
}

// A peer that refuses a large request by its header does not read the body, and closes the connection.
func TestARefusalBeforeTheEndOfARequestIsRead(t *testing.T) { // T49
	t.Parallel()
	body := strings.Repeat("x", 16<<20) // more than the buffers of a connection hold
	for answer, want := range map[string]error{
		string(appendRefusal(nil, refuseWith(node.ErrNotReady))): node.ErrNotReady,
		`{"error":{"code":"not_leader"}}`:                        nil, // of another status: not the peer's
		`{}`:                                                     nil,
	} {
		k := linkTo(scripted(t, func(conn net.Conn, requests *bufio.Reader) {
			if _, err := http.ReadRequest(requests); err == nil {
				_, _ = fmt.Fprintf(conn, "HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
			}
		}))
		_, sent, err := k.once(t.Context(), postOf(body))
		if !sent || err == nil || want != nil && !errors.Is(err, want) || want == nil && asRefusal(err) != nil {
			t.Errorf("%s: sent %t, %v; want %v", answer, sent, err, want)
		}
		if k.conn != nil {
			t.Errorf("%s: the connection is used again", answer)
		}
		k.close()
	}
}
