package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Identity errors; the text that wraps them has what to do.
var (
	// ErrWrongIdentity: the disk belongs to another node or another cluster than that of the flags.
	ErrWrongIdentity = errors.New("the data directory belongs to another node")
	// ErrDiskLost: the disk is empty, but another disk has the seat of this member, with its entries and votes.
	ErrDiskLost = errors.New("the data directory is empty, but this member held entries or votes before")
)

// Identity is who a node is: ID 0 until it is given one. It never changes afterwards, unlike the members of the
// cluster.
type Identity struct {
	ID        raft.NodeID
	ClusterID string
}

// restoredPrefix begins the ids of clusters that were made of a backup.
const restoredPrefix = "restored-"

// RestoredClusterID derives the id of a cluster that is made of a backup, and a digest for the start of its log, from
// everything that its members must have in common: the hash of the backup, the first index, and the members. So all of
// them agree on it without talking, and two clusters that differ in any of that never mix (trap H3).
func RestoredClusterID(backup [sha256.Size]byte, start raft.Index, members []Member) (string, raft.Digest) {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "restored %x %d\n", backup, start)
	for _, m := range SortedMembers(members) {
		_, _ = fmt.Fprintf(hash, "%d=%s\n", m.ID, m.Address)
	}
	sum := hash.Sum(nil)
	return restoredPrefix + hex.EncodeToString(sum[:8]), max(1, raft.Digest(binary.BigEndian.Uint32(sum[8:])))
}

// maxClusterID is how many characters the id of a cluster may have.
const maxClusterID = 128

// checkClusterID refuses what cannot travel in a header or a log line.
func checkClusterID(id string) error {
	allowed := func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune("._-", r)
	}
	switch {
	case id == "":
		return errors.New("the cluster id is missing")
	case len(id) > maxClusterID:
		return fmt.Errorf("the cluster id has %d characters; at most %d are allowed", len(id), maxClusterID)
	case strings.ContainsFunc(id, func(r rune) bool { return !allowed(r) }):
		return fmt.Errorf("the cluster id %q should be of letters, digits, dots, dashes and underscores", id)
	}
	return nil
}

// StaticClusterID derives the cluster id of a static start from its members, so that all of them agree on it
// without talking, and clusters with other members never mix (trap H3).
func StaticClusterID(members []Member) string {
	hash := sha256.New()
	for _, m := range SortedMembers(members) {
		_, _ = fmt.Fprintf(hash, "%d=%s\n", m.ID, m.Address)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}
