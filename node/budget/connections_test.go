package budget

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// pipeListener is an in-memory listener: a test dials it, and sets errors to return.
type pipeListener struct {
	conns chan net.Conn
	errs  chan error
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), errs: make(chan error, 10), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial connects, and returns the client's side.
func (l *pipeListener) dial() net.Conn {
	mine, theirs := net.Pipe()
	l.conns <- theirs
	return mine
}

// closedByServer reports whether the other side has closed a connection on which nothing was sent.
func closedByServer(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now()) // a pipe buffers no data
	_, err := c.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Time{})
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// startServer serves a listener with a handler that answers with the kind of the request's connection.
func startServer(t *testing.T, l net.Listener) {
	t.Helper()
	s := &http.Server{
		ReadHeaderTimeout: 30 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id, err := strconv.ParseUint(r.Header.Get("Member"), 10, 64); err == nil {
				FromMember(r.Context(), id)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintf(w, "spare %t", IsSpare(r.Context()))
		}),
	}
	Attach(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended with %v", err)
		}
	})
}

// ask sends a request and returns the response's body, "" if there was none.
func ask(c net.Conn, header string) string {
	go func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n"+header+"\r\n") }()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

func TestConnectionsBeyondTheLimitAreSpare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(Limits{API: 2, Spare: 1, Peers: 1}, nil, nil)
		l := newPipeListener()
		startServer(t, c.API(l))
		first, second := l.dial(), l.dial()
		for _, conn := range []net.Conn{first, second} {
			if got := ask(conn, ""); got != "spare false" {
				t.Errorf("within the limit: %q", got)
			}
		}
		third := l.dial()
		if got := ask(third, ""); got != "spare true" {
			t.Errorf("beyond the limit: %q", got)
		}
		_ = third.Close()
		_ = first.Close()
		synctest.Wait()
		fourth := l.dial()
		if got := ask(fourth, ""); got != "spare false" {
			t.Errorf("after another has ended: %q", got)
		}
		_ = second.Close()
		_ = fourth.Close()
	})
}

func TestConnectionsBelowTLSAreLimitedToo(t *testing.T) {
	t.Parallel()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	trusting := certified.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trusting.ServerName = "example.com"
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(Limits{API: 1, Spare: 1, Peers: 1}, nil, nil)
		l := newPipeListener()
		startServer(t, tls.NewListener(c.API(l), &tls.Config{Certificates: certified.TLS.Certificates}))
		for _, want := range []string{"spare false", "spare true"} {
			conn := tls.Client(l.dial(), trusting)
			defer conn.Close()
			if got := ask(conn, ""); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestASilentSpareConnectionMakesRoom(t *testing.T) { // otherwise a few of them would block every probe
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(Limits{API: 0, Spare: 2, Peers: 1}, nil, nil)
		l := newPipeListener()
		startServer(t, c.API(l))
		silent := []net.Conn{l.dial(), l.dial()}
		began := time.Now()
		probe := l.dial()
		if got := ask(probe, ""); got != "spare true" {
			t.Fatalf("the probe got %q", got)
		}
		if took := time.Since(began); took > 2*sparePatience {
			t.Errorf("the probe waited %v", took)
		}
		if !closedByServer(silent[0]) || closedByServer(silent[1]) {
			t.Error("the oldest silent connection should have ended, and only that")
		}
		time.Sleep(spareDuration + time.Second)
		synctest.Wait()
		for i, conn := range append(silent, probe) {
			if !closedByServer(conn) {
				t.Errorf("spare connection %d is open longer than %v", i, spareDuration)
			}
			_ = conn.Close()
		}
	})
}

// A scrape of the metrics that takes longer than sparePatience is still answered.
func TestASpareConnectionThatIsBeingAnsweredStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(Limits{API: 0, Spare: 1, Peers: 1}, nil, nil)
		l := newPipeListener()
		startServer(t, c.API(l))
		slow := l.dial()
		if _, err := io.WriteString(slow, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next := l.dial()              // waits for room
		time.Sleep(5 * sparePatience) // fake time
		synctest.Wait()
		if closedByServer(slow) {
			t.Fatal("it was ended while its request was being answered")
		}
		go func() { _, _ = io.WriteString(slow, "x") }()
		if answer, err := http.ReadResponse(bufio.NewReader(slow), nil); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("its answer is %v, %v", answer, err)
		}
		if got := ask(next, ""); got != "spare true" {
			t.Errorf("the next connection got %q", got)
		}
		_ = slow.Close()
		_ = next.Close()
	})
}

