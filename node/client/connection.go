package client

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
)

// maxAnswerBytes bounds the answer to one batch.
const maxAnswerBytes = 256 << 20

// Bounds of one connection, in bytes: its read buffer, and the head of an answer.
const (
	answerBuffer = 64 << 10
	maxHeadBytes = 64 << 10
)

// connection carries batches over one HTTP/1.1 connection, one at a time.
//
// A batch is handed from lane to send to receive: send puts it into turn when it is written, or never will be,
// and from then on it is receive's. So neither touches a batch that the other still uses.
type connection struct {
	lane     *lane
	endpoint *endpoint
	http     *http1.Conn
	head     http1.Head
	path     string      // of every request
	turn     chan *batch // room for one
	slow     *time.Timer // calls watch when an answer takes long
	left     atomic.Bool // watch has ended the connection

	// Guarded by the lane's lock.
	batch      *batch      // what the connection carries; nil: it is idle
	lastUsed   time.Time   // when it began to carry its last batch
	leadership *leadership // then, as far as was known

	answer []byte // of receive: the body of the last answer
}

// carry makes the batch the connection's next one. The lane must be locked.
func (c *connection) carry(b *batch) {
	c.batch = b
	c.lastUsed = time.Now()
	c.leadership = c.lane.topology.now.Load()
}

// dialConnection connects to an endpoint.
func dialConnection(ctx context.Context, l *lane, e *endpoint) (*connection, error) {
	head, err := http1.NewHead(e.url.Host, e.url.EscapedPath(), http.Header{
		"User-Agent": {userAgent}, "Content-Type": {"application/x-ndjson"},
	})
	if err != nil {
		return nil, err
	}
	dialer := l.topology.config.dialer(e.url.Scheme)
	conn, err := dialer.Dial(ctx, e.address)
	if err != nil {
		return nil, err
	}
	c := &connection{
		lane: l, endpoint: e, http: http1.NewConn(conn, answerBuffer, maxHeadBytes),
		head: head, path: api.PathBatch + l.query, turn: make(chan *batch, 1),
	}
	c.slow = time.AfterFunc(time.Hour, c.watch)
	c.slow.Stop()
	return c, nil
}

// send writes the connection's batch. What goes wrong is left to receive, which sees the connection close.
func (c *connection) send() {
	b := c.batch
	if !b.seal() {
		c.close() // no caller waits any more
		c.turn <- b
		return
	}
	config := &c.lane.topology.config
	c.slow.Reset(config.SlowAfter)
	r := http1.Request{
		Method: http.MethodPost, Path: c.path, Body: b.body, Deadline: time.Now().Add(config.RequestTimeout),
	}
	if err := c.http.Send(&c.head, &r); err != nil {
		c.close()
	}
	c.turn <- b
}

// receive reads answers until the connection ends. It alone finishes what was sent.
func (c *connection) receive() {
	for {
		err := c.http.Await()
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

// errLast ends a connection after an answer, because the server closes it or is to be left.
var errLast = errors.New("this was the last answer of the connection")

// errUnasked ends a connection whose other end sends something before it is asked, as proxies do whose patience with an
// idle connection is over. The next request must not take it for its own answer.
var errUnasked = errors.New("an answer came without a request")

// receiveOne reads one answer, and finishes the batch with it. After an error the connection is of no more use,
// and what is left of the batch is in turn.
func (c *connection) receiveOne() error {
	response, err := c.http.Receive(maxAnswerBytes)
	if err != nil {
		return err
	}
	c.answer, err = http1.AppendBody(c.answer[:0], response.Body, maxAnswerBytes)
	c.slow.Stop()
	b := <-c.turn
	v, err := c.judge(b, response, err)
	if err == nil {
		c.lane.topology.learn(c.endpoint, response.Header, v)
		// What came unasked must not answer the next request, and the next connection to a configured endpoint may lead to
		// another node.
		if !c.http.IsReusable(response) || v == refused && c.endpoint.configured {
			err = errLast
		}
	}
	if err != nil {
		c.turn <- b
		return err
	}
	_ = c.http.SetDeadline(time.Time{})
	b.free()
	return nil
}

// judge passes the answer, which was read up to err, to the batch. It returns what that means for the endpoint, and
// an error if it is not a node's whole answer to the batch.
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
			return responds, errForeign // the node's own answer may follow it
		case cannotServe(e.Code):
			return refused, nil
		}
	}
	return responds, err
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
	if c.http.MayHaveArrived() {
		b.fail(&api.Error{Code: api.CodeOutcomeUnknown, Cause: err, Message: "the connection to " + c.endpoint.name() +
			" ended before the answer came: " + why})
	} else {
		b.fail(&api.Error{Code: api.CodeUnreachable, Cause: err, Message: "the connection to " + c.endpoint.name() +
			" ended before anything was sent: " + why})
	}
	b.free()
	c.lane.vacate(c.endpoint, nil)
}

func (c *connection) close() { _ = c.http.Close() }
