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
