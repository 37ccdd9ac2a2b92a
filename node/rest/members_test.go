package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestMembersAreListedWithTheProgressOfLearners(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.config.Index = 7
		n.log = make([]raft.Entry, 50)
		n.status.MatchIndex = map[uint64]uint64{1: 50, 2: 50, 3: 40}
		n.status.Progress[3] = api.Progress{State: "replicate", AckAgeMs: 12, CaughtUp: true}
	})
	view := decode[api.MembersView](t, a.want(200, "GET", "/api/v1/members", "").body)
	want := api.MembersView{
		Membership: api.Membership{Index: 7, Members: a.node.config.Members}, LeaderID: 1,
		Progress: map[uint64]api.LearnerProgress{
			3: {State: "replicate", MatchIndex: 40, Lag: 10, AckAgeMs: 12, CaughtUp: true},
		},
	}
	if !reflect.DeepEqual(view, want) {
		t.Errorf("got  %+v\nwant %+v", view, want)
	}
	a.want(200, "HEAD", "/api/v1/members", "")
}

// A node that is behind, or was removed, has members of the past: only the leader can confirm that they are today's.
func TestTheListOfMembersIsLinearizable(t *testing.T) {
	t.Parallel()
	a := serve(t)
	if got := a.want(200, "GET", "/api/v1/members", ""); got.header.Get(api.HeaderConsistency) != "linearizable" {
		t.Errorf("headers are %v", got.header)
	}
	if a.node.barriers != 1 {
		t.Errorf("%d read barriers", a.node.barriers)
	}
	a.want(200, "GET", "/api/v1/members?consistency=stale", "")
	if a.node.barriers != 1 {
		t.Error("a stale read waits for a barrier")
	}
	for _, failure := range failures {
		a := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = failure.err })
		a.wantError(failure.status, failure.code, "GET", "/api/v1/members", "")
		a.want(200, "GET", "/api/v1/members?consistency=stale", "")
	}
	a.wantError(400, api.CodeInvalid, "GET", "/api/v1/members?consistency=new", "")
	removed := serve(t, func(n *fakeNode, _ *Options) { n.status.LifeCycle = api.StateRemoved })
	removed.wantError(503, api.CodeNotReady, "GET", "/api/v1/members?consistency=stale", "")
}

// A follower has no progress of its own: it asks the leader.
func TestAFollowerListsTheProgressThatTheLeaderReports(t *testing.T) {
	t.Parallel()
	leader := api.NodeStatus{Healthy: true, Status: api.Status{
		ID: 5, LastLogIndex: 9, MatchIndex: map[uint64]uint64{1: 9, 3: 4},
		Progress: map[uint64]api.Progress{1: {State: "replicate"}, 3: {State: "snapshot"}},
	}}
	behind := leader // figures that do not fit together
	behind.LastLogIndex = 3
	gone := leader
	gone.Error = "connection refused" // what is known of it is old
	for _, c := range []struct {
		leader api.NodeStatus
		want   map[uint64]api.LearnerProgress
	}{
		{leader, map[uint64]api.LearnerProgress{3: {State: "snapshot", MatchIndex: 4, Lag: 5}}},
		{behind, map[uint64]api.LearnerProgress{3: {State: "snapshot", MatchIndex: 4}}},
		{gone, nil},
	} {
		a := serve(t, func(n *fakeNode, _ *Options) {
			n.status.LeaderID, n.status.Progress, n.peers = 5, nil, []api.NodeStatus{c.leader}
		})
		view := decode[api.MembersView](t, a.want(200, "GET", "/api/v1/members", "").body)
		if view.LeaderID != 5 || !reflect.DeepEqual(view.Progress, c.want) {
			t.Errorf("got %+v, want %+v", view, c.want)
		}
	}
}

