package rest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
)

const (
	// maxMemberBytes bounds a body about one member, and maxChangeBytes one about all of them.
	maxMemberBytes = 4 << 10
	maxChangeBytes = 64 << 10
	// maxMemberNumber is the largest id or index: every JSON reader has whole numbers up to it.
	maxMemberNumber = 1 << 53
	// maxAddressBytes bounds the URL of a member: a DNS name has 253 bytes at most.
	maxAddressBytes = 300
)

// memberChanges serves the configuration and its changes.
type memberChanges struct {
	*responder
	keys        *keys // for read barriers
	observation Observation
}

// getMembers is GET /api/v1/members: the configuration in force, and how far the learners are. A node that does not
// lead asks the leader for that, within the short deadline of the peers. The configuration includes every change that
// was answered before the request; with consistency=stale it is what this node has. 200 api.MembersView; 503.
func (m *memberChanges) getMembers(c *gin.Context) {
	values, err := readParams(c.Request.URL.RawQuery, takesMembers.parameters)
	q := presentState
	if err == nil {
		q, err = freshnessOf(values)
	}
	var view api.MembersView
	if err == nil {
		err = withLease(q, func(q readQuery) error {
			read, err := m.keys.makeFresh(c.Request.Context(), q)
			if err != nil {
				return err
			}
			view = m.view(c.Request.Context())
			if err := read.check(); err != nil {
				return err
			}
			read.stamp(c.Writer.Header())
			return nil
		})
	}
	if err != nil {
		m.fail(c, err)
		return
	}
	m.answerValue(c, view)
}

// view returns the configuration in force, with the progress of learners as the leader reports it.
func (m *memberChanges) view(ctx context.Context) api.MembersView {
	view := api.MembersView{Membership: m.node.Members(), LeaderID: m.node.Status().LeaderID}
	if slices.ContainsFunc(view.Members, isLearner) {
		leader := m.node.Status()
		if leader.LeaderID != leader.ID {
			leader = statusOf(m.observation.Observe(ctx), leader.LeaderID)
		}
		view.Progress = learnerProgress(view.Members, &leader)
	}
	return view
}

func isLearner(m api.ConfigMember) bool { return m.Role == api.RoleLearner }

// statusOf returns the status of a node that answered the observer; the zero Status if it did not.
func statusOf(seen api.ClusterStatus, id uint64) api.Status {
	for i := range seen.Nodes {
		if n := &seen.Nodes[i]; n.ID == id && n.Error == "" {
			return n.Status
		}
	}
	return api.Status{}
}

// learnerProgress returns how far the learners are by the status of the leader, nil if it has none of them.
func learnerProgress(members []api.ConfigMember, leader *api.Status) map[uint64]api.LearnerProgress {
	var all map[uint64]api.LearnerProgress
	for _, m := range members {
		p, known := leader.Progress[m.ID]
		if !known || !isLearner(m) {
			continue
		}
		if all == nil {
			all = make(map[uint64]api.LearnerProgress)
		}
		match := leader.MatchIndex[m.ID]
		all[m.ID] = api.LearnerProgress{
			State: p.State, MatchIndex: match, Lag: leader.LastLogIndex - min(match, leader.LastLogIndex),
			AckAgeMs: p.AckAgeMs, Unreachable: p.Unreachable, CaughtUp: p.CaughtUp,
		}
	}
	return all
}

// postMember is POST /api/v1/members, with an api.AddMemberRequest: it adds a learner, which the leader promotes once
// it has caught up. The responses are those of change.
func (m *memberChanges) postMember(c *gin.Context) {
	var request api.AddMemberRequest
	if err := m.readBody(c.Request, &addForm, &request); err != nil {
		m.fail(c, err)
		return
	}
	m.change(c, request.Change())
}

// postPromote is POST /api/v1/members/{id}/promote, with api.ChangeConditions or an empty body: a learner that has
// caught up becomes a voter. The responses are those of change.
func (m *memberChanges) postPromote(c *gin.Context) {
	id, err := memberID(c)
	var when api.ChangeConditions
	if err == nil {
		err = m.readBody(c.Request, &promoteForm, &when)
	}
	if err != nil {
		m.fail(c, err)
		return
	}
	m.change(c, api.MemberChange{
		Promote: []uint64{id}, ExpectedConfigIndex: when.ExpectedConfigIndex, Force: when.Force,
	})
}

// putMember is PUT /api/v1/members/{id}, with an api.UpdateMemberRequest: it replaces the addresses of a member. The
// responses are those of change.
func (m *memberChanges) putMember(c *gin.Context) {
	id, err := memberID(c)
	var request api.UpdateMemberRequest
	if err == nil {
		err = m.readBody(c.Request, &updateForm, &request)
	}
	if err != nil {
		m.fail(c, err)
		return
	}
	m.change(c, request.Change(id))
}

// deleteMember is DELETE /api/v1/members/{id}, with expected_config_index and force in the query: it removes a member.
// The responses are those of change.
func (m *memberChanges) deleteMember(c *gin.Context) {
	id, err := memberID(c)
	change := api.MemberChange{Remove: []uint64{id}}
	if err == nil {
		change.ExpectedConfigIndex, change.Force, err = changeParams(c.Request.URL.RawQuery)
	}
	if err != nil {
		m.fail(c, err)
		return
	}
	m.change(c, change)
}

