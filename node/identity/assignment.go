package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Assignment is what a static start, a bootstrap or an Offer gives a node: its identity, and the members that the
// cluster is founded with. A node that is added to a cluster has no such members: its log has the configuration.
type Assignment struct {
	Identity
	Members []Member
}

// CheckSame returns why a node that has this assignment cannot be given want: nil if they are the same. A node that was
// added to its cluster has no founding members, and may have been meant to be bootstrapped with them.
func (a *Assignment) CheckSame(want *Assignment) error {
	switch {
	case a.ClusterID != want.ClusterID:
		return fmt.Errorf("it belongs to cluster %s as node %d, and the request is about cluster %s",
			a.ClusterID, a.ID, want.ClusterID)
	case a.ID != want.ID:
		return fmt.Errorf("it is node %d of cluster %s, and the request is for node %d", a.ID,
			a.ClusterID, want.ID)
	case len(a.Members) == 0 || len(want.Members) == 0:
		return nil
	case !slices.Equal(SortedMembers(a.Members), want.Members):
		return fmt.Errorf("it is node %d of cluster %s already, but its members are %s, and those of the request %s",
			a.ID, a.ClusterID, describe(a.Members), describe(want.Members))
	}
	return nil
}

// Check refuses an assignment that no empty node can have, or that one whose own peer URL is address cannot have
// (empty: not known). An empty member of a restored cluster would found it with a log that starts elsewhere, so its
// members get their identity together with the state. One of a recovered cluster would found it a second time.
func (a *Assignment) Check(address string) error {
	if err := checkClusterID(a.ClusterID); err != nil {
		return err
	}
	if strings.HasPrefix(a.ClusterID, restoredPrefix) {
		return fmt.Errorf("the cluster id %s is of a cluster that is made of a backup; its members are made by "+
			"raftctl restore", a.ClusterID)
	}
	if strings.HasPrefix(a.ClusterID, recoveredPrefix) {
		return fmt.Errorf("the cluster id %s is of a cluster that was recovered; it has a member, which adds the others",
			a.ClusterID)
	}
	return a.checkMembers(address)
}

// CheckRestored refuses an assignment that no member of a restored cluster can have.
func (a *Assignment) CheckRestored() error { return a.checkMembers("") }

func (a *Assignment) checkMembers(address string) error {
	if err := CheckMembers(a.ID, a.Members); err != nil {
		return err
	}
	if err := CheckAddresses(a.Members); err != nil {
		return err
	}
	listed := AddressOf(a.Members, a.ID)
	if address != "" && strings.TrimSuffix(address, "/") != strings.TrimSuffix(listed, "/") {
		return fmt.Errorf("the request is for node %d at %s, but this node's own address is %s: it came to another "+
			"node than it was meant for", a.ID, listed, address)
	}
	return nil
}

// ClusterFacts returns what is the same on every member of a founded cluster, for a snapshot (trap T33).
func (a *Assignment) ClusterFacts(in *Seating) (map[string]string, error) {
	facts, err := a.Facts(in)
	if err != nil {
		return nil, err
	}
	shared := map[string]string{}
	for _, key := range []string{FactClusterID, factMembers, factFounders} {
		if facts[key] != "" {
			shared[key] = facts[key]
		}
	}
	return shared, nil
}

// Facts returns what makes an assignment durable, with the seating if the cluster is founded.
func (a *Assignment) Facts(in *Seating) (map[string]string, error) {
	facts := map[string]string{FactNodeID: IDText(a.ID), FactClusterID: a.ClusterID}
	if len(a.Members) > 0 {
		members, err := json.Marshal(a.Members)
		if err != nil {
			return nil, fmt.Errorf("node: cannot write the membership: %w", err)
		}
		facts[factMembers] = string(members)
	}
	var more map[string]string
	var err error
	if in == nil {
		more, err = Acceptor{Cluster: a.ClusterID}.Facts()
	} else {
		more, err = in.facts()
	}
	maps.Copy(facts, more)
	return facts, err
}
