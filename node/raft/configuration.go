package raft

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// MaxMembers is how many members a configuration may have.
const MaxMembers = 99

// MemberRole is the kind of a member.
type MemberRole uint8

// The kinds of members.
const (
	// Voter counts in elections and for commits.
	Voter MemberRole = iota
	// Learner receives the log and does not count. It votes if it is asked (trap T8), and never campaigns.
	Learner
	// Leaving counts as an outgoing voter of a joint configuration only; the next configuration is without it.
	Leaving
)

var memberRoles = []string{"voter", "learner", "leaving"}

// String returns the role as in JSON.
func (r MemberRole) String() string {
	if int(r) < len(memberRoles) {
		return memberRoles[r]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (r MemberRole) MarshalText() ([]byte, error) {
	if int(r) >= len(memberRoles) {
		return nil, fmt.Errorf("raft: member role %d is unknown; the highest is %d", r, Leaving)
	}
	return []byte(memberRoles[r]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *MemberRole) UnmarshalText(text []byte) error {
	i := slices.Index(memberRoles, string(text))
	if i < 0 {
		return fmt.Errorf("raft: member role %q is unknown; roles are voter, learner and leaving", text)
	}
	*r = MemberRole(i)
	return nil
}

// Member is one member of the cluster. The core does not read the addresses; the caller gives them in one spelling, so
// that equal addresses are equal texts.
type Member struct {
	ID         NodeID     `json:"id"`
	Address    string     `json:"address"`     // URL of the peer port
	APIAddress string     `json:"api_address"` // URL of the API port; empty if it is unknown
	Role       MemberRole `json:"role"`
	// AutoPromote makes the leader promote the learner when it has caught up.
	AutoPromote bool `json:"auto_promote,omitempty"`
}

// Configuration is the membership of the cluster from one entry of the log on (paper, section 6). It must not be
// changed.
type Configuration struct {
	Index   Index    `json:"index"`   // of its entry; 0: the initial configuration, which is in no entry
	Members []Member `json:"members"` // in ascending order of id
	// Outgoing are the voters before a change, in ascending order, while it is joint: then a majority of them is needed
	// beside one of the voters.
	Outgoing []NodeID `json:"outgoing,omitempty"`
	// LastID is the highest id that a member ever had. New ids are higher (trap T28).
	LastID NodeID `json:"last_id"`
}

// NewConfiguration returns the initial configuration of a cluster with some members, in any order.
func NewConfiguration(members []Member) (Configuration, error) {
	cfg := Configuration{Members: slices.Clone(members)}
	slices.SortFunc(cfg.Members, byID)
	for _, m := range cfg.Members {
		cfg.LastID = max(cfg.LastID, m.ID)
	}
	return cfg, cfg.Validate()
}

func byID(a, b Member) int { return cmp.Compare(a.ID, b.ID) }

// IsZero reports whether there is no configuration: a node that joins a cluster has none until it receives the log.
func (cfg Configuration) IsZero() bool { return cfg.Index == 0 && len(cfg.Members) == 0 }

// Joint reports whether the configuration is the first step of a change.
func (cfg Configuration) Joint() bool { return len(cfg.Outgoing) > 0 }

// Member returns a member; false if there is none with that id.
func (cfg Configuration) Member(id NodeID) (Member, bool) {
	if i := cfg.find(id); i >= 0 {
		return cfg.Members[i], true
	}
	return Member{}, false
}

// removed reports whether a node can never be a member after a configuration that is committed: it is none by that, and
// its id is not a new one.
func (cfg *Configuration) removed(id NodeID) bool { return id <= cfg.LastID && cfg.find(id) < 0 }

// find returns the place of a member; -1 if there is none with that id.
func (cfg *Configuration) find(id NodeID) int {
	for i := range cfg.Members {
		if cfg.Members[i].ID == id {
			return i
		}
	}
	return -1
}

// Contains reports whether a node is a member.
func (cfg Configuration) Contains(id NodeID) bool { return cfg.find(id) >= 0 }

// Voters returns the voters, without those that are only outgoing.
func (cfg Configuration) Voters() Voters {
	var voters Voters
	for _, m := range cfg.Members {
		if m.Role == Voter {
			voters = append(voters, m.ID)
		}
	}
	return voters
}

// quorums returns the sets of voters that decide.
func (cfg Configuration) quorums() quorums { return quorums{cfg.Voters(), Voters(cfg.Outgoing)} }

// Equal reports whether two configurations are the same, whatever their index.
func (cfg Configuration) Equal(other Configuration) bool {
	return cfg.LastID == other.LastID && slices.Equal(cfg.Members, other.Members) &&
		slices.Equal(cfg.Outgoing, other.Outgoing)
}

// Same reports whether two configurations are of the same entry.
func (cfg Configuration) Same(other Configuration) bool {
	return cfg.Index == other.Index && cfg.Equal(other)
}

// Validate returns an error for a configuration that no cluster can have. The error states what would be right.
func (cfg Configuration) Validate() error {
	if len(cfg.Members) > MaxMembers {
		return fmt.Errorf("raft: %d members are more than %d", len(cfg.Members), MaxMembers)
	}
	last, addresses := NodeID(0), map[string]NodeID{}
	for _, m := range cfg.Members {
		if err := cfg.validateMember(m, last, addresses); err != nil {
			return err
		}
		last = m.ID
	}
	if cfg.LastID < last || cfg.LastID > maxNumber {
		return fmt.Errorf("raft: the highest id ever is %d; it must be at least that of member %d, and at most 2^53",
			cfg.LastID, last)
	}
	last = 0
	for _, id := range cfg.Outgoing {
		if id <= last || !cfg.Contains(id) {
			return fmt.Errorf("raft: outgoing voter %d must be a member, and follow %d in ascending order", id, last)
		}
		last = id
	}
	if len(cfg.Voters()) == 0 {
		return errors.New("raft: there are no voters; at least one is needed")
	}
	return nil
}

// validateMember checks one member; last is the id before it, and addresses those of the members before it.
func (cfg Configuration) validateMember(m Member, last NodeID, addresses map[string]NodeID) error {
	switch other, taken := addresses[m.Address]; {
	case m.ID == 0:
		return errors.New("raft: 0 is among the members; node ids are positive")
	case m.ID == last:
		return fmt.Errorf("raft: node %d is among the members twice", m.ID)
	case m.ID < last:
		return fmt.Errorf("raft: member %d follows member %d; the order of ids is ascending", m.ID, last)
	case m.Role > Leaving:
		return fmt.Errorf("raft: member %d has the unknown role %d", m.ID, m.Role)
	case m.Role == Leaving && !slices.Contains(cfg.Outgoing, m.ID):
		return fmt.Errorf("raft: member %d is leaving, and must be an outgoing voter", m.ID)
	case taken && m.Address != "":
		return fmt.Errorf("raft: members %d and %d have the same address %s", other, m.ID, m.Address)
	}
	addresses[m.Address] = m.ID
	return nil
}
