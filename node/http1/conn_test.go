package http1

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

const (
	testBuffer  = 256
	testMaxHead = 1 << 10
	testLimit   = 2 << 10
)

// testTimeout is how long a test waits for what must happen.
const testTimeout = 20 * time.Second

// testHead is the head of the requests to host h.
func testHead(t testing.TB) *Head {
	t.Helper()
	head, err := NewHead("h:80", "/base", http.Header{"X-B": {"2"}, "X-A": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	return &head
}

// pipe returns a Conn and the server's end of its connection.
func pipe(t testing.TB) (*Conn, net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return NewConn(here, testBuffer, testMaxHead), there
}

// loopback returns both ends of a TCP connection.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// secured returns a Conn over TLS, the connection below it, and the server's end, after the handshake.
func secured(t testing.TB, below net.Conn, far net.Conn) (*Conn, *counted, *tls.Conn) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	server := tls.Server(far, &tls.Config{Certificates: s.TLS.Certificates})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	under := &counted{Conn: below}
	client := tls.Client(under, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return NewConn(client, testBuffer, testMaxHead), under, server
}

func TestARequestArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T) (*Conn, net.Conn){
		"pipe": func(t *testing.T) (*Conn, net.Conn) { return pipe(t) },
		"TCP": func(t *testing.T) (*Conn, net.Conn) {
			client, server := loopback(t)
			return NewConn(client, testBuffer, testMaxHead), server
		},
		"TLS": func(t *testing.T) (*Conn, net.Conn) {
			client, server := loopback(t)
			c, _, secure := secured(t, client, server)
			return c, secure
		},
	}
	for name, connect := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, server := connect(t)
			requests := bufio.NewReader(server)
			for _, size := range []int{0, 1, copiedBody, copiedBody + 1, 1 << 20} {
				body := bytes.Repeat([]byte("b"), size)
				sent := make(chan error, 1)
				go func() {
					sent <- c.Send(testHead(t), &Request{Method: http.MethodPost, Path: "/p?q=1", Body: body})
				}()
				r, err := http.ReadRequest(requests)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r.Body)
				if err != nil || !bytes.Equal(got, body) || r.ContentLength != int64(size) {
					t.Errorf("%d bytes: arrived %d of %d, %v", size, len(got), r.ContentLength, err)
				}
				if r.Method != http.MethodPost || r.RequestURI != "/base/p?q=1" || r.Host != "h:80" ||
					r.Header.Get("X-A") != "1" || r.Header.Get("X-B") != "2" || len(r.Header) != 3 {
					t.Errorf("%d bytes: arrived %+v", size, r)
				}
				if err := <-sent; err != nil || !c.MayHaveArrived() {
					t.Errorf("%d bytes: may have arrived %t, %v", size, c.MayHaveArrived(), err)
				}
			}
		})
	}
}

func TestHeadsThatWouldSplitARequestAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ host, base string }{
		{"", ""}, {"h\r\nX: y", ""}, {"h i", ""}, {"é", ""}, {"h", "/a b"}, {"h", "/\r\n"}, {"h", "/\x7f"},
	} {
		if _, err := NewHead(c.host, c.base, nil); err == nil {
			t.Errorf("host %q and path %q were taken", c.host, c.base)
		}
	}
}

func TestARequestThatSurelyDidNotArrive(t *testing.T) { // T49
	t.Parallel()
	r := Request{Method: http.MethodPost, Path: "/", Body: []byte("body")}
	late := r
	late.Deadline = time.Unix(1, 0)
	for name, c := range map[string]struct {
		before  func(c *Conn, server net.Conn)
		request Request
	}{
		"the connection was closed":         {func(c *Conn, _ net.Conn) { _ = c.Close() }, r},
		"the other end was closed (a pipe)": {func(_ *Conn, server net.Conn) { _ = server.Close() }, r},
		"the time was over":                 {func(*Conn, net.Conn) {}, late},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{4, copiedBody + 1} {
				conn, server := pipe(t)
				conn.left = 99 // of the request before
				c.before(conn, server)
				c.request.Body = make([]byte, size)
				if err := conn.Send(testHead(t), &c.request); err == nil || conn.MayHaveArrived() {
					t.Errorf("%d bytes: may have arrived %t, %v; want an error, and surely not", size, conn.MayHaveArrived(), err)
				}
			}
		})
	}
}