func TestEachRouteOfMembersIsOneChange(t *testing.T) {
	t.Parallel()
	index := uint64(7)
	for _, c := range []struct {
		method, path, body string
		want               api.MemberChange
	}{
		{
			"POST", "/api/v1/members", `{"address":"http://h4:7080","api_address":"https://h4"}`,
			api.MemberChange{Add: []api.NewMember{{Address: "http://h4:7080", APIAddress: "https://h4", AutoPromote: true}}},
		},
		{
			"POST", "/api/v1/members",
			`{"address":"http://h4:7080","id":9,"auto_promote":false,"expected_config_index":7,"force":true}`,
			api.MemberChange{
				Add: []api.NewMember{{ID: 9, Address: "http://h4:7080"}}, ExpectedConfigIndex: &index, Force: true,
			},
		},
		{"POST", "/api/v1/members/3/promote", "", api.MemberChange{Promote: []uint64{3}}},
		{
			"POST", "/api/v1/members/3/promote", `{"expected_config_index":7,"force":true}`,
			api.MemberChange{Promote: []uint64{3}, ExpectedConfigIndex: &index, Force: true},
		},
		{
			"PUT", "/api/v1/members/2", `{"address":"http://h2:7081","api_address":"http://h2:8081","expected_config_index":7}`,
			api.MemberChange{
				Update:              []api.ConfigMember{{ID: 2, Address: "http://h2:7081", APIAddress: "http://h2:8081"}},
				ExpectedConfigIndex: &index,
			},
		},
		{"DELETE", "/api/v1/members/2", "", api.MemberChange{Remove: []uint64{2}}},
		{
			"DELETE", "/api/v1/members/2?expected_config_index=7&force", "",
			api.MemberChange{Remove: []uint64{2}, ExpectedConfigIndex: &index, Force: true},
		},
		{"DELETE", "/api/v1/members/2?force=false", "", api.MemberChange{Remove: []uint64{2}}},
		{
			"POST", "/api/v1/members/change", `{"add":[{"address":"http://h4:7080"}],"promote":[3],"remove":[1,2],` +
				`"update":[{"id":5,"address":"http://h5:7080","role":"voter"}],"expected_config_index":7}`,
			api.MemberChange{
				Add: []api.NewMember{{Address: "http://h4:7080"}}, Promote: []uint64{3}, Remove: []uint64{1, 2},
				Update:              []api.ConfigMember{{ID: 5, Address: "http://h5:7080", Role: "voter"}},
				ExpectedConfigIndex: &index,
			},
		},
	} {
		a := serve(t)
		got := decode[api.MemberChangeResponse](t, a.want(200, c.method, c.path, c.body).body)
		if got.Config.Index != 9 || len(got.Added) != len(c.want.Add) || len(got.Config.Members) != 3 {
			t.Errorf("%s %s: answered with %+v", c.method, c.path, got)
		}
		if len(a.node.changes) != 1 || !reflect.DeepEqual(a.node.changes[0], c.want) {
			t.Errorf("%s %s %s: the node was asked for %+v, want %+v", c.method, c.path, c.body, a.node.changes, c.want)
		}
	}
}

func TestAChangeThatFitsNoConfigurationIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	const members, change = "/api/v1/members", "/api/v1/members/change"
	many := `{"remove":[1` + strings.Repeat(",1", api.MaxMembers) + `]}`
	a := serve(t)
	for _, c := range []struct{ method, path, body, says string }{
		{"POST", members, ``, "the body must be like"},
		{"POST", members, `{}`, "should be a URL like http://host:7080"},
		{"POST", members, `{"address":"h4:7080"}`, "address: "},
		{"POST", members, `{"address":"http://h4"}`, "has no port"},
		{"POST", members, `{"address":"http://0.0.0.0:7080"}`, "not be reached"},
		{"POST", members, `{"address":"http://h4:7080","api_address":"h4"}`, "api_address: "},
		{"POST", members, `{"address":"http://` + strings.Repeat("h", 300) + `:7080"}`, "more than 300 bytes"},
		{"POST", members, `{"address":"http://h4:7080","role":"voter"}`, `unknown field`},
		{"POST", members, `{"address":"http://h4:7080","address":"http://h5:7080"}`, "comes twice"},
		{"POST", members, `{"address":"http://h4:7080","id":-1}`, `field "id"`},
		{"POST", members, `{"address":"http://h4:7080","id":9007199254740993}`, "2^53"},
		{"POST", members, `{"address":"http://h4:7080","expected_config_index":9007199254740993}`, "2^53"},
		{"POST", members, `{"address":"http://h4:7080","auto_promote":null}`, "null"},
		{"POST", members, `{"address":"http://h4:7080"}{}`, "nothing behind it"},
		{"POST", change, `{}`, "the change is empty"},
		{"POST", change, `{"force":true,"remove":[]}`, "the change is empty"},
		{"POST", change, `{"remove":[0]}`, "0 is not the id of a member"},
		{"POST", change, `{"promote":[9007199254740993]}`, "2^53"},
		{"POST", change, `{"update":[{"address":"http://h4:7080"}]}`, "0 is not the id of a member"},
		{"POST", change, `{"update":[{"id":1}]}`, "address: "},
		{"POST", change, `{"update":[{"id":1,"address":"http://h1:7080","auto_promote":true}]}`, "leave out auto_promote"},
		{"POST", change, many, "more than 99 members"},
		{"PUT", members + "/2", ``, "the body must be like"},
		{"PUT", members + "/2", `{"api_address":"http://h2:8080"}`, "address: "},
		{"PUT", members + "/02", `{"address":"http://h2:7080"}`, `"02"`},
		{"DELETE", members + "/0", ``, "the id of a member is a whole number like 2"},
		{"DELETE", members + "/two", ``, `names member "two"`},
		{"DELETE", members + "/18446744073709551616", ``, "whole number"},
		{"DELETE", members + "/2?expected_config_index=", ``, "expected_config_index must be"},
		{"DELETE", members + "/2?force=maybe", ``, "force must be true or false"},
		{"DELETE", members + "/2?reason=x", ``, "this route takes expected_config_index and force"},
		{"POST", members + "/2/promote?force", ``, "this route takes none"},
		{"POST", members + "/-2/promote", ``, "whole number"},
		{"POST", members + "/2/promote", `[]`, "or empty"},
	} {
		got := a.want(400, c.method, c.path, c.body)
		if e := decode[api.ErrorBody](t, got.body).Error; !strings.Contains(e.Message, c.says) {
			t.Errorf("%s %s %s: %s, want %s", c.method, c.path, c.body, e.Message, c.says)
		}
	}
	long := strings.Repeat(" ", maxMemberBytes)
	a.wantError(413, api.CodeTooLarge, "POST", members, long+`{"address":"http://h4:7080"}`)
	a.want(200, "POST", change, long+`{"remove":[2]}`)
	a.wantError(413, api.CodeTooLarge, "POST", change, strings.Repeat(" ", maxChangeBytes)+`{"remove":[2]}`)
	a.wantError(405, api.CodeMethodNotAllowed, "GET", change, "")
	a.wantError(405, api.CodeMethodNotAllowed, "GET", members+"/2", "")
	a.wantError(404, api.CodeNotFound, "POST", members+"/2/demote", "")
	got := a.want(400, "DELETE", members+"/2", "", "If-Match", `"7"`)
	if !strings.Contains(got.body, "?expected_config_index=42") {
		t.Errorf("If-Match is answered with %s", got.body)
	}
	if len(a.node.changes) != 1 {
		t.Errorf("the node was asked for %+v", a.node.changes)
	}
}

