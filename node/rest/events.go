package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
)

// eventStreams serves GET /api/v1/events.
type eventStreams struct {
	*responder
	observation Observation

	open    atomic.Int32
	endOnce sync.Once
	end     chan struct{} // closed when streams must end

	statusEvery, commentEvery time.Duration
}

func newEventStreams(r *responder, o Observation) *eventStreams {
	return &eventStreams{
		responder: r, observation: o, end: make(chan struct{}), statusEvery: statusEvery, commentEvery: commentEvery,
	}
}

// close ends all streams.
func (e *eventStreams) close() { e.endOnce.Do(func() { close(e.end) }) }

// getEvents is GET /api/v1/events?since=CURSOR: a text/event-stream of the Raft events of this node and its peers after
// the cursor (event: raft, id: cursor, data: api.ObservedEvent), and of the cluster status about every 500 ms (event:
// status, data: api.ClusterStatus), the first at once. Without since it begins with the oldest event that is kept; the
// header Last-Event-ID takes precedence over since. A comment is sent every 5 s, so that a reader can distinguish
// silence from a broken connection. The stream ends when the client disconnects or does not read for 5 s, or the server
// stops. 200; 400.
func (e *eventStreams) getEvents(c *gin.Context) {
	since, err := e.cursor(c.Request)
	if err != nil {
		e.fail(c, err)
		return
	}
	if e.open.Add(1) > mostStreams {
		e.open.Add(-1)
		e.fail(c, errTooManyStreams)
		return
	}
	defer e.open.Add(-1)
	h := c.Writer.Header()
	h["Content-Type"] = typeEvents
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = switchedOff // otherwise nginx buffers the events
	e.stampRevision(h)
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	stream := &eventStream{
		eventStreams: e, w: c.Writer, control: http.NewResponseController(c.Writer), since: since, out: e.newBuffer(),
	}
	defer stream.out.release()
	// The request has been read; the read timeout of the server would end the stream.
	if err := stream.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return
	}
	stream.run(ctx)
	if stream.full && !c.Writer.Written() {
		e.fail(c, errNoMemory)
	}
}

// cursor returns where the stream begins. A cursor that is ahead of every event is from before a restart of this node,
// which starts to count again: the stream then begins with the oldest event.
func (e *eventStreams) cursor(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get(api.ParamSince)
	}
	if text == "" {
		return 0, nil
	}
	since, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("since and Last-Event-ID must be the id of an event, a whole number; it is " + quoted(text))
	}
	kept, _ := e.observation.Events(0)
	if len(kept) == 0 || kept[len(kept)-1].Cursor < since {
		return 0, nil
	}
	return since, nil
}

var errTooManyStreams = &api.Error{
	Code: api.CodeOverloaded,
	Message: "overloaded: this node has reached its limit of " + strconv.Itoa(mostStreams) +
		" event streams; close some, or ask another node",
}

// eventStream is one reader of GET /api/v1/events.
type eventStream struct {
	*eventStreams
	w       gin.ResponseWriter
	control *http.ResponseController
	since   uint64
	out     *buffer
	full    bool // the server has no memory for the next event
}

// run sends until the client disconnects or is too slow, or the server stops.
func (e *eventStream) run(ctx context.Context) {
	status := time.NewTicker(e.statusEvery)
	defer status.Stop()
	comment := time.NewTicker(e.commentEvery)
	defer comment.Stop()
	more := e.addEvents(ctx)
	e.addStatus(ctx)
	for e.send() {
		select {
		case <-more:
			more = e.addEvents(ctx)
		case <-status.C:
			e.addStatus(ctx)
		case <-comment.C:
			e.out.b = append(e.out.b, ": still here\n\n"...)
		case <-ctx.Done():
			return
		case <-e.end:
			return
		}
	}
}

// addEvents adds the events after the cursor, and returns the channel that is closed when there are more.
func (e *eventStream) addEvents(ctx context.Context) <-chan struct{} {
	events, more := e.observation.Events(e.since)
	for i := range events {
		e.since = events[i].Cursor
		id := strconv.FormatUint(e.since, 10)
		e.add(ctx, "id: "+id+"\nevent: "+api.StreamRaft, &events[i])
	}
	return more
}

func (e *eventStream) addStatus(ctx context.Context) {
	status := e.observation.Observe(ctx)
	e.add(ctx, "event: "+api.StreamStatus, &status)
}

// add appends one event. Its data is one line: json.Marshal writes no line breaks.
func (e *eventStream) add(ctx context.Context, head string, data any) {
	text, err := e.marshal(ctx, data)
	if err != nil {
		if ctx.Err() == nil {
			e.faults.error("event", "an event cannot be written as JSON", "error", err)
		}
		return
	}
	const names = 64
	if size := len(head) + len(text) + names; !e.out.room(max(size, min(len(text), cap(e.out.b)))) {
		e.full = true
		return
	}
	e.out.b = append(append(e.out.b, head...), "\ndata: "...)
	e.out.b = append(append(e.out.b, text...), "\n\n"...)
}

// send writes what was collected, and reports whether the client read it in time. A stream for which there is no memory
// ends: its client reconnects with the id of the last event.
func (e *eventStream) send() bool {
	if e.full {
		return false
	}
	deadline := time.Now().Add(streamPatience)
	if err := e.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	if _, err := e.w.Write(e.out.b); err != nil {
		return false
	}
	e.out.b = e.out.b[:0]
	return e.control.Flush() == nil
}
