package http1

import (
	"bufio"
	"crypto/tls"
	"net"
	"time"
)

// Conn is one connection to a server. It carries one request at a time. Send may run in one goroutine while another
// one waits for the answer; MayHaveArrived must not run beside Send. Close, SetDeadline, RemoteAddr and HungUp may be
// called from any goroutine.
type Conn struct {
	conn    net.Conn
	below   *counted // conn is a TLS connection over it; nil: it is none of a Dialer
	opaque  bool     // conn is a TLS connection over another one, whose bytes are not counted
	maxHead int64

	// Of Send.
	request []byte // the head, and a short body behind it
	parts   [2][]byte
	buffers net.Buffers
	left    int64 // bytes of the last request that left

	// Of the goroutine that reads.
	in     bounded
	reader *bufio.Reader
}

// NewConn returns a Conn over a connection that carried nothing yet. It reads into a buffer of so many bytes, and the
// head of an answer, with the interim answers before it, may have maxHead bytes.
func NewConn(conn net.Conn, buffer int, maxHead int64) *Conn {
	c := &Conn{conn: conn, maxHead: maxHead, in: bounded{conn: conn}}
	if secure, ok := conn.(*tls.Conn); ok {
		c.below, _ = secure.NetConn().(*counted)
		c.opaque = c.below == nil
	}
	c.reader = bufio.NewReaderSize(&c.in, buffer)
	return c
}

// copiedBody is the length in bytes up to which a body is copied behind its head, so that both are one write, and one
// TLS record.
const copiedBody = 16 << 10

// Request is one request, without what it has in common with all requests to the server.
type Request struct {
	Method string
	Path   string // encoded, with the query
	Body   []byte
	// Deadline ends the exchange: the writing, and the reading of the answer. The zero time ends none.
	Deadline time.Time
}

// Send writes a request, with one system call. After an error the connection is of no use, and MayHaveArrived reports
// whether the server may have the request.
func (c *Conn) Send(head *Head, r *Request) error {
	c.left = 0
	if err := c.conn.SetDeadline(r.Deadline); err != nil {
		return err
	}
	c.request = head.Append(c.request[:0], r.Method, r.Path, len(r.Body))
	before := c.below.count()
	left, err := c.write(r.Body)
	switch {
	case c.below != nil:
		c.left = c.below.count() - before
	case c.opaque:
		c.left = int64(len(c.request)) // a write that failed may have sent some records
	default:
		c.left = left
	}
	return err
}

// write writes the head and the body, and returns how many of their bytes were taken.
func (c *Conn) write(body []byte) (int64, error) {
	if len(body) <= copiedBody {
		c.request = append(c.request, body...)
		n, err := c.conn.Write(c.request)
		return int64(n), err
	}
	c.parts = [2][]byte{c.request, body}
	c.buffers = c.parts[:]
	return c.buffers.WriteTo(c.conn)
}

// MayHaveArrived reports whether a byte of the last request has left the process. If none has, the server surely does
// not have the request. Otherwise it may, also if Send failed (trap T49).
func (c *Conn) MayHaveArrived() bool { return c.left > 0 }

// Close closes the connection, and ends what uses it.
func (c *Conn) Close() error { return c.conn.Close() }

// SetDeadline ends every later write and read at t; the zero time ends none.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// HungUp reports whether the server has closed a connection that carries no request, or has sent what it was not asked
// for. It does not wait. It is true if that cannot be found out, as for a connection that is no TCP connection.
func (c *Conn) HungUp() bool {
	raw := c.conn
	if c.below != nil {
		raw = c.below.Conn
	}
	tcp, ok := raw.(*net.TCPConn)
	return !ok || hungUp(tcp)
}
