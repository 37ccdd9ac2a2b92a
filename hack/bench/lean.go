package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// leanConn is one keep-alive HTTP/1.1 connection with the least cost for a load generator: the request is a prepared
// slice of bytes, and of the response it reads only what the benchmark needs. Go's own client costs more than the
// servers that are measured (three times as much as this one).
type leanConn struct {
	nodes    []string // host:port, tried in turn when a connection breaks
	next     int
	deadline time.Time // of the whole exchange, so that no server can block the benchmark; zero: none
	conn     net.Conn
	in       *bufio.Reader
	out      answer
}

// answer is what the benchmark reads of an HTTP response (RFC 9112). Its body is valid until the next request.
type answer struct {
	status  int
	etag    uint64 // 0: none
	version int
	length  int // -1: chunked
	close   bool
	body    []byte
}

func newLeanConn(nodes []string, first int) *leanConn {
	return &leanConn{nodes: nodes, next: first % len(nodes), in: bufio.NewReaderSize(nil, 8<<10)}
}

// do sends a request and reads its response. An error response is returned as its *api.Error; no response as a
// *connectionError, and the next request goes to the next node.
func (c *leanConn) do(request []byte) (*answer, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return nil, err
		}
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, c.broken(err)
	}
	if err := c.out.read(c.in); err != nil {
		return nil, c.broken(err)
	}
	if c.out.close {
		c.hangUp()
	}
	if c.out.status >= 300 {
		return &c.out, c.out.failure()
	}
	return &c.out, nil
}

func (c *leanConn) dial() error {
	conn, err := net.DialTimeout("tcp", c.nodes[c.next], 2*time.Second)
	if err != nil {
		c.next = (c.next + 1) % len(c.nodes)
		return &connectionError{err: err}
	}
	if err := conn.SetDeadline(c.deadline); err != nil {
		return &connectionError{err: err}
	}
	c.conn = conn
	c.in.Reset(conn)
	return nil
}

func (c *leanConn) broken(err error) error {
	c.hangUp()
	c.next = (c.next + 1) % len(c.nodes)
	return &connectionError{sent: true, err: err}
}

func (c *leanConn) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (a *answer) read(in *bufio.Reader) error {
	*a = answer{body: a.body[:0]}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("not an HTTP/1.1 response: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return fmt.Errorf("no status in %q", line)
	}
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if err := a.header(line); err != nil {
			return err
		}
	}
	if a.length < 0 {
		return a.readChunks(in)
	}
	return a.readBody(in, a.length)
}

// header reads one header line, if the benchmark needs it.
func (a *answer) header(line []byte) (err error) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("not a header: %q", line)
	}
	value = bytes.TrimSpace(value)
	switch {
	case is(name, "Content-Length"):
		a.length, err = strconv.Atoi(string(value))
	case is(name, "ETag"):
		a.etag, err = strconv.ParseUint(string(bytes.Trim(value, `"`)), 10, 64)
	case is(name, api.HeaderVersion):
		a.version, err = strconv.Atoi(string(value))
	case is(name, "Transfer-Encoding"):
		a.length = -1
	case is(name, "Connection"):
		a.close = is(value, "close")
	}
	if err != nil {
		return fmt.Errorf("in the header %q: %w", line, err)
	}
	return nil
}

func is(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

func (a *answer) readBody(in io.Reader, length int) error {
	start := len(a.body)
	if cap(a.body) < start+length {
		a.body = append(make([]byte, 0, 2*(start+length)), a.body...)
	}
	a.body = a.body[:start+length]
	_, err := io.ReadFull(in, a.body[start:])
	return err
}

func (a *answer) readChunks(in *bufio.Reader) error {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("not a chunk length: %q", line)
		}
		if err := a.readBody(in, int(size)); err != nil {
			return err
		}
		if line, err = in.ReadSlice('\n'); err != nil || len(bytes.TrimSpace(line)) > 0 {
			return errors.Join(err, fmt.Errorf("a chunk ends in %q", line))
		}
		if size == 0 {
			return nil
		}
	}
}

// failure is the error in a response.
func (a *answer) failure() error {
	var body api.ErrorBody
	if err := json.Unmarshal(a.body, &body); err != nil || body.Error == nil {
		return &api.Error{Code: api.CodeInternal, Message: fmt.Sprintf("status %d: %q", a.status, a.body)}
	}
	return body.Error
}