func TestARequestCutInItsMiddleMayHaveArrived(t *testing.T) { // T49
	t.Parallel()
	for _, size := range []int{4, copiedBody + 1} {
		c, server := pipe(t)
		go func() {
			_, _ = io.ReadFull(server, make([]byte, 1))
			_ = server.Close()
		}()
		err := c.Send(testHead(t), &Request{Method: http.MethodPost, Path: "/", Body: make([]byte, size)})
		if err == nil || !c.MayHaveArrived() {
			t.Errorf("%d bytes: may have arrived %t, %v; want an error, and that it may", size, c.MayHaveArrived(), err)
		}
	}
}

// partly is a connection whose writes are cut off once room is set: only so many bytes are taken.
type partly struct {
	net.Conn
	limited bool
	room    int
}

func (p *partly) Write(b []byte) (int, error) {
	if !p.limited {
		return p.Conn.Write(b)
	}
	n, err := p.Conn.Write(b[:min(p.room, len(b))])
	if err == nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// A TLS connection reports that nothing was written when a part of a record has left.
func TestUnderTLSTheBytesBelowCount(t *testing.T) { // T49
	t.Parallel()
	for bytesLeft, want := range map[int]bool{0: false, 1: true, 30: true} {
		client, server := loopback(t)
		cut := &partly{Conn: client}
		c, _, _ := secured(t, cut, server)
		cut.limited, cut.room = true, bytesLeft
		err := c.Send(testHead(t), &Request{Method: http.MethodPost, Path: "/", Body: []byte("body")})
		if err == nil || c.MayHaveArrived() != want {
			t.Errorf("%d bytes left: may have arrived %t, %v; want an error and %t", bytesLeft, c.MayHaveArrived(), err, want)
		}
	}
}

// Of a TLS connection that no Dialer made it is unknown what left.
func TestARequestOverAnotherTLSConnectionMayHaveArrived(t *testing.T) { // T49
	t.Parallel()
	client, server := loopback(t)
	_ = server.Close()
	c := NewConn(tls.Client(client, &tls.Config{ServerName: "h"}), testBuffer, testMaxHead)
	if err := c.Send(testHead(t), &Request{Method: http.MethodPost, Path: "/"}); err == nil || !c.MayHaveArrived() {
		t.Errorf("may have arrived %t, %v; want an error and true", c.MayHaveArrived(), err)
	}
}

func TestAServerThatHungUpIsNoticed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("every connection counts as hung up there")
	}
	for name, end := range map[string]func(server net.Conn) error{
		"closed":  net.Conn.Close,
		"unasked": func(server net.Conn) error { _, err := io.WriteString(server, "HTTP/1.1 408 \r\n\r\n"); return err },
	} {
		for _, isSecure := range []bool{false, true} {
			client, server := loopback(t)
			c := NewConn(client, testBuffer, testMaxHead)
			if isSecure {
				var secure *tls.Conn
				c, _, secure = secured(t, client, server)
				exchange(t, c, secure, answerOf("x")) // takes the session tickets, too
				server = secure
			}
			if c.HungUp() {
				t.Errorf("%s, TLS %t: an open connection counts as hung up", name, isSecure)
			}
			if err := end(server); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(testTimeout); !c.HungUp(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s, TLS %t: not noticed", name, isSecure)
				}
			}
		}
	}
	if c, _ := pipe(t); !c.HungUp() {
		t.Error("a connection into which HungUp cannot look counts as open")
	}
}

// exchange sends a request, which the server answers with text as it is, and returns the body of the answer.
func exchange(t *testing.T, c *Conn, server net.Conn, text string) string {
	t.Helper()
	go func() {
		if r, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(server, text)
		}
	}()
	if err := c.Send(testHead(t), &Request{Method: http.MethodPost, Path: "/", Body: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	response, err := c.Receive(testLimit)
	if err != nil {
		t.Fatal(err)
	}
	body, err := ReadBody(response.Body, response.ContentLength, testLimit, nil)
	if err != nil || !c.IsReusable(response) {
		t.Fatalf("reusable %t, %v", c.IsReusable(response), err)
	}
	return string(body)
}

func TestTheDeadlineEndsTheExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, server := pipe(t)
		go func() { _, _ = io.Copy(io.Discard, server) }()
		began := time.Now()
		r := Request{Method: http.MethodGet, Path: "/", Deadline: began.Add(time.Second)}
		if err := c.Send(testHead(t), &r); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(testLimit); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want %v after 1s", err, time.Since(began), os.ErrDeadlineExceeded)
		}
		if got := c.RemoteAddr().Network(); got != "pipe" {
			t.Errorf("the other end is of a %s", got)
		}
	})
}
