package rest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const bootstrapBody = `{"cluster_id":"c1","node_id":2,"members":[
	{"id":1,"address":"http://h1:7080","api_address":"http://h1:8080","role":"voter"},
	{"id":2,"address":"http://h2:7080","api_address":"http://h2:8080","role":"voter"}]}`

func TestBootstrapAnswersWithTheView(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.status.LifeCycle, n.status.ID = api.StateEmpty, 0 })
	view := decode[api.ClusterView](t, a.want(200, "POST", "/api/v1/cluster/bootstrap", bootstrapBody).body)
	if view.State != api.StateMember || view.ClusterID != "c1" || view.NodeID != 2 ||
		!slices.Equal(view.SeenMembers, []uint64{1, 2}) {
		t.Errorf("view is %+v", view)
	}
	want := []identity.Member{
		{ID: 1, Address: "http://h1:7080", APIAddress: "http://h1:8080"},
		{ID: 2, Address: "http://h2:7080", APIAddress: "http://h2:8080"},
	}
	if !slices.Equal(a.node.bootstrapped, want) {
		t.Errorf("the node was bootstrapped as %+v", a.node.bootstrapped)
	}
}

func manyFields() string {
	var text strings.Builder
	text.WriteString("{")
	for i := range 50 {
		fmt.Fprintf(&text, "%q:1,", strings.Repeat("a", i))
	}
	return text.String() + `"b":1}`
}

func TestBootstrapRefusals(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		body   string
		err    error
		status int
		says   string
	}{
		"no JSON": {"hello", nil, 400, "the body must be like"},
		"nothing": {"", nil, 400, "the body must be like"},
		"cluster id twice": {
			strings.Replace(bootstrapBody, `{`, `{"cluster_id":"c0",`, 1), nil, 400, `\"cluster_id\" comes twice`,
		},
		"address twice": {
			strings.Replace(bootstrapBody, `"role"`, `"address":"http://h9:7080","role"`, 1), nil, 400,
			`\"address\" comes twice`,
		},
		"another case":    {strings.Replace(bootstrapBody, `cluster_id`, `Cluster_ID`, 1), nil, 400, `unknown field`},
		"a folded letter": {strings.Replace(bootstrapBody, `members`, "member\u017f", 1), nil, 400, `unknown field`},
		"null":            {strings.Replace(bootstrapBody, `"c1"`, `null`, 1), nil, 400, `must not be null`},
		"no UTF-8":        {strings.Replace(bootstrapBody, `c1`, "c\xff", 1), nil, 400, `UTF-8`},
		"nested deeply":   {`{"members":` + strings.Repeat("[", 5000), nil, 400, `nested`},
		"many fields":     {manyFields(), nil, 400, `too many fields`},
		"id 0":            {strings.Replace(bootstrapBody, `"id":1`, `"id":0`, 1), nil, 400, `a member has no id`},
		"id twice":        {strings.Replace(bootstrapBody, `"id":1`, `"id":2`, 1), nil, 400, `:"member 2 is listed twice"`},
		"not a member":    {strings.Replace(bootstrapBody, `"node_id":2`, `"node_id":9`, 1), nil, 400, `is 9, which is not`},
		"unknown field":   {`{"cluster":"c1"}`, nil, 400, `unknown field`},
		"something more":  {bootstrapBody + "{}", nil, 400, "nothing behind it"},
		"a learner":       {strings.Replace(bootstrapBody, "voter", "learner", 1), nil, 400, `member 1 has the role`},
		"no role":         {strings.Replace(bootstrapBody, `,"role":"voter"`, "", 1), nil, 400, `member 1 has the role`},
		"too long":        {bootstrapBody + strings.Repeat(" ", maxBootstrapBytes), nil, 413, `"limit":65536`},
		"cannot be right": {bootstrapBody, fmt.Errorf("%w: id 0", node.ErrBadIdentity), 400, "id 0"},
		"is another":      {bootstrapBody, fmt.Errorf("%w: it is node 7", node.ErrIdentityTaken), 409, "it is node 7"},
		"is stopping":     {bootstrapBody, node.ErrNotReady, 503, "not_ready"},
		"the disk failed": {bootstrapBody, errors.New("secret of the inside"), 500, `"code":"internal"`},
	} {
		a := serve(t, func(n *fakeNode, _ *Options) { n.bootstrapErr = c.err })
		got := a.want(c.status, "POST", "/api/v1/cluster/bootstrap", c.body)
		if !strings.Contains(got.body, c.says) || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %s", what, got.body)
		}
		if a.node.bootstrapped != nil {
			t.Errorf("%s: the node was bootstrapped", what)
		}
	}
}

// The page of an empty node asks for the status of a cluster that has no members.
func TestAnEmptyNodeAnswersEverything(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.status = api.Status{LifeCycle: api.StateEmpty, State: raft.Follower.String(), LastContactMs: -1}
		n.config = api.Membership{}
	})
	view := decode[api.ClusterView](t, a.want(200, "GET", "/api/v1/cluster", "").body)
	if view.State != api.StateEmpty || view.NodeID != 0 || view.Ready || view.SeenMembers == nil {
		t.Errorf("view is %+v", view)
	}
	a.want(200, "GET", "/livez", "")
	a.want(200, "GET", "/startupz", "")
	a.want(503, "GET", "/readyz", "")
}