// postChange is POST /api/v1/members/change, with an api.MemberChange: it adds, promotes, updates and removes members
// in one step. The responses are those of change.
func (m *memberChanges) postChange(c *gin.Context) {
	var change api.MemberChange
	if err := m.readBody(c.Request, &changeForm, &change); err != nil {
		m.fail(c, err)
		return
	}
	m.change(c, change)
}

// change carries out a change. Any node accepts it. 200 api.MemberChangeResponse once it is committed; 400 if it fits
// no configuration or not this one; 409 with the configuration in force if that is not the expected one, or if the
// leader refuses the change for now; 503; 504.
func (m *memberChanges) change(c *gin.Context, change api.MemberChange) {
	err := checkChange(&change)
	var response api.MemberChangeResponse
	if err == nil {
		response, err = m.node.ChangeMembers(c.Request.Context(), change)
	}
	if err != nil {
		m.fail(c, m.refusal(err))
		return
	}
	m.stamp(c.Writer.Header()) // a leader that was removed has handed over
	m.answerValue(c, response)
}

// refusal returns the error of a change that was not done. A conflict has the configuration in force.
func (m *memberChanges) refusal(err error) *api.Error {
	e := *m.explain(err)
	if e.Code == api.CodeConflict && e.Config == nil {
		config := m.node.Members()
		e.Config = &config
	}
	return &e
}

// bodyForm is what a body may be: one JSON object.
type bodyForm struct {
	limit    int64
	like     string // an example
	optional bool   // it may be empty
}

const bothAddresses = `{"address":"http://host:7080","api_address":"http://host:8080"}`

var (
	addForm     = bodyForm{limit: maxMemberBytes, like: bothAddresses}
	updateForm  = bodyForm{limit: maxMemberBytes, like: bothAddresses}
	promoteForm = bodyForm{limit: maxMemberBytes, like: `{"expected_config_index":42}, or empty`, optional: true}
	changeForm  = bodyForm{
		limit: maxChangeBytes, like: `{"add":[{"address":"http://host:7080"}],"promote":[4],"remove":[2]}`,
	}
)

func (m *memberChanges) readBody(r *http.Request, form *bodyForm, into any) error {
	buf := m.newBuffer()
	defer buf.release()
	if err := buf.read(r, form.limit); err != nil {
		return err
	}
	if form.optional && len(bytes.TrimSpace(buf.b)) == 0 {
		return nil
	}
	if err := ReadJSON(buf.b, into); err != nil {
		return invalid("the body must be like " + form.like + ": " + err.Error())
	}
	return nil
}

// memberID reads the id in the path of a member.
func memberID(c *gin.Context) (uint64, error) {
	text := c.Param("id")
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 || id > maxMemberNumber || strconv.FormatUint(id, 10) != text {
		return 0, invalid("the path names member " + quoted(text) + "; the id of a member is a whole number like 2")
	}
	return id, nil
}

// changeParams reads the conditions of a change from a query.
func changeParams(raw string) (index *uint64, force bool, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, false, invalid("the query cannot be read: " + err.Error())
	}
	if values.Has(api.ParamExpectedConfigIndex) {
		text := values.Get(api.ParamExpectedConfigIndex)
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, false, invalid(api.ParamExpectedConfigIndex + " must be the index of a configuration, a whole number " +
				"like 42; it is " + quoted(text))
		}
		index = &number
	}
	force, err = flagParam(values, api.ParamForce)
	return index, force, err
}

// checkChange refuses what fits no configuration; the leader checks the rest.
func checkChange(change *api.MemberChange) error {
	if change.ExpectedConfigIndex != nil && *change.ExpectedConfigIndex > maxMemberNumber {
		return invalid(`"expected_config_index" is more than 2^53`)
	}
	parts := []int{len(change.Add), len(change.Promote), len(change.Update), len(change.Remove)}
	switch {
	case slices.Max(parts) == 0:
		return invalid("the change is empty; add, promote, update or remove a member")
	case slices.Max(parts) > api.MaxMembers:
		return invalid(fmt.Sprintf("the change names more than %d members at once", api.MaxMembers))
	}
	for _, id := range slices.Concat(change.Promote, change.Remove) {
		if err := checkMemberID(id); err != nil {
			return err
		}
	}
	for _, added := range change.Add {
		if added.ID > maxMemberNumber {
			return checkMemberID(added.ID)
		}
		if err := checkAddresses(added.Address, added.APIAddress); err != nil {
			return err
		}
	}
	for _, u := range change.Update {
		if err := checkMemberID(u.ID); err != nil {
			return err
		}
		if u.AutoPromote {
			return invalid(fmt.Sprintf("member %d: an update is of the addresses only; leave out auto_promote", u.ID))
		}
		if err := checkAddresses(u.Address, u.APIAddress); err != nil {
			return err
		}
	}
	return nil
}

func checkMemberID(id uint64) error {
	if id == 0 || id > maxMemberNumber {
		return invalid(fmt.Sprintf("%d is not the id of a member; ids are whole numbers from 1 to 2^53", id))
	}
	return nil
}

func checkAddresses(peer, apiURL string) error {
	if len(peer) > maxAddressBytes || len(apiURL) > maxAddressBytes {
		return invalid(fmt.Sprintf("an address has more than %d bytes", maxAddressBytes))
	}
	if err := address.CheckPeerURL(peer); err != nil {
		return invalid("address: " + err.Error())
	}
	if apiURL == "" {
		return nil
	}
	if err := address.CheckAPIURL(apiURL); err != nil {
		return invalid("api_address: " + err.Error())
	}
	return nil
}
