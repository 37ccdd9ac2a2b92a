package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/budget"
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
	pathGenesis       = "/raft/v1/genesis"
	pathFingerprint   = "/raft/v1/fingerprint"
	pathTransfer      = "/raft/v1/transfer"
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

// errNoMemory says that what is in flight leaves no memory for a body.
var errNoMemory = errors.New("there is no memory for a body of this length now")

// readBody reads a body of the given length (-1: not known) and at most limit bytes, into memory of its own, which is
// charged to held.
func readBody(r io.Reader, length, limit int64, held *budget.Account) ([]byte, error) {
	if length > limit {
		return nil, errTooLarge
	}
	if length < 0 || length > exactBytes {
		return readLong(r, length, limit, held)
	}
	if !held.Take(int(length)) {
		return nil, errNoMemory
	}
	text := make([]byte, length)
	_, err := io.ReadFull(r, text)
	return text, err
}

// readLong is readBody for a body that gets its memory as it comes.
func readLong(r io.Reader, length, limit int64, held *budget.Account) ([]byte, error) {
	var text []byte
	for {
		if len(text) == cap(text) {
			if int64(len(text)) == length {
				return text, nil // the log may keep parts of it, and there is no spare room with them
			}
			most := limit + 1 // one more byte shows that there are too many
			if length >= 0 {
				most = length
			}
			size := int(min(int64(max(2*cap(text), exactBytes/2)), most))
			if !held.Take(size - cap(text)) {
				return nil, errNoMemory
			}
			text = append(make([]byte, 0, size), text...)
		}
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case int64(len(text)) > limit:
			return nil, errTooLarge
		case err == io.EOF && int64(len(text)) < length:
			return nil, io.ErrUnexpectedEOF
		case err == io.EOF:
			return bytes.Clone(text), nil
		case err != nil:
			return nil, err
		}
	}
}
