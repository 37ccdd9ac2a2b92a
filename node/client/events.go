package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
)

// StreamEvent is one message of the stream of events: one of the two is set.
type StreamEvent struct {
	Raft   *api.ObservedEvent
	Status *api.ClusterStatus
}

// maxEventBytes bounds one message of a stream.
const maxEventBytes = 4 << 20

// Events follows what the cluster's Raft does, as one node sees it, from the cursor after since on; 0: from the
// oldest event that is kept. The sequence ends when the caller stops, or with an error. When the node goes away
// it goes on at another one, which counts its cursors in its own way and therefore begins with its oldest event;
// only a failure of all of them, for as long as Config.Timeout, ends it.
func (c *Client) Events(ctx context.Context, since uint64) iter.Seq2[StreamEvent, error] {
	return func(yield func(StreamEvent, error) bool) {
		cursor, giveUpAt := since, time.Time{}
		for attempt := 0; ; attempt++ {
			if err := c.topology.admit(ctx); err != nil {
				yield(StreamEvent{}, err)
				return
			}
			endpoints := c.topology.all(false)
			if len(endpoints) == 0 { // the last one turned out to be another cluster's
				continue
			}
			e := endpoints[0]
			err := c.follow(ctx, e, &cursor, func(event StreamEvent) bool {
				attempt, giveUpAt = 0, time.Time{}
				return yield(event, nil)
			})
			if err == nil {
				return
			}
			if giveUpAt.IsZero() {
				giveUpAt = time.Now().Add(c.config.Timeout)
			}
			last := settledRead(ctx, err)
			fatal := ctx.Err() != nil || !mayRepeat(last, true) && last.Code != api.CodeUnreachable
			if fatal || !c.pause(ctx, giveUpAt, 0, last, attempt) {
				yield(StreamEvent{}, last)
				return
			}
			c.topology.failed(e)
			cursor = 0
		}
	}
}

// follow reads one node's stream until it ends. Nil: emit wanted no more.
func (c *Client) follow(ctx context.Context, e *endpoint, cursor *uint64, emit func(StreamEvent) bool) error {
	r := httpRequest{method: http.MethodGet, path: api.PathEvents}
	if *cursor > 0 {
		r.query = map[string][]string{api.ParamSince: {strconv.FormatUint(*cursor, 10)}}
	}
	request, err := r.to(ctx, e)
	if err != nil {
		return invalid("%v", err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, failure := send(c.topology.http, e, request)
	if failure != nil {
		return failure
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, err := http1.AppendBody(nil, response.Body, maxAnswerBytes)
		if err != nil {
			return brokenOff(ctx, e, err)
		}
		return e.refusal(response, body)
	}
	if !isNodes(response.Header) {
		return e.refusal(response, nil)
	}
	messages := newMessageReader(response.Body)
	for {
		m, err := messages.next()
		if err != nil {
			return brokenOff(ctx, e, err)
		}
		event, ok, err := decodeEvent(m)
		if err != nil {
			return err
		}
		if id, err := strconv.ParseUint(m.id, 10, 64); err == nil {
			*cursor = id
		}
		if ok && !emit(event) {
			return nil
		}
	}
}

// decodeEvent reads a message; false for one of a kind that is unknown to this client.
func decodeEvent(m message) (StreamEvent, bool, error) {
	var event StreamEvent
	var into any
	switch m.event {
	case api.StreamRaft:
		event.Raft = new(api.ObservedEvent)
		into = event.Raft
	case api.StreamStatus:
		event.Status = new(api.ClusterStatus)
		into = event.Status
	default:
		return event, false, nil
	}
	if err := json.Unmarshal(m.data, into); err != nil {
		return event, false, badAnswer("an event of the stream is not the JSON that was expected", err)
	}
	return event, true, nil
}

// message is one message of a text/event-stream.
type message struct {
	event string // "message" if the stream names none
	id    string // of this message or the last one that had one
	data  []byte
}

// messageReader takes a text/event-stream apart, as section 9.2.6 of the HTML standard defines it.
type messageReader struct {
	lines *bufio.Scanner
	id    string
	begun bool
}

func newMessageReader(r io.Reader) *messageReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxEventBytes)
	lines.Split(scanStreamLine)
	return &messageReader{lines: lines}
}

// next returns the next message that has data. A message that the end of the stream cuts off is none.
func (r *messageReader) next() (message, error) {
	m := message{event: "message"}
	hasData := false
	for r.lines.Scan() {
		line := r.lines.Bytes()
		if !r.begun {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
			r.begun = true
		}
		if len(line) == 0 {
			if hasData {
				m.id = r.id
				return m, nil
			}
			m = message{event: "message"}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) { // an empty name is a comment
		case "event":
			m.event = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.id = string(value)
			}
		case "data":
			if hasData {
				m.data = append(m.data, '\n')
			}
			m.data, hasData = append(m.data, value...), true
			if len(m.data) > maxEventBytes {
				return message{}, errors.New("an event is over " + strconv.Itoa(maxEventBytes) + " bytes")
			}
		}
	}
	if err := r.lines.Err(); err != nil {
		return message{}, err
	}
	return message{}, io.ErrUnexpectedEOF
}

// scanStreamLine splits at CR LF, LF or CR. A CR at the end of what has arrived waits for the next byte, which may be
// its LF.
func scanStreamLine(data []byte, atEOF bool) (int, []byte, error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0:
		if atEOF {
			return len(data), nil, nil // an unfinished line is discarded
		}
		return 0, nil, nil
	case data[i] == '\r' && i+1 == len(data) && !atEOF:
		return 0, nil, nil
	case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	}
	return i + 1, data[:i], nil
}
