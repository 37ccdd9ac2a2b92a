package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// maxCallConns is how many proposals, reads and status requests together may be unanswered per peer. The node
// batches proposals and reads, so there are few.
const maxCallConns = 16

// Propose asks the leader to append commands and waits for their outcomes. Its errors wrap node.ErrNotSent if
// the request surely did not reach the leader, another error of package node if the leader refused it, and
// node.ErrOutcomeUnknown in every other case (trap T49). It never sends a request twice.
func (t *Transport) Propose(ctx context.Context, leader raft.NodeID, commands [][]byte) ([]node.Outcome, error) {
	text := appendCommands(nil, commands)
	if int64(len(text)) > t.cfg.MaxBodyBytes {
		return nil, fmt.Errorf("propose: %w: %d commands take %d bytes, and one request at most %d",
			node.ErrOverloaded, len(commands), len(text), t.cfg.MaxBodyBytes)
	}
	answer, err := t.call(ctx, leader, pathPropose, text, t.cfg.MaxBodyBytes)
	if err != nil {
		return nil, meaning("propose", err, node.ErrOutcomeUnknown)
	}
	outcomes, err := decodeOutcomes(answer, len(commands))
	if err != nil {
		return nil, fmt.Errorf("propose: %w: cannot read the leader's answer: %w", node.ErrOutcomeUnknown, err)
	}
	return outcomes, nil
}

// ReadIndex asks the leader for a confirmed read index (thesis 6.4). Its errors wrap node.ErrNotSent, what the
// leader answered, or node.ErrNoLeader: a read that failed did nothing.
func (t *Transport) ReadIndex(ctx context.Context, leader raft.NodeID) (raft.Index, error) {
	answer, err := t.call(ctx, leader, pathReadIndex, []byte(`{}`), maxSmallAnswer)
	if err != nil {
		return 0, meaning("read index", err, node.ErrNoLeader)
	}
	var w indexWire
	if err := json.Unmarshal(answer, &w); err != nil || w.Index == 0 {
		return 0, fmt.Errorf("read index: %w: the leader's answer %.100q has no index", node.ErrNoLeader, answer)
	}
	return w.Index, nil
}

// indexWire is the answer to a read-index request. A confirmed read index is never 0: the no-op of the leader's
// term comes first.
type indexWire struct {
	Index raft.Index `json:"index"`
}

// Status asks a peer how it sees itself.
func (t *Transport) Status(ctx context.Context, peer raft.NodeID) (node.Status, error) {
	answer, err := t.call(ctx, peer, pathStatus, nil, t.cfg.MaxBodyBytes)
	if err != nil {
		return node.Status{}, err
	}
	var status node.Status
	if err := json.Unmarshal(answer, &status); err != nil {
		return node.Status{}, fmt.Errorf("cannot read the status of node %d: %w", peer, err)
	}
	return status, nil
}

// notSent wraps the failure of a request that nobody saw.
type notSent struct{ cause error }

func (e *notSent) Error() string   { return node.ErrNotSent.Error() + ": " + e.cause.Error() }
func (e *notSent) Unwrap() []error { return []error{node.ErrNotSent, e.cause} }

// meaning adds what a failed call means, if the error does not say it already.
func meaning(call string, err, otherwise error) error {
	said := asRefusal(err) != nil && !errors.Is(err, node.ErrOutcomeUnknown)
	if said || errors.Is(err, node.ErrNotSent) {
		return fmt.Errorf("%s: %w", call, err)
	}
	return fmt.Errorf("%s: %w: %w", call, otherwise, err)
}

// call sends one request to a peer and gives the body of its answer. Without a body it is a GET.
func (t *Transport) call(ctx context.Context, to raft.NodeID, path string, text []byte, limit int64) ([]byte, error) {
	p, ok := t.peers[to]
	if !ok {
		return nil, &notSent{fmt.Errorf("node %d is not another member of the cluster", to)}
	}
	if t.isBlocked(to) {
		return nil, &notSent{errBlocked}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	// Without a connection nothing can have been sent. With one, something may have been, even if writing failed.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	answer, err := p.request(ctx, path, text, limit)
	if err != nil && !connected.Load() {
		return nil, &notSent{fmt.Errorf("node %d at %s: %w", to, p.member.Address, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("node %d at %s: %w", to, p.member.Address, err)
	}
	return answer, nil
}

// newCaller makes the connections for calls. A connection whose exchange was given up is closed by net/http,
// never used again (trap H2).
func newCaller(dialTimeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxConnsPerHost:        maxCallConns,
		MaxIdleConnsPerHost:    maxCallConns,
		IdleConnTimeout:        idleTimeout / 2, // sooner than the peer closes it
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// request sends one request with text as its body, or a GET without, and reads the answer.
func (p *peer) request(ctx context.Context, path string, text []byte, limit int64) ([]byte, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if text != nil {
		method, body = http.MethodPost, bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.member.Address+path, body)
	if err != nil {
		return nil, err
	}
	request.Header = p.header
	// RoundTrip rather than a Client: there are no redirects or cookies between nodes, and it is cheaper.
	response, err := p.transport.calls.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := readBody(response.Body, response.ContentLength, limit)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	if p.transport.isBlocked(p.member.ID) {
		return nil, errBlocked
	}
	if response.StatusCode != http.StatusOK {
		return nil, readRefusal(response.StatusCode, answer)
	}
	return answer, nil
}
