package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Identity errors; the text that wraps them says what to do.
var (
	// ErrWrongIdentity: the disk belongs to another node or another cluster than the flags say.
	ErrWrongIdentity = errors.New("the data directory belongs to another node")
	// ErrDiskLost: the disk is empty, but another disk has the seat of this member, with its entries and votes.
	ErrDiskLost = errors.New("the data directory is empty, but this member held entries or votes before")
)

// Identity is who a node is: nobody, with ID 0, until it is told. It is never changed, only replaced, once.
type Identity struct {
	ID        raft.NodeID
	ClusterID string
	Members   []Member
}

// CheckSame returns what is wrong with being bootstrapped as want, for a node that has an identity: nil if it is that.
func (who *Identity) CheckSame(want *Identity) error {
	switch {
	case who.ClusterID != want.ClusterID:
		return fmt.Errorf("it belongs to cluster %s as node %d, and the request is about cluster %s",
			who.ClusterID, who.ID, want.ClusterID)
	case who.ID != want.ID:
		return fmt.Errorf("it is node %d of cluster %s, and the request is for node %d", who.ID,
			who.ClusterID, want.ID)
	case !slices.Equal(SortedMembers(who.Members), want.Members):
		return fmt.Errorf("it is node %d of cluster %s already, but its members are %s, and those of the request %s",
			who.ID, who.ClusterID, describe(who.Members), describe(want.Members))
	}
	return nil
}

// Check refuses an identity that no node can have, or that a node whose own peer URL is address cannot have (empty: not
// known).
func (who *Identity) Check(address string) error {
	if err := checkClusterID(who.ClusterID); err != nil {
		return err
	}
	if err := CheckMembers(who.ID, who.Members); err != nil {
		return err
	}
	if err := CheckAddresses(who.Members); err != nil {
		return err
	}
	told := AddressOf(who.Members, who.ID)
	if address != "" && strings.TrimSuffix(address, "/") != strings.TrimSuffix(told, "/") {
		return fmt.Errorf("the request is for node %d at %s, but this node's own address is %s: it came to another "+
			"node than it was meant for", who.ID, told, address)
	}
	return nil
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
