package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/kontiki-dev/kontiki/node/api"
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
	*answerStream
	lines *bufio.Scanner
	count uint64 // lines that were read
}

// openLines opens a streamed list.
func (c *Client) openLines(ctx context.Context, r httpRequest) (*lineStream, error) {
	waiting, _, cancel := c.limit(ctx)
	defer cancel()
	stream, err := c.openStream(ctx, waiting, r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stream.response.Body)
	lines.Buffer(nil, maxLineBytes)
	return &lineStream{answerStream: stream, lines: lines}, nil
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