// A caller that decided on another configuration gets the one in force, so that it can decide again. (T24)
func TestARefusedChangeHasTheConfigurationInForce(t *testing.T) {
	t.Parallel()
	inForce := api.Membership{Index: 12, Members: []api.ConfigMember{{ID: 7, Role: api.RoleVoter}}}
	for _, c := range []struct {
		err    error
		status int
		code   api.Code
		index  uint64 // of the configuration in the error; 0: none
	}{
		{&node.ConfigIndexError{Expected: 3, Config: inForce}, 409, api.CodeConflict, 12},
		{fmt.Errorf("%w: another change is in progress", node.ErrChangeRefused), 409, api.CodeConflict, 4},
		{fmt.Errorf("%w: the id was used before", node.ErrBadChange), 400, api.CodeInvalid, 0},
		{node.ErrNoLeader, 503, api.CodeNoLeader, 0},
	} {
		a := serve(t, func(n *fakeNode, _ *Options) { n.changeErr, n.config.Index = c.err, 4 })
		for _, r := range []struct{ method, path, body string }{
			{"POST", "/api/v1/members", `{"address":"http://h4:7080"}`},
			{"POST", "/api/v1/members/change", `{"remove":[2]}`},
			{"POST", "/api/v1/members/3/promote", ""},
			{"PUT", "/api/v1/members/3", `{"address":"http://h4:7080"}`},
			{"DELETE", "/api/v1/members/3", ""},
		} {
			a.wantError(c.status, c.code, r.method, r.path, r.body)
			e := decode[api.ErrorBody](t, a.want(c.status, r.method, r.path, r.body).body).Error
			if (e.Config == nil) != (c.index == 0) || e.Config != nil && e.Config.Index != c.index {
				t.Errorf("%s after %v: the configuration in the error is %+v, want index %d", r.path, c.err, e.Config, c.index)
			}
		}
	}
}

func TestAChangeThatFails(t *testing.T) {
	t.Parallel()
	for _, failure := range failures { // T49
		a := serve(t, func(n *fakeNode, _ *Options) { n.changeErr = failure.err })
		a.wantError(failure.status, failure.code, "DELETE", "/api/v1/members/2", "")
	}
}

// FuzzMemberChange sends any body. What the node is asked for is what the body means to another reader of JSON.
func FuzzMemberChange(f *testing.F) {
	for _, body := range []string{
		`{"add":[{"id":4,"address":"http://h4:7080","api_address":"http://h4:8080","auto_promote":true}]}`,
		`{"promote":[3],"remove":[1,2],"expected_config_index":7,"force":true}`,
		`{"update":[{"id":3,"address":"http://[::1]:7080","api_address":""}]}`,
		`{"remove":[1e0]}`, `{"Remove":[1]}`, `{"remove":[1],"remove":[2]}`, `{"remove":null}`, `{}`, "[]", "",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDirect(t)
		r, _ := request("POST", api.PathMembersChange, "", body)
		w := d.do(t, r)
		if (w.Code == 200) != (len(d.node.changes) == 1) {
			t.Fatalf("%q: answered with %d, and the node was asked for %+v", body, w.Code, d.node.changes)
		}
		if w.Code != 200 {
			return
		}
		var want api.MemberChange
		if err := json.Unmarshal(body, &want); err != nil || !reflect.DeepEqual(d.node.changes[0], want) {
			t.Fatalf("%q: the node was asked for %+v, want %+v (%v)", body, d.node.changes[0], want, err)
		}
		if err := checkChange(&want); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
	})
}
