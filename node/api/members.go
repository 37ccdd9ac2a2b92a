package api

// MemberChange is the body of POST PathMembersChange: what changes of the configuration, all of it in one step. If more
// than one voter changes, the cluster passes through a joint configuration (paper, section 6).
type MemberChange struct {
	// ExpectedConfigIndex is the index of the configuration that the change was decided on; CodeConflict if it is another
	// one. nil: any.
	ExpectedConfigIndex *uint64 `json:"expected_config_index,omitempty"`

	Add     []NewMember    `json:"add,omitempty"`     // as learners
	Promote []uint64       `json:"promote,omitempty"` // ids of learners that become voters
	Update  []ConfigMember `json:"update,omitempty"`  // members with their new addresses; the role is ignored
	Remove  []uint64       `json:"remove,omitempty"`  // ids
	// Force makes the change although fewer than a quorum of the voters that it leads to respond.
	Force bool `json:"force,omitempty"`
}

// NewMember is a node that becomes a member, first as a learner: it receives the log and does not vote.
type NewMember struct {
	// ID must never have been that of a member; 0: the next one.
	ID         uint64 `json:"id,omitempty"`
	Address    string `json:"address"`               // peer URL
	APIAddress string `json:"api_address,omitempty"` // API URL
	// AutoPromote has the leader make it a voter once it has caught up.
	AutoPromote bool `json:"auto_promote,omitempty"`
}

// MemberChangeResponse answers a change of the members once it is committed and no joint configuration is in force.
type MemberChangeResponse struct {
	Config Membership `json:"config"`          // afterwards
	Added  []uint64   `json:"added,omitempty"` // the ids of the added members, in the order of the request
}

// AddMemberRequest is the body of POST PathMembers: one new member. It becomes a learner.
type AddMemberRequest struct {
	Address    string `json:"address"`               // peer URL
	APIAddress string `json:"api_address,omitempty"` // API URL
	// ID must never have been that of a member; 0: the next one.
	ID uint64 `json:"id,omitempty"`
	// AutoPromote has the leader make it a voter once it has caught up; nil: true.
	AutoPromote         *bool   `json:"auto_promote,omitempty"`
	ExpectedConfigIndex *uint64 `json:"expected_config_index,omitempty"` // as in MemberChange
	Force               bool    `json:"force,omitempty"`                 // as in MemberChange
}

// Change returns the request as a MemberChange.
func (r AddMemberRequest) Change() MemberChange {
	return MemberChange{
		ExpectedConfigIndex: r.ExpectedConfigIndex, Force: r.Force,
		Add: []NewMember{{
			ID: r.ID, Address: r.Address, APIAddress: r.APIAddress, AutoPromote: r.AutoPromote == nil || *r.AutoPromote,
		}},
	}
}

// UpdateMemberRequest is the body of PUT MemberPath: both addresses of a member, which replace those that it has.
type UpdateMemberRequest struct {
	Address             string  `json:"address"`                         // peer URL
	APIAddress          string  `json:"api_address,omitempty"`           // API URL; empty: until the member reports it
	ExpectedConfigIndex *uint64 `json:"expected_config_index,omitempty"` // as in MemberChange
	Force               bool    `json:"force,omitempty"`                 // as in MemberChange
}

// Change returns the request, which is for one member, as a MemberChange.
func (r UpdateMemberRequest) Change(id uint64) MemberChange {
	return MemberChange{
		ExpectedConfigIndex: r.ExpectedConfigIndex, Force: r.Force,
		Update: []ConfigMember{{ID: id, Address: r.Address, APIAddress: r.APIAddress}},
	}
}

// ChangeConditions are the body of POST PromotePath, which may be left out. DELETE MemberPath has the same ones as
// query parameters.
type ChangeConditions struct {
	ExpectedConfigIndex *uint64 `json:"expected_config_index,omitempty"` // as in MemberChange
	Force               bool    `json:"force,omitempty"`                 // as in MemberChange
}

// MembersView answers GET PathMembers: the configuration in force, as the answering node has it.
type MembersView struct {
	Membership
	LeaderID uint64 `json:"leader_id"` // 0: none known
	// Progress is how the leader sees the learners, by id, as far as the answering node could ask it.
	Progress map[uint64]LearnerProgress `json:"progress,omitempty"`
}

// LearnerProgress is how far a learner has caught up.
type LearnerProgress struct {
	State       string `json:"state"`       // as in Progress
	MatchIndex  uint64 `json:"match_index"` // up to which its log is that of the leader
	Lag         uint64 `json:"lag"`         // entries that it lacks
	AckAgeMs    int64  `json:"ack_age_ms"`
	Unreachable bool   `json:"unreachable,omitempty"` // as in Progress
	CaughtUp    bool   `json:"caught_up,omitempty"`   // it can be promoted
}
