package identity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// MaxMembers is how many members a cluster may begin with.
const MaxMembers = 99

// Member is one member of the cluster.
type Member struct {
	ID raft.NodeID
	// Address is the URL of its peer port, http://host:7080.
	Address string
	// APIAddress is the URL of its API port, if it is known before the member reports it.
	APIAddress string
}

// ParseMembers parses the members of a new cluster: 1=http://h1:7080,2=http://h2:7080.
func ParseMembers(text string) ([]Member, error) {
	var members []Member
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			return nil, fmt.Errorf("%q: an entry is empty: a comma too many", text)
		}
		id, url, found := strings.Cut(strings.TrimSpace(part), "=")
		number, err := strconv.ParseUint(id, 10, 64)
		if !found || err != nil || number == 0 {
			return nil, fmt.Errorf("%q should be ID=URL with a positive id, like 1=http://host1:7080", part)
		}
		if err := address.CheckPeerURL(url); err != nil {
			return nil, fmt.Errorf("member %d: %w", number, err)
		}
		if slices.ContainsFunc(members, func(m Member) bool { return m.ID == raft.NodeID(number) }) {
			return nil, fmt.Errorf("id %d is listed twice", number)
		}
		members = append(members, Member{ID: raft.NodeID(number), Address: strings.TrimSuffix(url, "/")})
	}
	return members, CheckAddresses(members)
}

// Normal returns the member with its addresses in the form in which a configuration has them, so that equal addresses
// are equal texts.
func (m Member) Normal() (Member, error) {
	if err := address.CheckPeerURL(m.Address); err != nil {
		return m, fmt.Errorf("the address of member %d: %w", m.ID, err)
	}
	m.Address = address.Normal(m.Address)
	if m.APIAddress == "" {
		return m, nil
	}
	if err := address.CheckAPIURL(m.APIAddress); err != nil {
		return m, fmt.Errorf("the API address of member %d: %w", m.ID, err)
	}
	m.APIAddress = address.Normal(m.APIAddress)
	return m, nil
}

// SameAddress reports whether two URLs lead to the same host and port.
func SameAddress(a, b string) bool { return address.HostAndPort(a) == address.HostAndPort(b) }

// SortedMembers returns a copy of the members in the order of their ids.
func SortedMembers(members []Member) []Member {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return sorted
}

// InitialConfiguration returns the configuration of a cluster that was founded with some members. All are voters. It is
// zero without members, as on a node that is added to a cluster.
func InitialConfiguration(members []Member) (raft.Configuration, error) {
	if len(members) == 0 {
		return raft.Configuration{}, nil
	}
	list := make([]raft.Member, len(members))
	for i, m := range members {
		list[i] = raft.Member{ID: m.ID, Address: m.Address, APIAddress: m.APIAddress}
	}
	return raft.NewConfiguration(list)
}

// MembersOf returns the members of a configuration.
func MembersOf(members []raft.Member) []Member {
	list := make([]Member, len(members))
	for i, m := range members {
		list[i] = Member{ID: m.ID, Address: m.Address, APIAddress: m.APIAddress}
	}
	return list
}

// AddressOf returns the address of a member, empty if there is none.
func AddressOf(members []Member, id raft.NodeID) string {
	for _, m := range members {
		if m.ID == id {
			return m.Address
		}
	}
	return ""
}

// CheckMembers refuses a membership that cannot work.
func CheckMembers(self raft.NodeID, members []Member) error {
	found := false
	for i, m := range members {
		if m.ID == 0 {
			return errors.New("node: member id 0 is not allowed: ids are positive integers")
		}
		if i > 0 && members[i-1].ID == m.ID {
			return fmt.Errorf("node: member id %d is listed twice", m.ID)
		}
		found = found || m.ID == self
	}
	if !found {
		return fmt.Errorf("node: this node's id %d is not among the members", self)
	}
	return nil
}

// CheckAddresses refuses members that cannot be reached, or that are two and have one address.
func CheckAddresses(members []Member) error {
	if len(members) > MaxMembers {
		return fmt.Errorf("%d members are more than the %d that a cluster may begin with", len(members), MaxMembers)
	}
	owners := map[string]raft.NodeID{}
	for _, m := range members {
		if err := address.CheckMemberURL(m.Address); err != nil {
			return fmt.Errorf("the address of member %d: %w", m.ID, err)
		}
		if m.APIAddress != "" {
			if err := address.CheckAPIURL(m.APIAddress); err != nil {
				return fmt.Errorf("the API address of member %d: %w", m.ID, err)
			}
		}
		place := address.HostAndPort(m.Address)
		if other, taken := owners[place]; taken {
			return fmt.Errorf("members %d and %d have the same address %s", other, m.ID, m.Address)
		}
		owners[place] = m.ID
	}
	return nil
}

// listed returns the ids of members for a message.
func listed(members []Member) string {
	ids := make([]string, len(members))
	for i, m := range SortedMembers(members) {
		ids[i] = IDText(m.ID)
	}
	return strings.Join(ids, ", ")
}

// describe lists members for a message.
func describe(members []Member) string {
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = fmt.Sprintf("%d=%s (API %s)", m.ID, m.Address, m.APIAddress)
	}
	return strings.Join(texts, ", ")
}

// NodeNames returns "node 3" or "nodes 1, 2 and 3".
func NodeNames[T ~uint64](ids []T) string {
	if len(ids) == 1 {
		return fmt.Sprintf("node %d", ids[0])
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = IDText(raft.NodeID(id))
	}
	if len(texts) == 0 {
		return "no node"
	}
	last := len(texts) - 1
	return "nodes " + strings.Join(texts[:last], ", ") + " and " + texts[last]
}

// IDText is an id as it stands in messages, labels and tables.
func IDText(id raft.NodeID) string { return strconv.FormatUint(uint64(id), 10) }
