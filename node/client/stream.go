package client

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
)

// answerStream is the open answer to a read, whose body may be of any length.
type answerStream struct {
	ctx      context.Context // of the caller
	endpoint *endpoint
	response *http.Response
	stalled  *time.Timer // ends the stream
	patience time.Duration
	cancel   context.CancelFunc
}

func (s *answerStream) close() {
	s.stalled.Stop()
	s.cancel()
	_ = s.response.Body.Close()
}

// openStream opens a stream at one endpoint after the other, and again, until one answers or the context waiting, which
// has a deadline, ends.
func (c *Client) openStream(ctx, waiting context.Context, r httpRequest) (*answerStream, error) {
	deadline, _ := waiting.Deadline()
	for attempt := 0; ; {
		if err := c.topology.admit(waiting); err != nil {
			return nil, err
		}
		var last *api.Error
		began := time.Now()
		for _, e := range c.topology.all(true) {
			var stream *answerStream
			if stream, last = c.openStreamAt(ctx, e, r, time.Until(deadline)); last == nil {
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

// A request whose answer may take longer than Config.RequestTimeout is given up when its node does not answer other
// requests meanwhile: probeFailures of them in a row, one every probeEvery.
const (
	probeEvery    = 3 * time.Second
	probeFailures = 3
)

// watchOver calls hangs if an endpoint, which is asked something that takes long, does not answer anything else. It
// returns when the context ends.
func (c *Client) watchOver(ctx context.Context, e *endpoint, hangs func()) {
	for failures := 0; failures < probeFailures; {
		select {
		case <-time.After(probeEvery):
		case <-ctx.Done():
			return
		}
		if failures++; c.answers(ctx, e) {
			failures = 0
		}
	}
	if ctx.Err() == nil {
		hangs()
	}
}

// answers reports whether an endpoint answers, whatever it answers.
func (c *Client) answers(ctx context.Context, e *endpoint) bool {
	probe, cancel := context.WithTimeout(ctx, c.config.ProbeTimeout)
	defer cancel()
	request, err := httpRequest{method: http.MethodGet, path: api.PathLive}.to(probe, e)
	if err != nil {
		return false
	}
	response, failure := send(c.topology.fresh, e, request)
	if failure != nil {
		return false
	}
	_ = response.Body.Close()
	return true
}

// openStreamAt opens a stream at one endpoint, whose answer must begin within a time.
func (c *Client) openStreamAt(ctx context.Context, e *endpoint, r httpRequest, within time.Duration) (*answerStream,
	*api.Error,
) {
	own, cancel := context.WithCancel(ctx)
	stalled := time.AfterFunc(min(within, max(c.config.RequestTimeout, r.patience)), cancel)
	var hung atomic.Bool
	watched, unwatch := context.WithCancel(own)
	defer unwatch()
	if r.patience > c.config.RequestTimeout {
		go c.watchOver(watched, e, func() { hung.Store(true); cancel() })
	}
	fail := func(err *api.Error) (*answerStream, *api.Error) {
		switch stopped := stalled.Stop(); {
		case ctx.Err() != nil:
		case hung.Load():
			err = ended(e.name()+": no answer came, and it does not answer "+api.PathLive+" either; it hangs",
				context.DeadlineExceeded)
		case !stopped:
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
	partial := response.StatusCode == http.StatusPartialContent && r.header != nil
	if response.StatusCode != http.StatusOK && !partial || !isNodes(response.Header) {
		body, err := http1.AppendBody(nil, response.Body, maxAnswerBytes)
		_ = response.Body.Close()
		if err != nil {
			return fail(brokenOff(ctx, e, err))
		}
		return fail(e.refusal(response, body))
	}
	c.topology.learn(e, response.Header, served)
	return &answerStream{
		ctx: ctx, endpoint: e, response: response, stalled: stalled, patience: c.config.RequestTimeout, cancel: cancel,
	}, nil
}
