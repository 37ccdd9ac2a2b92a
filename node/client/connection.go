package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// maxAnswerBytes bounds the answer to one batch.
const maxAnswerBytes = 256 << 20

// connection is one HTTP/1.1 connection that carries batches, one at a time. It is written by hand, and only
// read by net/http, for two reasons: it knows whether a byte of a request has left, which decides between
// "not done" and "unknown" (trap T49) and which net/http does not tell; and it costs two goroutine changes
// less per request.
//
// A batch is handed from lane to send to receive: send puts it into turn when it is written, or never will be,
// and from then on it is receive's. So neither touches a batch that the other one still uses.
type connection struct {
	lane     *lane
	endpoint *endpoint
	net      net.Conn
	reader   *bufio.Reader
	turn     chan *batch // room for one
	slow     *time.Timer // calls watch when an answer takes long
	left     atomic.Bool // watch has ended the connection

	// Guarded by the lane's lock.
	batch    *batch    // what the connection carries; nil: it is idle
	lastUsed time.Time // when it began to carry its last batch
	office   *office   // who led then, as far as was known

	// Of send; receive may read written once it had its turn.
	head    []byte // of a request, up to the value of Content-Length
	request []byte
	parts   [2][]byte
	buffers net.Buffers
	written int64 // bytes of the request that the socket took

	answer []byte // of receive: the body of the last answer
}

// carry makes the batch the connection's next one. The lane must be locked.
func (c *connection) carry(b *batch) {
	c.batch = b
	c.lastUsed = time.Now()
	c.office = c.lane.topology.now.Load()
}

