package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/budget"
)

// link is one connection to a peer: HTTP/1.1, one exchange at a time, by one goroutine. It does what net/http's
// client would do in two more goroutines, at half the cost (DESIGN.md).
type link struct {
	where *whereabouts // of the peer
	err   error        // why it cannot be asked
	head  string       // the header lines of every request

	// answer counts down what one answer may still take from the connection, in bytes (trap H4).
	answer io.LimitedReader
	reader *bufio.Reader
	first  []byte // request line and header of the request under way

	used   time.Time // when the last exchange ended
	byName bool      // the peer's name led to the connection

	mu     sync.Mutex
	conn   net.Conn // nil when there is none
	closed bool
}

// newLink makes a link to the peer that is there.
func newLink(where *whereabouts, header http.Header) *link {
	l := &link{reader: bufio.NewReaderSize(nil, 4096), where: where, err: where.err}
	var head strings.Builder
	head.WriteString(" HTTP/1.1\r\nHost: " + where.authority + "\r\n")
	if err := header.Write(&head); err != nil {
		l.err = fmt.Errorf("cannot write the header: %w", err)
	}
	head.WriteString("Content-Length: ")
	l.head = head.String()
	return l
}

// post sends a request and reads the answer, of at most maxSmallAnswer bytes, until the deadline. An answer that
// is not 200 comes back as a *refusal. A request whose connection the peer has closed meanwhile, as an idle one,
// is sent a second time on a new one: it may arrive twice, which Raft allows.
func (l *link) post(ctx context.Context, deadline time.Time, path string, body []byte) ([]byte, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.begin(http.MethodPost, path, len(body))
	for {
		conn, reused, err := l.connect(ctx, deadline)
		if err != nil {
			return nil, err
		}
		answer, err := l.exchange(conn, deadline, body, maxSmallAnswer, nil)
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

// once is post for a request that must not arrive twice, of any method and with an answer of at most limit bytes.
// sent is false only if surely no byte of it left (trap T49). The end of ctx ends the exchange. The answer is charged
// to held.
func (l *link) once(
	ctx context.Context, deadline time.Time, method, path string, body []byte, limit int64, held *budget.Account,
) (answer []byte, sent bool, err error) {
	if l.err != nil {
		return nil, false, l.err
	}
	l.begin(method, path, len(body))
	if l.stale() {
		l.drop()
	}
	conn, reused, err := l.connect(ctx, deadline)
	if err != nil {
		return nil, false, err
	}
	defer context.AfterFunc(ctx, l.drop)()
	answer, err = l.exchange(conn, deadline, body, limit, held)
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
	return answer, true, err
}

// stale reports whether the connection must not carry a request that may be sent only once: the peer closed it, or
// is about to, because nothing travelled on it for long.
func (l *link) stale() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil && (time.Since(l.used) > idleTimeout/2 || hungUp(l.conn))
}

// begin writes the request line and the header.
func (l *link) begin(method, path string, length int) {
	l.first = append(append(l.first[:0], method...), ' ')
	l.first = append(append(l.first, l.where.base...), path...)
	l.first = append(l.first, l.head...)
	l.first = append(strconv.AppendInt(l.first, int64(length), 10), "\r\n\r\n"...)
}

// exchange sends the request on a connection and reads its answer. After an error that is no *refusal the
// connection is of no more use (trap H2).
func (l *link) exchange(conn net.Conn, deadline time.Time, body []byte, limit int64, held *budget.Account) (
	[]byte, error,
) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if err := l.write(conn, body); err != nil {
		return nil, err
	}
	l.answer.N = maxHeaderBytes + limit
	response, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	answer, err := readBody(response.Body, response.ContentLength, limit, held)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	if response.Close || l.reader.Buffered() > 0 {
		l.drop()
	}
	isMarked := response.Header.Get(headerProtocol) != ""
	if isMarked && !l.where.marks.Load() {
		l.where.marks.Store(true)
	}
	if response.StatusCode == http.StatusOK && isObject(answer) {
		return answer, nil
	}
	no := readRefusal(response.StatusCode, answer)
	if !isMarked && l.where.marks.Load() {
		no = notOurs(response.StatusCode)
	}
	if no.byAnother() {
		l.where.mistaken(conn)
		l.drop()
	}
	return nil, no
}

// isObject reports whether an answer may be a peer's, which are all JSON objects. Some programs say 200 to everything.
func isObject(answer []byte) bool {
	answer = bytes.TrimLeft(answer, " \t\r\n")
	return len(answer) > 0 && answer[0] == '{'
}

// copiedBody is up to which length a body is copied behind its header, to be written in one piece.
const copiedBody = 16 << 10

func (l *link) write(conn net.Conn, body []byte) error {
	if len(body) <= copiedBody {
		l.first = append(l.first, body...)
		_, err := conn.Write(l.first)
		l.first = l.first[:len(l.first)-len(body)] // a second attempt begins with the header
		return err
	}
	out := net.Buffers{l.first, body}
	_, err := out.WriteTo(conn)
	return err
}

// connect gives the connection, a new one if there is none, and reports whether it was used before.
func (l *link) connect(ctx context.Context, deadline time.Time) (conn net.Conn, reused bool, err error) {
	l.mu.Lock()
	conn = l.conn
	l.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var byName bool
	if conn, byName, err = l.where.connect(ctx); err != nil {
		return nil, false, err
	}
	l.byName = byName
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return nil, false, net.ErrClosed
	}
	l.adopt(conn)
	return conn, false, nil
}

// adopt makes a connection the link's own.
func (l *link) adopt(conn net.Conn) {
	l.conn = conn
	l.answer.R = conn
	l.reader.Reset(&l.answer)
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

// close ends the exchange under way and every later one. It may be called from any goroutine.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.drop()
}
