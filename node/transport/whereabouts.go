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
)

// hintDelay is how long a connection to a peer's name may take before the host that the peer last called from is
// tried as well: longer than a connection takes in one data centre, and short enough that a dead address costs a
// fraction of an election timeout of one second.
const hintDelay = 150 * time.Millisecond

// dialFunc makes connections, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// whereabouts is what is known of where a peer can be reached: by its name, and perhaps at the host that its last
// request came from. For up to 30 s after a pod started again its name may lead nowhere, to a dead address, or to
// another pod (trap O20); a peer that calls shows where it is. That is a hint and nothing more: whoever answers must
// still be who the request's headers name.
type whereabouts struct {
	dial dialFunc
	err  error // why the peer has no address; then there is none of the following

	// Of the peer's URL, as they stand there. A name with a dot at its end is looked up as it is.
	host, port string
	authority  string // host and port for the Host header
	base       string // path in front of every route

	// hint is the host that the peer's last request came from, nil: none came yet, or it is the URL's host.
	hint atomic.Pointer[string]

	mu    sync.Mutex
	wrong string // a host that was found to be somebody else, the last one
}

// newWhereabouts reads the URL of a peer. Of a URL that cannot be one the error is kept, and every exchange reports it.
func newWhereabouts(peerURL string, dial dialFunc) *whereabouts {
	w := &whereabouts{dial: dial}
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
		w.hint.Store(&host)
	}
}

// mistaken notes that whoever answers at the other end of a connection is not the peer.
func (w *whereabouts) mistaken(conn net.Conn) {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = host
}

// addresses gives where to try, in this order: the name, and then the hint; the hint first, if it is not what was
// found wrong last. So two wrong ones are tried by turns for ever.
func (w *whereabouts) addresses() []string {
	name := net.JoinHostPort(w.host, w.port)
	hint := w.hint.Load()
	if hint == nil {
		return []string{name}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	hinted := net.JoinHostPort(*hint, w.port)
	if w.wrong != "" && w.wrong != *hint {
		return []string{hinted, name}
	}
	return []string{name, hinted}
}

// connect connects to the peer. The second address is tried when the first one failed, or took longer than
// hintDelay, and the first connection that stands is taken. The name is looked up anew each time.
func (w *whereabouts) connect(ctx context.Context) (net.Conn, error) {
	addresses := w.addresses()
	if len(addresses) == 1 {
		return w.dial(ctx, "tcp", addresses[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed, len(addresses))
	begun, failed := 0, 0
	begin := func() {
		address := addresses[begun]
		begun++
		go func() {
			conn, err := w.dial(ctx, "tcp", address)
			results <- dialed{conn, err}
		}()
	}
	begin()
	patience := time.NewTimer(hintDelay)
	defer patience.Stop()
	var errs []error
	for failed < len(addresses) {
		select {
		case r := <-results:
			if r.err == nil {
				go discard(results, begun-failed-1)
				return r.conn, nil
			}
			failed++
			errs = append(errs, r.err)
		case <-patience.C:
		}
		if begun < len(addresses) {
			begin()
		}
	}
	return nil, errors.Join(errs...)
}

// dialed is what came of one attempt to connect.
type dialed struct {
	conn net.Conn
	err  error
}

// discard closes the connections that come too late; their attempts were canceled.
func discard(results <-chan dialed, count int) {
	for range count {
		if r := <-results; r.err == nil {
			_ = r.conn.Close()
		}
	}
}
