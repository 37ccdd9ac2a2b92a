package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/http1"
)

// link is a connection to a peer, and the next one once that has ended. It carries one exchange at a time, by one
// goroutine.
type link struct {
	where *whereabouts // of the peer
	err   error        // why it cannot be asked
	head  http1.Head

	used   time.Time // when the last exchange ended
	byName bool      // the peer's name led to the connection

	mu     sync.Mutex
	conn   *http1.Conn // nil when there is none
	closed bool
}

// newLink returns a link to the peer.
func newLink(where *whereabouts, header http.Header) *link {
	l := &link{where: where, err: where.err}
	if l.err == nil {
		l.head, l.err = http1.NewHead(where.authority, where.base, header)
	}
	return l
}

// request is a request to a peer. Its answer has at most limit bytes and is charged to held.
type request struct {
	http1.Request
	limit int64
	held  *budget.Account
}

// post sends a request and reads the answer, of at most maxSmallAnswer bytes, until the deadline. An answer that
// is not 200 is returned as a *refusal. A request whose connection the peer has closed meanwhile, as an idle one,
// is sent a second time on a new one: it may arrive twice, which Raft allows.
func (l *link) post(ctx context.Context, deadline time.Time, path string, body []byte) ([]byte, error) {
	r := request{
		Request: http1.Request{Method: http.MethodPost, Path: path, Body: body, Deadline: deadline}, limit: maxSmallAnswer,
	}
	for {
		conn, reused, err := l.connect(ctx, deadline)
		if err != nil {
			return nil, err
		}
		answer, err := l.exchange(conn, &r)
		if err == nil || asRefusal(err) != nil {
			return answer, err
		}
		l.drop()
		if !reused && ctx.Err() == nil {
			l.where.mistaken(conn)
		}
		var n net.Error
		if !reused || ctx.Err() != nil || errors.As(err, &n) && n.Timeout() {
			return nil, err
		}
	}
}

// once is post for a request that must not arrive twice. sent is false only if surely no byte of it left (trap T49).
// The end of ctx ends the exchange.
func (l *link) once(ctx context.Context, r *request) (answer []byte, sent bool, err error) {
	if l.stale() {
		l.drop()
	}
	conn, reused, err := l.connect(ctx, r.Deadline)
	if err != nil {
		return nil, false, err
	}
	defer context.AfterFunc(ctx, l.drop)()
	answer, err = l.exchange(conn, r)
	if err != nil && asRefusal(err) == nil {
		l.drop()
		if !reused && ctx.Err() == nil {
			l.where.mistaken(conn)
		}
	}
	l.used = time.Now()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return answer, conn.MayHaveArrived(), err
}

// stale reports whether the connection must not carry a request that may be sent only once: the peer closed it, or
// is about to, because nothing travelled on it for long.
func (l *link) stale() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil && (time.Since(l.used) > idleTimeout/2 || l.conn.HungUp())
}

// exchange sends a request on a connection and reads its answer. After an error that is no *refusal the connection is
// of no more use (trap H2).
func (l *link) exchange(conn *http1.Conn, r *request) ([]byte, error) {
	if err := conn.Send(&l.head, &r.Request); err != nil {
		return nil, l.refusedEarly(conn, r, err)
	}
	return l.receive(conn, r)
}

// refusedEarly returns why a request could not be sent: the refusal of a peer that did not read the whole body and then
// closed the connection, if there is one to read, and else the error of the connection.
func (l *link) refusedEarly(conn *http1.Conn, r *request, err error) error {
	if !conn.MayHaveArrived() {
		return err
	}
	_, answer := l.receive(conn, r)
	l.drop()
	if no := asRefusal(answer); no != nil && no.code != codeNotOurs {
		return no
	}
	return err
}

// receive reads the answer to the request that was sent on a connection.
func (l *link) receive(conn *http1.Conn, r *request) ([]byte, error) {
	response, err := conn.Receive(r.limit)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	answer, err := http1.ReadBody(response.Body, response.ContentLength, r.limit, r.held)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	if !conn.IsReusable(response) {
		l.drop()
	}
	return l.judge(conn, response, answer)
}

// judge returns the answer if it is the peer's and is no refusal.
func (l *link) judge(conn *http1.Conn, response *http.Response, answer []byte) ([]byte, error) {
	marked := isMarked(response.Header)
	if marked && !l.where.marks.Load() {
		l.where.marks.Store(true)
	}
	if response.StatusCode == http.StatusOK && isObject(answer) {
		return answer, nil
	}
	no := readRefusal(response.StatusCode, answer)
	if !marked && l.where.marks.Load() {
		no = notOurs(response.StatusCode)
	}
	if no.byAnother() {
		l.where.mistaken(conn)
		l.drop()
	}
	return nil, no
}

// isObject reports whether an answer may be a peer's, which are all JSON objects. Some programs answer all with 200.
func isObject(answer []byte) bool {
	answer = bytes.TrimLeft(answer, " \t\r\n")
	return len(answer) > 0 && answer[0] == '{'
}

// connect returns the connection, a new one if there is none, and reports whether it was used before.
func (l *link) connect(ctx context.Context, deadline time.Time) (conn *http1.Conn, reused bool, err error) {
	if l.err != nil {
		return nil, false, l.err
	}
	l.mu.Lock()
	conn = l.conn
	l.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if conn, l.byName, err = l.where.connect(ctx); err != nil {
		return nil, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return nil, false, net.ErrClosed
	}
	l.conn = conn
	return conn, false, nil
}

// drop closes the connection; the next exchange makes a new one.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// close ends the exchange in flight and every later one. It may be called from any goroutine.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.drop()
}
