package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"

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
	pathProof         = "/raft/v1/proof"
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
	if err == nil && int64(len(text)) < length {
		err = io.ErrUnexpectedEOF
	}
	return bytes.Clone(text), err // the log may keep parts of it: no spare room with them
}