// dripping opens a connection and sends part of a request on it.
func dripping(l *pipeListener) net.Conn {
	conn := l.dial()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX: ")
	return conn
}

func TestAMemberKeepsItsConnection(t *testing.T) { // attack: unidentified connections that send a byte occasionally
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := NewConnections(Limits{API: 1, Spare: 1, Peers: 3}, nil, slog.New(slog.NewTextHandler(&log, nil)))
		l := newPipeListener()
		startServer(t, c.Peers(l))
		member := l.dial()
		if got := ask(member, "Member: 1\r\n"); got != "spare false" {
			t.Fatalf("the member got %q", got)
		}
		var strangers []net.Conn
		for i := range 10 {
			strangers = append(strangers, dripping(l))
			synctest.Wait()
			for _, conn := range strangers[max(0, i-1):] {
				_, _ = io.WriteString(conn, "y")
			}
			synctest.Wait()
		}
		if got := ask(member, "Member: 1\r\n"); got != "spare false" {
			t.Errorf("the member that was silent meanwhile got %q", got)
		}
		for i, conn := range strangers {
			if ended := closedByServer(conn); ended != (i < 8) {
				t.Errorf("unidentified connection %d ended: %t", i, ended)
			}
			_ = conn.Close()
		}
		_ = member.Close()
		synctest.Wait()
		if lines := strings.Count(log.String(), "level=WARN"); lines != 1 {
			t.Errorf("%d lines were logged in one moment, want 1:\n%s", lines, log.String())
		}
		if len(c.peers) != 0 || len(c.members) != 0 || c.ofMembers != 0 {
			t.Errorf("%d connections are counted though all have ended, %d of them of %d members", len(c.peers), c.ofMembers,
				len(c.members))
		}
	})
}

// The headers of a member are no secret: a client that sends them takes connections from that member only, and leaves
// room for others.
func TestAFloodInTheNameOfAMemberTakesFromThatMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(Limits{API: 1, Spare: 1, Peers: 8}, nil, nil)
		l := newPipeListener()
		startServer(t, c.Peers(l))
		other, true3 := l.dial(), l.dial()
		conns := []net.Conn{other, true3}
		if ask(other, "Member: 2\r\n") == "" || ask(true3, "Member: 3\r\n") == "" {
			t.Fatal("no answer")
		}
		for i := range 30 {
			conn := l.dial()
			conns = append(conns, conn)
			if got := ask(conn, "Member: 3\r\n"); got != "spare false" {
				t.Fatalf("forged request %d got %q", i, got)
			}
			if got := ask(true3, "Member: 3\r\n"); got != "spare false" {
				t.Fatalf("the member in whose name they come got %q", got)
			}
		}
		if c.ofMembers > c.membersPart() || c.membersPart() >= c.limits.Peers {
			t.Errorf("members have %d connections of %d", c.ofMembers, c.limits.Peers)
		}
		for _, id := range []string{"2", "4", "5"} {
			conn := other
			if id != "2" {
				conn = l.dial()
				conns = append(conns, conn)
			}
			for range 2 {
				if got := ask(conn, "Member: "+id+"\r\n"); got != "spare false" {
					t.Errorf("member %s got %q", id, got)
				}
			}
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
}

// A request that is never finished does not count as use of a connection.
func TestUnfinishedRequestsDoNotCountAsUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewConnections(Limits{API: 1, Spare: 1, Peers: 5}, nil, nil) // 4 for members
		l := newPipeListener()
		startServer(t, c.Peers(l))
		unfinished := l.dial()
		_, _ = io.WriteString(unfinished, "POST / HTTP/1.1\r\nHost: a\r\nMember: 1\r\nContent-Length: 99\r\n\r\n")
		synctest.Wait()
		conns := []net.Conn{unfinished}
		for range 4 {
			_, _ = io.WriteString(unfinished, "y")
			conn := l.dial()
			conns = append(conns, conn)
			if got := ask(conn, "Member: 1\r\n"); got != "spare false" {
				t.Errorf("a whole request got %q", got)
			}
		}
		synctest.Wait()
		for i, conn := range conns {
			if ended := closedByServer(conn); ended != (i == 0) {
				t.Errorf("connection %d ended: %t", i, ended)
			}
			_ = conn.Close()
		}
	})
}

func TestAFailedAcceptIsCountedLoggedAndTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := NewConnections(Limits{API: 9, Spare: 1, Peers: 1}, nil, slog.New(slog.NewTextHandler(&log, nil)))
		l := newPipeListener()
		for _, cause := range []error{syscall.EMFILE, syscall.ENOBUFS, syscall.ENOMEM} {
			l.errs <- &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", cause)}
		}
		startServer(t, c.API(l))
		conn := l.dial()
		if got := ask(conn, ""); got != "spare false" {
			t.Errorf("after the failures: %q", got)
		}
		_ = conn.Close()
		synctest.Wait()
		if lines := strings.Count(log.String(), "cannot be accepted"); lines != 1 {
			t.Errorf("%d lines for 3 failures in a row, want 1:\n%s", lines, log.String())
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(c.Collector())
		want := `
# HELP kontiki_accept_failures_total Connections that could not be accepted.
# TYPE kontiki_accept_failures_total counter
kontiki_accept_failures_total{port="api"} 3
kontiki_accept_failures_total{port="peer"} 0
`
		err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kontiki_accept_failures_total")
		if err != nil {
			t.Error(err)
		}
	})
}

// A header of many short fields takes some thirty times its length in memory, before any handler runs.
func TestLongHeadersAreCharged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory(1 << 20)
		c := NewConnections(Limits{API: 9, Spare: 1, Peers: 1}, memory, nil)
		l := newPipeListener()
		startServer(t, c.API(l))
		conn := l.dial()
		for range 3 { // the charge of one request is free for the next
			if got := ask(conn, "A: "+strings.Repeat("a", 16<<10)+"\r\n"); got != "spare false" {
				t.Errorf("a header of 16 KiB alone got %q", got)
			}
		}
		var slow []net.Conn
		var refused atomic.Int32
		for range 5 {
			conn := l.dial()
			slow = append(slow, conn)
			go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nA: "+strings.Repeat("a", 16<<10)) }()
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				refused.Add(1)
			}()
			synctest.Wait()
		}
		if most := memory.ceiling(Clients); memory.Used() > most || refused.Load() != 3 {
			t.Errorf("%d of 5 headers of 16 KiB are refused and %d bytes charged; there is room for 2, and %d bytes",
				refused.Load(), memory.Used(), most)
		}
		if got := ask(conn, ""); got != "spare false" {
			t.Errorf("a usual header beside them got %q", got)
		}
		for _, conn := range append(slow, conn) {
			_ = conn.Close()
		}
		synctest.Wait()
		if memory.Used() != 0 {
			t.Errorf("%d bytes are charged though all connections have ended", memory.Used())
		}
	})
}

// A connection may close while its header is being read. Nothing is charged after that.
func TestAHeaderIsNotChargedAfterTheEndOfItsConnection(t *testing.T) {
	t.Parallel()
	memory := NewMemory(1 << 20)
	c := NewConnections(Limits{API: 1, Spare: 1, Peers: 1}, memory, nil)
	mine, theirs := net.Pipe()
	defer mine.Close()
	k := c.admitClient(theirs)
	_ = k.Close()
	_ = k.takeHeader(16 << 10)
	if memory.Used() != 0 {
		t.Errorf("%d bytes are charged", memory.Used())
	}
}

func TestLongHeadersOfPeersHaveRoomBesideThoseOfClients(t *testing.T) {
	t.Parallel()
	memory := NewMemory(1 << 20)
	c := NewConnections(Limits{API: 1, Spare: 1, Peers: 1}, memory, nil)
	if !memory.NewAccount(Clients, 0).Take(int(memory.ceiling(Clients)) + Allowance) {
		t.Fatal("the clients do not get their share")
	}
	for name, admit := range map[string]func(net.Conn) *Conn{
		"client": c.admitClient, "peer": func(conn net.Conn) *Conn { return c.admitPeer(nil, conn) },
	} {
		mine, theirs := net.Pipe()
		defer mine.Close()
		k := admit(theirs)
		defer k.Close()
		if fits, want := k.takeHeader(8<<10), name == "peer"; fits != want {
			t.Errorf("there is room for the header of a %s: %t, want %t", name, fits, want)
		}
	}
}
