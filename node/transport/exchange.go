package transport

import (
	"errors"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Routes between nodes.
const (
	pathRequestVote   = "/raft/v1/request-vote"
	pathAppendEntries = "/raft/v1/append-entries"
	pathTimeoutNow    = "/raft/v1/timeout-now"
	pathReadIndex     = "/raft/v1/read-index"
	pathPropose       = "/raft/v1/propose"
	pathGenesis       = "/raft/v1/genesis"
	pathFingerprint   = "/raft/v1/fingerprint"
	pathStateDigest   = "/raft/v1/state-digest"
	pathTransfer      = "/raft/v1/transfer"
	pathMembers       = "/raft/v1/members"
	pathOffer         = "/raft/v1/offer"
	pathSnapshot      = "/raft/v1/install-snapshot"
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

// keptBytes is the length in bytes up to which a buffer is kept for the next message.
const keptBytes = 1 << 20
