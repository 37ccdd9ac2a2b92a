package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Members returns the configuration, with every change that was answered before, and how far the learners are. With
// Consistency(api.Stale) it is what any node has, also without a leader. It takes no other option.
func (c *Client) Members(ctx context.Context, options ...ReadOption) (api.MembersView, error) {
	var view api.MembersView
	r := httpRequest{method: http.MethodGet, path: api.PathMembers, query: queryOf(options)}
	err := c.exchangeAny(ctx, r, &view)
	return view, err
}

// AddMember adds a learner, which the leader makes a voter once it has caught up unless AutoPromote is false.
//
// This and the other changes of the members return once the change is committed. They fail with api.CodeInvalid if the
// change fits no configuration or not this one, and with api.CodeConflict, and the configuration in force in
// api.Error.Config, if that is not the expected one or the leader refuses the change for now. A change is sent again
// only if surely nothing was done; one that may have been done ends with api.CodeOutcomeUnknown.
func (c *Client) AddMember(ctx context.Context, request api.AddMemberRequest) (api.MemberChangeResponse, error) {
	return c.changeMembers(ctx, http.MethodPost, api.PathMembers, request)
}

// PromoteMember makes a learner a voter. It must have caught up.
func (c *Client) PromoteMember(
	ctx context.Context, id uint64, when api.ChangeConditions,
) (api.MemberChangeResponse, error) {
	return c.changeMembers(ctx, http.MethodPost, api.PromotePath(id), when)
}

// UpdateMember replaces the addresses of a member.
func (c *Client) UpdateMember(
	ctx context.Context, id uint64, request api.UpdateMemberRequest,
) (api.MemberChangeResponse, error) {
	return c.changeMembers(ctx, http.MethodPut, api.MemberPath(id), request)
}

// RemoveMember removes a member.
func (c *Client) RemoveMember(
	ctx context.Context, id uint64, when api.ChangeConditions,
) (api.MemberChangeResponse, error) {
	return c.orderChange(ctx, httpRequest{
		method: http.MethodDelete, path: api.MemberPath(id), query: removalQuery(when),
	})
}

// removalQuery returns the query of DELETE api.MemberPath.
func removalQuery(when api.ChangeConditions) url.Values {
	query := url.Values{}
	if when.ExpectedConfigIndex != nil {
		query.Set(api.ParamExpectedConfigIndex, strconv.FormatUint(*when.ExpectedConfigIndex, 10))
	}
	if when.Force {
		query.Set(api.ParamForce, "true")
	}
	return query
}

// ChangeMembers adds, promotes, updates and removes members in one step.
func (c *Client) ChangeMembers(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	return c.changeMembers(ctx, http.MethodPost, api.PathMembersChange, change)
}

func (c *Client) changeMembers(
	ctx context.Context, method, path string, request any,
) (api.MemberChangeResponse, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return api.MemberChangeResponse{}, invalid("%v", err)
	}
	return c.orderChange(ctx, httpRequest{method: method, path: path, body: body})
}

// orderChange sends a change of the members, and follows it.
func (c *Client) orderChange(ctx context.Context, r httpRequest) (api.MemberChangeResponse, error) {
	var response api.MemberChangeResponse
	if err := c.exchangeAny(ctx, r, &response); err != nil {
		return response, err
	}
	t := c.topology
	t.mu.Lock()
	seen := t.seen
	seen.index = response.Config.Index
	forgotten := t.follow(seen, response.Config)
	t.mu.Unlock()
	t.forget(forgotten)
	t.askAround(askEvery)
	return response, nil
}

// seenConfig is which configuration the endpoints of a topology are those of.
type seenConfig struct {
	term     uint64 // in which a node had it
	index    uint64
	byLeader bool // it was the leader of that term
}

// isSupersededBy reports whether a configuration that was seen later replaces this one. A higher index does, except one
// of an earlier term: a leader that was deposed may have a configuration that was never committed. What the leader of
// this term has replaces what a follower has, which may still have entries of such a leader. (trap T24)
func (s seenConfig) isSupersededBy(later seenConfig) bool {
	switch {
	case later.term < s.term:
		return false
	case later.byLeader && (later.term > s.term || !s.byLeader):
		return true
	}
	return later.index > s.index
}

// follow takes in a configuration: the endpoints of its members are added, and those that were learned of other nodes
// are taken out and returned, for forget. The topology must be locked.
func (t *topology) follow(seen seenConfig, config api.Membership) (former []*endpoint) {
	replaces := t.seen.isSupersededBy(seen)
	if !replaces && seen.index != t.seen.index {
		return nil
	}
	for _, m := range config.Members { // also of the same one: the members report addresses later
		t.addMember(m)
	}
	if !replaces {
		return nil
	}
	t.seen = seen
	kept := make([]*endpoint, 0, len(t.endpoints))
	for _, e := range t.endpoints {
		if e.configured || e.isOf(config) {
			kept = append(kept, e)
			continue
		}
		former = append(former, e)
		e.forgotten.Store(true)
		t.loseLeader(e)
	}
	t.endpoints = kept
	return former
}

// isOf reports whether the endpoint is that of a member, as far as its address is known.
func (e *endpoint) isOf(config api.Membership) bool {
	for _, m := range config.Members {
		if m.ID != e.member {
			continue
		}
		now, err := parseEndpoint(m.APIAddress)
		return m.APIAddress == "" || err != nil || e.leadsWhere(now)
	}
	return false
}

// leadsWhere reports whether two endpoints are one.
func (e *endpoint) leadsWhere(other *endpoint) bool {
	return e.url.Scheme == other.url.Scheme && e.address == other.address
}

// addMember adds the API address of a member, if it is not known. The topology must be locked.
func (t *topology) addMember(m api.ConfigMember) {
	if m.APIAddress == "" {
		return
	}
	e, err := parseEndpoint(m.APIAddress)
	if err != nil {
		return
	}
	e.member = m.ID
	for _, known := range t.endpoints {
		if known.leadsWhere(e) {
			known.member = m.ID // of a node whose disk was lost it is another one
			return
		}
	}
	t.endpoints = append(t.endpoints, e)
}

// forget closes the idle connections to endpoints that are no longer used. Requests in flight get their answers.
func (t *topology) forget(former []*endpoint) {
	if len(former) > 0 {
		t.left(former)
	}
}
