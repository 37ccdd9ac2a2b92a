package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Headers of every request between nodes (trap H3).
const (
	headerCluster  = "X-Kontiki-Cluster"
	headerFrom     = "X-Kontiki-From"
	headerTo       = "X-Kontiki-To"
	headerProtocol = "X-Kontiki-Protocol"
)

// protocolVersion is the version of the wire format. It changes when a node could misread another.
const protocolVersion = "1"

// Routes between nodes.
const (
	pathRequestVote   = "/raft/v1/request-vote"
	pathAppendEntries = "/raft/v1/append-entries"
	pathTimeoutNow    = "/raft/v1/timeout-now"
	pathReadIndex     = "/raft/v1/read-index"
	pathPropose       = "/raft/v1/propose"
	pathStatus        = "/raft/v1/status"
)

var errBlocked = errors.New("the network to this peer is cut on purpose")

func pathOf(kind raft.MessageType) string {
	switch kind {
	case raft.MsgRequestVote:
		return pathRequestVote
	case raft.MsgAppendEntries:
		return pathAppendEntries
	}
	return pathTimeoutNow
}

// identify makes the headers of requests from one node to another.
func identify(clusterID string, from, to raft.NodeID) http.Header {
	return http.Header{
		headerCluster:  {clusterID},
		headerFrom:     {strconv.FormatUint(uint64(from), 10)},
		headerTo:       {strconv.FormatUint(uint64(to), 10)},
		headerProtocol: {protocolVersion},
		"Content-Type": {"application/json"},
		"User-Agent":   {"kontiki"},
	}
}

// newClient makes a set of connections for one purpose, at most conns of them to each peer. A connection whose
// exchange was given up is closed by net/http, never used again (trap H2).
func newClient(conns int, dialTimeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        idleTimeout / 2, // sooner than the peer closes it
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// post sends a request with a body and reads the answer, of at most limit bytes. An answer that is not 200
// comes back as a *refusal.
func (p *peer) post(ctx context.Context, c *http.Transport, path string, out *body, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.member.Address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Body = out.open()
	request.GetBody = func() (io.ReadCloser, error) { return out.open(), nil }
	request.ContentLength = int64(len(out.text))
	return p.roundTrip(c, request, limit)
}

func (p *peer) roundTrip(c *http.Transport, request *http.Request, limit int64) ([]byte, error) {
	request.Header = p.header
	// RoundTrip rather than a Client: there are no redirects or cookies between nodes, and it is cheaper.
	response, err := c.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.ContentLength > limit {
		return nil, fmt.Errorf("the answer has %d bytes, more than %d", response.ContentLength, limit)
	}
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

// errTooLarge says that a body has more bytes than allowed.
var errTooLarge = errors.New("the body is too large")

// exactBytes is up to which length a body gets its memory before it came: more must arrive first, so that a
// header alone cannot make us allocate much.
const exactBytes = 1 << 20

// readBody reads a body of the given length (-1: not known) and at most limit bytes, into memory of its own.
func readBody(r io.Reader, length, limit int64) ([]byte, error) {
	if length > limit {
		return nil, errTooLarge
	}
	if length >= 0 && length <= exactBytes {
		text := make([]byte, length)
		_, err := io.ReadFull(r, text)
		return text, err
	}
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooLarge
	}
	if err == nil && length >= 0 && int64(len(text)) < length {
		err = io.ErrUnexpectedEOF
	}
	return bytes.Clone(text), err // the log may keep parts of it: no spare room with them
}

// body is the body of requests, made anew for each. net/http may still read the last one after its exchange was
// given up; only when it has closed every reader is the memory ours again.
type body struct {
	text   []byte
	opened *atomic.Int32
}

// reset makes room for the next body.
func (b *body) reset() {
	if b.opened == nil || b.opened.Load() > 0 || cap(b.text) > exactBytes {
		b.text, b.opened = nil, new(atomic.Int32)
	}
	b.text = b.text[:0]
}

func (b *body) open() io.ReadCloser {
	b.opened.Add(1)
	return &bodyReader{Reader: bytes.NewReader(b.text), opened: b.opened}
}

type bodyReader struct {
	*bytes.Reader
	opened *atomic.Int32
	closed atomic.Bool
}

// Close may be called more than once.
func (r *bodyReader) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		r.opened.Add(-1)
	}
	return nil
}
