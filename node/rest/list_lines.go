package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

const (
	// linesFlush is how many bytes of lines are collected before they are sent.
	linesFlush = 64 << 10
	// linesPatience is how long a stream of a list waits for a client that does not read before it ends.
	linesPatience = 30 * time.Second
)

// answerLines answers with a whole range, or its first keys if there is a limit, as lines. It holds one chunk and the
// lines that it sends next, whatever the range has. An error after the first line is a line of its own.
func (l *lists) answerLines(c *gin.Context, p *listPlan, fresh *freshRead) error {
	leave, err := l.enterList()
	if err != nil {
		return err
	}
	defer leave()
	most := p.limit
	if most == 0 {
		most = -1
	}
	lines := &listLines{
		lists: l, w: c.Writer, control: http.NewResponseController(c.Writer), plan: p, chunks: l.chunks(p, most),
		out: l.newBuffer(),
	}
	defer lines.out.release()
	items, more, err := lines.chunks.read()
	if err == nil {
		err = fresh.check()
	}
	if err != nil {
		return err
	}
	h := c.Writer.Header()
	fresh.stamp(h)
	h["Content-Type"] = typeNDJSON
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = switchedOff // otherwise nginx buffers the lines
	l.stampRevision(h)
	// The request has been read; the read timeout of the server would end the stream.
	if err := lines.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil // the client is gone
	}
	lines.run(c.Request.Context(), items, more)
	return nil
}

// listLines is one stream of a range.
type listLines struct {
	*lists
	w       gin.ResponseWriter
	control *http.ResponseController
	plan    *listPlan
	chunks  *chunks
	out     *buffer
	count   uint64 // lines
}

// run sends the first chunk, those after it, and the last line.
func (s *listLines) run(ctx context.Context, items []kv.Item, more bool) {
	err := s.add(items)
	for more && err == nil {
		if err = s.interrupted(ctx); err == nil {
			items, more, err = s.chunks.read()
		}
		if err == nil {
			err = s.add(items)
		}
	}
	switch {
	case errors.Is(err, errClientGone):
		return
	case err != nil:
		s.out.b = append(appendError(append(s.out.b, `{"error":`...), s.explain(err)), "}\n"...)
	default:
		s.addEnd()
	}
	s.send()
}

// errClientGone ends a stream without a last line: the client has disconnected, or does not read.
var errClientGone = errors.New("the client is gone")

// interrupted returns an error if the stream must end.
func (s *listLines) interrupted(ctx context.Context) error {
	select {
	case <-s.end:
		return &api.Error{Code: api.CodeNotReady, Message: "this node is stopping; ask another"}
	case <-ctx.Done():
		return errClientGone
	default:
		return nil
	}
}

// add adds the lines of a chunk, and sends them when there are enough.
func (s *listLines) add(items []kv.Item) error {
	for i := range items {
		item := &items[i]
		if !s.out.grow(max(recordSize(&item.Record), jsontext.StringSize(item.Folder)+smallAnswer)) {
			return errNoMemory
		}
		if item.Folder != "" {
			s.out.b = jsontext.AppendText(append(s.out.b, `{"folder":`...), item.Folder)
			s.out.b = append(s.out.b, "}\n"...)
		} else {
			s.out.b = append(appendListed(s.out.b, &item.Record, s.plan.keysOnly), '\n')
		}
		s.count++
		if len(s.out.b) >= linesFlush && !s.send() {
			return errClientGone
		}
	}
	return nil
}

// addEnd adds the last line of a complete list.
func (s *listLines) addEnd() {
	s.out.b = strconv.AppendUint(append(s.out.b, `{"end":true,"revision":`...), s.chunks.next.Revision, 10)
	s.out.b = strconv.AppendUint(append(s.out.b, `,"count":`...), s.count, 10)
	if cursor := s.chunks.cursor(s.plan); cursor != "" {
		s.out.b = append(append(append(s.out.b, `,"cursor":"`...), cursor...), '"')
	}
	s.out.b = append(s.out.b, "}\n"...)
}

// send writes what was collected, and reports whether the client read it in time.
func (s *listLines) send() bool {
	deadline := time.Now().Add(s.patience)
	if err := s.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	if _, err := s.w.Write(s.out.b); err != nil {
		return false
	}
	s.out.b = s.out.b[:0]
	return s.control.Flush() == nil
}