// dialConnection connects to an endpoint.
func dialConnection(ctx context.Context, l *lane, e *endpoint) (*connection, error) {
	config := &l.topology.config
	ctx, cancel := context.WithTimeout(ctx, config.DialTimeout)
	defer cancel()
	conn, err := config.DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	if e.url.Scheme == "https" {
		secure := tls.Client(conn, config.tlsFor(e))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	c := &connection{lane: l, endpoint: e, net: conn, reader: reader, turn: make(chan *batch, 1)}
	c.head = append(c.head, "POST "+e.url.EscapedPath()+api.PathBatch+l.query+" HTTP/1.1\r\nHost: "+e.url.Host+
		"\r\nUser-Agent: "+userAgent+"\r\nContent-Type: application/x-ndjson\r\nContent-Length: "...)
	c.slow = time.AfterFunc(time.Hour, c.watch)
	c.slow.Stop()
	return c, nil
}

// send writes the connection's batch. What goes wrong is left to receive, which sees the connection close.
func (c *connection) send() {
	b := c.batch
	c.written = 0
	if !b.seal() {
		c.close() // nobody waits any more
		c.turn <- b
		return
	}
	config := &c.lane.topology.config
	c.slow.Reset(config.SlowAfter)
	_ = c.net.SetDeadline(time.Now().Add(config.RequestTimeout))
	c.request = strconv.AppendInt(append(c.request[:0], c.head...), int64(len(b.body)), 10)
	c.request = append(c.request, "\r\n\r\n"...)
	c.parts = [2][]byte{c.request, b.body}
	c.buffers = c.parts[:]
	var err error
	if c.written, err = c.buffers.WriteTo(c.net); err != nil {
		c.close()
	}
	c.turn <- b
}

// receive reads answers until the connection ends. It alone finishes what was sent.
func (c *connection) receive() {
	for {
		_, err := c.reader.Peek(1)
		if err == nil && !c.lane.awaits(c) {
			err = errUnasked
		}
		if err == nil {
			err = c.receiveOne()
		}
		if err != nil {
			c.close()
			c.slow.Stop()
			if !c.lane.remove(c) {
				c.giveUp(err)
			}
			return
		}
		c.lane.vacate(c.endpoint, c)
	}
}

// errLast says that the connection ends after this answer, because the server closes it or is to be left.
var errLast = errors.New("this was the last answer of the connection")

// errUnasked ends a connection whose other end sends something before it is asked, as proxies do whose patience with an
// idle connection is over. The next request must not take it for its own answer.
var errUnasked = errors.New("an answer came without a request")

// receiveOne reads one answer, and finishes the batch with it. After an error the connection is of no more use,
// and what is left of the batch is in turn.
func (c *connection) receiveOne() error {
	response, err := c.readResponse()
	if err != nil {
		return err
	}
	c.answer, err = readAll(c.answer[:0], response.Body, maxAnswerBytes)
	c.slow.Stop()
	b := <-c.turn
	v, err := c.judge(b, response, err)
	if err == nil {
		c.lane.topology.learn(c.endpoint, response.Header, v)
		// What came unasked must not answer the next request, and the next connection to a configured endpoint may lead to
		// another node.
		if response.Close || c.reader.Buffered() > 0 || v == refused && c.endpoint.configured {
			err = errLast
		}
	}
	if err != nil {
		c.turn <- b
		return err
	}
	_ = c.net.SetDeadline(time.Time{})
	b.free()
	return nil
}

// judge hands the answer, which was read up to err, to the batch. It gives what the answer says of its endpoint, and an
// error if it is not a node's whole answer to the batch.
func (c *connection) judge(b *batch, response *http.Response, err error) (verdict, error) {
	switch {
	case response.StatusCode == http.StatusOK && isNodes(response.Header):
		turnedAway := b.resolve(c.answer, err == nil)
		if err == nil && len(b.calls) > 0 {
			err = errors.New("the answer has fewer lines than the request")
		}
		switch {
		case turnedAway:
			return refused, err
		case !c.lane.anywhere:
			return served, err
		}
	case err == nil:
		e := c.endpoint.refusal(response, c.answer)
		b.fail(e)
		switch {
		case isForeign(e):
			return alive, errForeign // the node's own answer may follow it
		case cannotServe(e.Code):
			return refused, nil
		}
	}
	return alive, err
}

// maxInterim bounds how many interim answers may precede an answer, as in net/http.
const maxInterim = 5

// readResponse reads the answer's head. The interim ones before it, 100 Continue or 103 Early Hints, are not it: taken
// for one, they would leave the answer itself to the next request.
func (c *connection) readResponse() (*http.Response, error) {
	for range maxInterim + 1 {
		response, err := http.ReadResponse(c.reader, postRequest)
		if err != nil || response.StatusCode >= 200 {
			return response, err
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("the answer switches protocols, which was not asked for")
		}
	}
	return nil, errors.New("the answer has more than " + strconv.Itoa(maxInterim) + " interim answers before it")
}

// giveUp finishes what is left of the batch of a connection that has ended: not done if nothing of it had been
// written, of unknown outcome otherwise (trap T49).
func (c *connection) giveUp(err error) {
	b := <-c.turn
	if !errors.Is(err, errLast) {
		c.lane.topology.failed(c.endpoint)
	}
	why := err.Error()
	if c.left.Load() {
		why = "another node leads, and this one did not answer"
	}
	if c.written == 0 {
		b.fail(&api.Error{Code: api.CodeUnreachable, Cause: err, Message: "the connection to " + c.endpoint.name() +
			" ended before anything was sent: " + why})
	} else {
		b.fail(&api.Error{Code: api.CodeOutcomeUnknown, Cause: err, Message: "the connection to " + c.endpoint.name() +
			" ended before the answer came: " + why})
	}
	b.free()
	c.lane.vacate(c.endpoint, nil)
}

func (c *connection) close() { _ = c.net.Close() }

// postRequest tells http.ReadResponse what the answer is to.
var postRequest = &http.Request{Method: http.MethodPost}

// readAll reads an answer's body of at most so many bytes into dst.
func readAll(dst []byte, body io.ReadCloser, most int) ([]byte, error) {
	defer func() { _ = body.Close() }()
	for {
		dst = slices.Grow(dst, 4096)
		n, err := body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return dst, nil
		case err != nil:
			return dst, err
		case len(dst) > most:
			return dst, errors.New("the answer is over " + strconv.Itoa(most) + " bytes")
		}
	}
}
