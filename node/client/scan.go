package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
)

// maxLineBytes bounds a line of a streamed list: a value of 1 MiB and a key may take six bytes for each of their own.
const maxLineBytes = 8 << 20

// Scan reads a whole range at one revision, in constant memory however many keys it has. The sequence ends after the
// last key, when the caller stops, or with an error; without an error it is complete. Before its first entry it is
// tried on every node. A node that sends nothing for Config.RequestTimeout ends it.
func (c *Client) Scan(ctx context.Context, r Range, options ...ReadOption) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		stream, err := c.openLines(ctx, httpRequest{
			method: http.MethodGet, path: api.PathList, query: r.query(options), accept: "application/x-ndjson",
		})
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer stream.close()
		for {
			e, ok, err := stream.next()
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !ok || !yield(e, nil) {
				return
			}
		}
	}
}

// lineStream is the open answer with a streamed list.
type lineStream struct {
	ctx      context.Context // of the caller
	endpoint *endpoint
	body     io.ReadCloser
	lines    *bufio.Scanner
	count    uint64 // lines that were read
	stalled  *time.Timer
	patience time.Duration
	cancel   context.CancelFunc
}

func (s *lineStream) close() {
	s.stalled.Stop()
	s.cancel()
	_ = s.body.Close()
}

// openLines opens a streamed list at one endpoint after the other, and again, until one answers or the time is over.
func (c *Client) openLines(ctx context.Context, r httpRequest) (*lineStream, error) {
	waiting, deadline, cancel := c.limit(ctx)
	defer cancel()
	for attempt := 0; ; {
		if err := c.topology.admit(waiting); err != nil {
			return nil, err
		}
		var last *api.Error
		began := time.Now()
		for _, e := range c.topology.all(true) {
			var stream *lineStream
			if stream, last = c.openLinesAt(ctx, e, r, time.Until(deadline)); last == nil {
				return stream, nil
			}
			c.noteFailure(e, last)
			if ctx.Err() != nil || !mayRepeat(last, true) {
				return nil, settled(ctx, last, true)
			}
		}
		if last == nil { // the last endpoint turned out to be another cluster's
			continue
		}
		if !c.pause(waiting, deadline, time.Since(began), last, attempt) {
			return nil, settled(waiting, last, true)
		}
		attempt++
	}
}

// openLinesAt opens a streamed list at one endpoint, whose answer must begin within a time.
func (c *Client) openLinesAt(ctx context.Context, e *endpoint, r httpRequest, within time.Duration) (*lineStream,
	*api.Error,
) {
	own, cancel := context.WithCancel(ctx)
	patience := c.config.RequestTimeout
	stalled := time.AfterFunc(min(within, patience), cancel)
	fail := func(err *api.Error) (*lineStream, *api.Error) {
		if !stalled.Stop() && ctx.Err() == nil {
			err = ended(e.name()+": no answer came in time", context.DeadlineExceeded)
		}
		cancel()
		return nil, err
	}
	request, err := r.to(own, e)
	if err != nil {
		return fail(invalid("%v", err))
	}
	response, failure := send(c.topology.http, e, request)
	if failure != nil {
		return fail(failure)
	}
	if response.StatusCode != http.StatusOK || !isNodes(response.Header) {
		body, err := http1.AppendBody(nil, response.Body, maxAnswerBytes)
		_ = response.Body.Close()
		if err != nil {
			return fail(brokenOff(ctx, e, err))
		}
		return fail(e.refusal(response, body))
	}
	c.topology.learn(e, response.Header, served)
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLineBytes)
	return &lineStream{
		ctx: ctx, endpoint: e, body: response.Body, lines: lines, stalled: stalled, patience: patience, cancel: cancel,
	}, nil
}

// next returns the next key or folder; false after the last one. The time in which the caller does something else does
// not count.
func (s *lineStream) next() (Entry, bool, error) {
	s.stalled.Reset(s.patience)
	more := s.lines.Scan()
	s.stalled.Stop()
	if !more {
		return Entry{}, false, s.cutOff(s.lines.Err())
	}
	line, err := decodeListLine(s.lines.Bytes())
	switch {
	case err != nil:
		return Entry{}, false, settledRead(s.ctx, s.malformed(err))
	case line.err != nil:
		return Entry{}, false, line.err
	case line.end && line.count != s.count:
		return Entry{}, false, settledRead(s.ctx, s.malformed(fmt.Errorf("%d lines came, and the last one counts %d",
			s.count, line.count)))
	case line.end:
		return Entry{}, false, nil
	}
	s.count++
	return line.entry, true, nil
}

func (s *lineStream) malformed(cause error) *api.Error {
	return badAnswer(s.endpoint.name()+": line "+fmt.Sprint(s.count+1)+" of the list is malformed: "+cause.Error(), cause)
}

// cutOff returns the error for a list without its last line.
func (s *lineStream) cutOff(cause error) error {
	switch {
	case s.ctx.Err() != nil:
		cause = s.ctx.Err()
	case errors.Is(cause, context.Canceled):
		cause = fmt.Errorf("nothing came for %v", s.patience)
	case cause == nil:
		cause = io.ErrUnexpectedEOF
	}
	return ended(fmt.Sprintf("%s: the list broke off after %d lines, so it is not complete: %v", s.endpoint.name(),
		s.count, cause), cause)
}
