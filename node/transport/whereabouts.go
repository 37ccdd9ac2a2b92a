package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/http1"
)

// hintDelay is how long a connection to a peer's name may take before the host that the peer last called from is
// tried as well: longer than a connection takes in one data centre, and short enough that a dead address costs a
// fraction of an election timeout of one second.
const hintDelay = 150 * time.Millisecond

// answerBuffer is the length in bytes of the buffer into which a connection reads answers.
const answerBuffer = 4096

// whereabouts is what is known of where a peer can be reached: by its name, and perhaps at the host that its last
// request came from. For up to 30 s after a pod started again its name may lead nowhere, to a dead address, or to
// another pod (trap O20); a peer that calls shows where it is. That is only a hint, since every program that reaches
// the peer port can claim to be the peer: one that answers there must prove to be the peer before it gets a message.
type whereabouts struct {
	dialer http1.Dialer
	verify verifyFunc
	err    error // why the peer has no address; then there is none of the following

	// Of the peer's URL, as they stand there. A name with a dot at its end is looked up as it is.
	host, port string
	authority  string // host and port for the Host header
	base       string // path in front of every route

	// hint is the host that the peer's last request came from, nil: none came yet, or it is the URL's host.
	hint atomic.Pointer[string]
	// marks: the peer has marked an answer as that of a peer port, so what has no mark comes from another program.
	marks atomic.Bool

	mu    sync.Mutex
	wrong string // the last host at which the peer was not found; ""
}

// verifyFunc returns nil once the other end of a new connection to a host has proved to be the peer.
type verifyFunc func(ctx context.Context, conn *http1.Conn, host string) error

// newWhereabouts reads the URL of a peer. Of a URL that cannot be one the error is kept, and every exchange reports it.
func newWhereabouts(peerURL string, dialer http1.Dialer, verify verifyFunc) *whereabouts {
	w := &whereabouts{dialer: dialer, verify: verify}
	u, err := url.Parse(peerURL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		w.err = fmt.Errorf("the peer's address %q is not of the form http://host:port", peerURL)
		return w
	}
	w.host, w.port, w.authority = u.Hostname(), u.Port(), u.Host
	if w.port == "" {
		w.port = "80"
	}
	w.base = strings.TrimSuffix(u.EscapedPath(), "/")
	return w
}

// calledFrom learns from the remote address of a request whose headers were checked.
func (w *whereabouts) calledFrom(remote string) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil || host == w.host {
		return
	}
	if known := w.hint.Load(); known == nil || *known != host {
		moved := host // a copy, so that only a peer that moved costs memory
		w.hint.Store(&moved)
	}
}

// mistaken notes that the other end of a connection is not the peer, or did not answer the first thing it was asked.
func (w *whereabouts) mistaken(conn *http1.Conn) {
	if host, _, err := net.SplitHostPort(conn.RemoteAddr().String()); err == nil {
		w.blame(host)
	}
}

func (w *whereabouts) blame(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = host
}

// route is where to try, in order. The second address is tried when the first has failed and, in a race, also when it
// takes long.
type route struct {
	addresses []string
	race      bool
	hint      string // the hint's host if it goes first, else ""
}

// route returns the name, and then the hint; the hint first, if the peer was not found at another host. A hint that was
// found wrong itself does not race: it would win against every name that is slow, and the peer would never be reached.
func (w *whereabouts) route() route {
	name := net.JoinHostPort(w.host, w.port)
	hint := w.hint.Load()
	if hint == nil {
		return route{addresses: []string{name}}
	}
	hinted := net.JoinHostPort(*hint, w.port)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong != "" && w.wrong != *hint {
		return route{addresses: []string{hinted, name}, race: true, hint: *hint}
	}
	return route{addresses: []string{name, hinted}, race: w.wrong == ""}
}

// connect connects to the peer, at the first address of its route where that succeeds. The name is looked up anew each
// time. What did not work counts the next time, so that every address gets its turn.
// byName reports whether the name led there.
func (w *whereabouts) connect(ctx context.Context) (conn *http1.Conn, byName bool, err error) {
	r := w.route()
	if len(r.addresses) == 1 {
		conn, err = w.dial(ctx, r.addresses[0])
		return conn, true, err
	}
	conn, address, err := w.connectAlong(ctx, r)
	switch {
	case err != nil:
		w.blame("") // the name may have used up the time: the hint shall have a chance
	case r.hint != "" && address != r.addresses[0]:
		w.blame(r.hint)
	}
	return conn, address == net.JoinHostPort(w.host, w.port), err
}

func (w *whereabouts) connectAlong(ctx context.Context, r route) (*http1.Conn, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed, len(r.addresses))
	begun, failed := 0, 0
	begin := func() {
		address := r.addresses[begun]
		begun++
		go func() {
			conn, err := w.reach(ctx, address)
			results <- dialed{conn, address, err}
		}()
	}
	begin()
	patience := time.NewTimer(hintDelay)
	defer patience.Stop()
	if !r.race {
		patience.Stop()
	}
	var errs []error
	for failed < len(r.addresses) {
		select {
		case one := <-results:
			if one.err == nil {
				go discard(results, begun-failed-1)
				return one.conn, one.address, nil
			}
			failed++
			errs = append(errs, one.err)
		case <-patience.C:
		}
		if begun < len(r.addresses) {
			begin()
		}
	}
	return nil, "", errors.Join(errs...)
}

// dial connects to an address.
func (w *whereabouts) dial(ctx context.Context, address string) (*http1.Conn, error) {
	conn, err := w.dialer.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return http1.NewConn(conn, answerBuffer, maxHeaderBytes), nil
}

// reach connects to an address: to that of the name as it is, and to any other only if the peer is there.
func (w *whereabouts) reach(ctx context.Context, address string) (*http1.Conn, error) {
	conn, err := w.dial(ctx, address)
	if err != nil || address == net.JoinHostPort(w.host, w.port) {
		return conn, err
	}
	host, _, err := net.SplitHostPort(address)
	if err == nil {
		err = w.verify(ctx, conn, host)
	}
	if err != nil {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, err)}
	}
	return conn, nil
}

// dialed is what came of one attempt to connect.
type dialed struct {
	conn    *http1.Conn
	address string
	err     error
}

// discard closes the connections that come too late; their attempts were canceled.
func discard(results <-chan dialed, count int) {
	for range count {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}
