package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// call is what one caller waits for: one command, or with several lines one piece of a Client.Batch. Calls are
// reused; who takes the state from sent or queued to its end decides who puts it back (see finish and giveUp).
type call struct {
	request request   // of a call with one line
	lines   []request // of a call with several, else nil
	read    bool      // changes nothing
	raw     bool      // wants results as JSON text
	late    bool      // the answers came when the time was over

	answers []answer // one per line
	single  [1]answer

	home  *sync.Pool // where free puts it
	state atomic.Int32
	done  chan struct{} // has room for the one token that finish sends
	timer *time.Timer   // ends the call if the caller's context has no deadline
}

// The states of a call. queued -> sent -> done, or from either of the first two -> abandoned.
const (
	callQueued int32 = iota
	callSent
	callDone
	callAbandoned
)

// newCalls makes the pool of one client's calls.
func newCalls() *sync.Pool {
	pool := new(sync.Pool)
	pool.New = func() any {
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		return &call{home: pool, done: make(chan struct{}, 1), timer: timer}
	}
	return pool
}

// newCall returns a call that is the caller's alone.
func (c *Client) newCall() *call {
	k := c.calls.Get().(*call)
	k.answers = k.single[:]
	return k
}

// free returns a call to its pool; no reference to it may be left.
func (c *call) free() {
	c.request, c.lines, c.answers = request{}, nil, nil
	c.read, c.raw, c.late = false, false, false
	c.single[0] = answer{}
	c.state.Store(callQueued)
	c.home.Put(c)
}

// count is the number of lines that the call puts into a batch.
func (c *call) count() int {
	if c.lines == nil {
		return 1
	}
	return len(c.lines)
}

// op returns the operation of the call's line i.
func (c *call) op(i int) string {
	if c.lines == nil {
		return c.request.Op
	}
	return c.lines[i].Op
}

func (c *call) appendLines(dst []byte) []byte {
	if c.lines == nil {
		return c.request.appendLine(dst)
	}
	for i := range c.lines {
		dst = c.lines[i].appendLine(dst)
	}
	return dst
}

// send marks the call as on its way; false if its caller is gone. Then the call is free.
func (c *call) send() bool {
	if c.state.CompareAndSwap(callQueued, callSent) {
		return true
	}
	c.free()
	return false
}

// finish hands the answers, which are complete, to the caller, or frees the call if the caller is gone.
func (c *call) finish() {
	if c.state.Swap(callDone) == callAbandoned {
		c.free()
		return
	}
	c.done <- struct{}{}
}

// fail finishes the call with one error for all lines from line i on.
func (c *call) fail(i int, err *api.Error) {
	for ; i < len(c.answers); i++ {
		c.answers[i] = answer{err: err}
	}
	c.finish()
}

// wait waits for the answers, to the end of the context or of the timer, whichever is first. It returns nil once
// the answers are there. After an error the call belongs to another goroutine and must not be touched.
func (c *call) wait(ctx context.Context) *api.Error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return c.giveUp(ctx.Err())
	case <-c.timer.C:
		return c.giveUp(context.DeadlineExceeded)
	}
}

// giveUp leaves the call because of cause, and returns what is known then: a command that was not sent is not
// done; of one that was, nothing is known (trap T49); a read does no harm in any case.
func (c *call) giveUp(cause error) *api.Error {
	read := c.read
	c.timer.Stop()
	switch c.state.Swap(callAbandoned) {
	case callDone: // the answer came in the same moment
		<-c.done
		c.late = true
		return nil
	case callSent:
		if !read {
			message := "the request was sent, but no answer came in time; it may or may not take effect"
			if cause == context.Canceled { //nolint:errorlint // a context's Err is never wrapped
				message = "canceled by the caller before the answer; it may or may not take effect"
			}
			return &api.Error{Code: api.CodeOutcomeUnknown, Cause: cause, Message: message}
		}
		return ended("no answer came in time", cause)
	}
	return ended("no connection was free in time; nothing was sent", cause)
}

// ended makes the error for a context or time limit that ended while nothing was done.
func ended(message string, cause error) *api.Error {
	if cause == context.Canceled { //nolint:errorlint // a context's Err is never wrapped
		return &api.Error{Code: api.CodeCanceled, Message: "canceled by the caller; nothing was done", Cause: cause}
	}
	return &api.Error{Code: api.CodeUnreachable, Message: message, Cause: cause}
}
