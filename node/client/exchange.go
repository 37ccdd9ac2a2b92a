package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
)

// httpRequest is one request outside the batches.
type httpRequest struct {
	method string
	path   string // encoded
	query  url.Values
	body   []byte
	most   int    // bytes of the answer; 0: maxAnswerBytes
	accept string // media type of the answer; empty: JSON
	// header has further headers; with any, the answer may be partial.
	header http.Header
	// patience is how long the answer of one node may take if that is longer than Config.RequestTimeout.
	patience time.Duration
}

// rawAnswer is an answer that is not JSON.
type rawAnswer struct {
	header http.Header
	body   []byte
}

// to makes the request for one endpoint.
func (r httpRequest) to(ctx context.Context, e *endpoint) (*http.Request, error) {
	target := *e.url
	target.RawPath = target.EscapedPath() + r.path
	path, err := url.PathUnescape(target.RawPath)
	if err != nil {
		return nil, err
	}
	target.Path, target.RawQuery = path, r.query.Encode()
	request, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, r.header)
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", cmp.Or(r.accept, contentTypeJSON))
	if len(r.body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// exchange sends one request to one endpoint and reads the answer into result, if that is not nil: as JSON, unless
// result is a *rawAnswer.
func exchange(ctx context.Context, h *http.Client, e *endpoint, r httpRequest, result any) (http.Header, error) {
	request, err := r.to(ctx, e)
	if err != nil {
		return nil, invalid("%v", err)
	}
	response, failure := send(h, e, request)
	if failure != nil {
		return nil, failure
	}
	body, err := http1.AppendBody(nil, response.Body, int64(cmp.Or(r.most, maxAnswerBytes)))
	_ = response.Body.Close()
	if err != nil {
		return nil, brokenOff(ctx, e, err)
	}
	if response.StatusCode != http.StatusOK || !isNodes(response.Header) {
		return nil, e.refusal(response, body)
	}
	if raw, is := result.(*rawAnswer); is {
		raw.header, raw.body = response.Header, body
		return response.Header, nil
	}
	if result == nil {
		return response.Header, nil
	}
	if err := json.Unmarshal(body, result); err != nil {
		return nil, badAnswer(e.name()+" did not answer with the JSON that was expected", err)
	}
	return response.Header, nil
}

// send sends a request to an endpoint and returns the answer, whose body is not read yet. Without a connection nothing
// was done, be it that none was made, that its handshake failed or that the time was over before; from then on the
// outcome is unknown.
func send(h *http.Client, e *endpoint, request *http.Request) (*http.Response, *api.Error) {
	ctx := request.Context()
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	response, err := h.Do(request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err == nil {
		return response, nil
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the method and the URL, which the caller has
	}
	if connected.Load() {
		return nil, brokenOff(ctx, e, err)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		err = ctx.Err()
	}
	return nil, ended(e.name()+": "+err.Error(), err)
}

// brokenOff makes the error for a request that was sent and met no whole answer.
func brokenOff(ctx context.Context, e *endpoint, err error) *api.Error {
	if errors.Is(ctx.Err(), context.Canceled) {
		err = ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &api.Error{Code: api.CodeOutcomeUnknown, Message: e.name() + ": " + err.Error(), Cause: err}
}

// limit gives the context a deadline if it has none.
func (c *Client) limit(ctx context.Context) (context.Context, time.Time, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return ctx, deadline, func() {}
	}
	deadline := time.Now().Add(c.config.Timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	return ctx, deadline, cancel
}

// exchangeAny sends a request to one endpoint after the other, and again, until one answers, the time is over,
// or a write may have been done.
func (c *Client) exchangeAny(ctx context.Context, r httpRequest, result any) error {
	ctx, deadline, cancel := c.limit(ctx)
	defer cancel()
	read := r.method == http.MethodGet
	for attempt := 0; ; {
		if err := c.topology.admit(ctx); err != nil {
			return err
		}
		var last *api.Error
		began := time.Now()
		for _, e := range c.topology.all(true) {
			header, err := exchange(ctx, c.topology.http, e, r, result)
			if err == nil {
				c.topology.learn(e, header, served)
				return nil
			}
			last, _ = errors.AsType[*api.Error](err)
			c.noteFailure(e, last)
			if ctx.Err() != nil || !mayRepeat(last, read) {
				return settled(ctx, last, read)
			}
		}
		if last == nil { // the last endpoint turned out to be another cluster's
			continue
		}
		if !c.pause(ctx, deadline, time.Since(began), last, attempt) {
			return settled(ctx, last, read)
		}
		attempt++
	}
}

// noteFailure records what the failure of a request means for its endpoint.
func (c *Client) noteFailure(e *endpoint, err *api.Error) {
	switch {
	case err.Code == api.CodeUnreachable || isForeign(err):
		c.topology.failed(e)
	case cannotServe(err.Code):
		c.topology.learn(e, nil, refused)
	}
}

// settledRead is settled for a read whose error came as an error.
func settledRead(ctx context.Context, err error) *api.Error {
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		e = badAnswer(err.Error(), err)
	}
	return settled(ctx, e, true)
}

// settled returns the error that a caller sees at the end. Of a read nothing is unknown: it only failed.
func settled(ctx context.Context, err *api.Error, read bool) *api.Error {
	if !read || err.Code != api.CodeOutcomeUnknown {
		return err
	}
	cause := err.Cause
	if ctx.Err() != nil {
		cause = ctx.Err()
	}
	return ended(err.Message, cause)
}
