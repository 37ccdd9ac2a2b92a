package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// The next step follows from the members alone, so that a replacement goes on wherever it was interrupted.
func TestTheNextStepOfAReplacement(t *testing.T) {
	t.Parallel()
	const voter, learner = api.RoleVoter, api.RoleLearner
	member := func(id uint64, role string) api.ConfigMember {
		return api.ConfigMember{ID: id, Address: fmt.Sprintf("http://h%d:1", id), APIAddress: "http://api", Role: role}
	}
	at := func(m api.ConfigMember, address string) api.ConfigMember { m.Address = address; return m }
	auto := func(m api.ConfigMember) api.ConfigMember { m.AutoPromote = true; return m }
	one, two, three := member(1, voter), member(2, voter), member(3, voter)
	caughtUp, behind := &api.LearnerProgress{State: "replicate", CaughtUp: true}, &api.LearnerProgress{Lag: 1234}
	for _, c := range []struct {
		what     string
		with     string // URL of the new node
		members  []api.ConfigMember
		progress *api.LearnerProgress // of node 4
		want     string               // of the change, or what is waited for
	}{
		{"a new node", "http://h4:1", []api.ConfigMember{one, two, three}, nil, "add{4 http://h4:1}"},
		{
			"it is behind", "http://h4:1",
			[]api.ConfigMember{one, two, three, member(4, learner)},
			behind,
			"1,234 entries behind",
		},
		{"unknown progress", "http://h4:1", []api.ConfigMember{one, two, three, member(4, learner)}, nil, "not known"},
		{
			"it has caught up", "http://h4:1",
			[]api.ConfigMember{one, two, three, member(4, learner)},
			caughtUp,
			"promote[4] remove[2]",
		},
		{
			"the URL in another form", "http://H4:1/",
			[]api.ConfigMember{one, two, three, member(4, learner)},
			caughtUp,
			"promote[4] remove[2]",
		},
		{
			"a joint configuration", "http://h4:1",
			[]api.ConfigMember{one, member(2, api.RoleLeaving), three, member(4, voter)},
			nil, "joint",
		},
		{
			"it is not committed", "http://h4:1",
			[]api.ConfigMember{one, three, member(4, voter)},
			nil, "is committed",
		},
		{"it is done", "http://h4:1", []api.ConfigMember{one, three, member(4, voter)}, nil, "done"},
		{
			"the new node is a voter, and the old one too", "http://h4:1",
			[]api.ConfigMember{one, two, three, member(4, voter)},
			nil, "raftctl member remove 2",
		},
		{"another member, by mistake", "http://h3:1", []api.ConfigMember{one, two, three}, nil, "raftctl member remove 2"},
		{"a node that never was a member", "http://h1:1", []api.ConfigMember{one, three}, nil, "node 2 is not a member"},
		{"nor is the new one", "http://h4:1", []api.ConfigMember{one, three}, nil, "node 2 is not a member"},
		{
			"the old one is a learner", "http://h4:1",
			[]api.ConfigMember{one, member(2, learner), member(4, learner)},
			behind,
			"remove[2]",
		},
		{
			"its disk was lost", "http://h2:1",
			[]api.ConfigMember{one, two, three},
			nil, "add{0 http://h2:1 http://api auto} remove[2]",
		},
		{
			"it was a learner, and its disk was lost", "http://h2:1",
			[]api.ConfigMember{one, member(2, learner), three},
			nil, "add{0 http://h2:1 http://api} remove[2]",
		},
		{
			"it was added again, and is behind", "http://h2:1",
			[]api.ConfigMember{one, three, auto(at(member(4, learner), "http://h2:1"))},
			behind, "1,234 entries behind",
		},
		{
			"it has caught up; the leader promotes it", "http://h2:1",
			[]api.ConfigMember{one, three, auto(at(member(4, learner), "http://h2:1"))},
			caughtUp, "caught up",
		},
		{
			"it has caught up; the leader does not", "http://h2:1",
			[]api.ConfigMember{one, three, at(member(4, learner), "http://h2:1")},
			caughtUp, "promote[4]",
		},
		{"it is a voter", "http://h2:1", []api.ConfigMember{one, three, at(member(4, voter), "http://h2:1")}, nil, "done"},
	} {
		view := api.MembersView{Membership: api.Membership{Index: 7, CommittedIndex: 7, Members: c.members}}
		switch c.what {
		case "a joint configuration":
			view.Outgoing = []uint64{1, 2, 3}
		case "it is not committed":
			view.CommittedIndex = 5
		}
		if c.progress != nil {
			view.Progress = map[uint64]api.LearnerProgress{4: *c.progress}
		}
		r := &replacement{old: 2, url: c.with, force: true}
		if got := described(t, r, &view); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// described returns the next step as text: the change, or what is waited for.
func described(t *testing.T, r *replacement, view *api.MembersView) string {
	t.Helper()
	step, err := r.next(view)
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.message + " " + strings.Join(f.hints, " ")
	case step.done:
		return "done"
	case step.change == nil:
		return step.says
	}
	if *step.change.ExpectedConfigIndex != view.Index || !step.change.Force { // T24
		t.Errorf("the change has other conditions: %+v", step.change)
	}
	var text []string
	for _, m := range step.change.Add {
		words := strings.TrimSuffix(m.Address+" "+m.APIAddress, " ")
		if m.AutoPromote {
			words += " auto"
		}
		text = append(text, fmt.Sprintf("add{%d %s}", m.ID, words))
	}
	if len(step.change.Promote) > 0 {
		text = append(text, fmt.Sprint("promote", step.change.Promote))
	}
	if len(step.change.Remove) > 0 {
		text = append(text, fmt.Sprint("remove", step.change.Remove))
	}
	return strings.Replace(strings.Join(text, " "), "add{0 http://h4:1}", "add{4 http://h4:1}", 1)
}

// eachLook calls f with how often the members were looked at since the first change, from 1 on.
func eachLook(cluster *clienttest.Cluster, f func(look int)) {
	looks := 0
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathMembers && r.Method == http.MethodGet && len(cluster.Changes()) > 0 {
			looks++
			f(looks)
		}
		return false
	})
}

func removals(cluster *clienttest.Cluster) (all []string) {
	for _, c := range cluster.Changes() {
		all = append(all, fmt.Sprintf("add %d promote %v remove %v", len(c.Add), c.Promote, c.Remove))
	}
	return all
}

func TestAMemberIsReplaced(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 1)
	u4 := cluster.Nodes[3].URL
	eachLook(cluster, func(look int) {
		cluster.SetProgress(4, 0, api.Progress{State: "snapshot", CaughtUp: look == 3})
	})
	r := members(t, cluster, "member replace 2 --with "+u4+" --api-url "+u4)
	_, after, _ := strings.Cut(lines(cluster, r.stdout), "after: ")
	const want = "configuration 2\nID ROLE ADDRESS API PROGRESS\n* 1 voter u1 u1\n3 voter u3 u3\n4 voter u4 u4"
	if r.code != 0 || after != want || !strings.HasPrefix(r.stdout, "before: configuration 0\n") {
		t.Errorf("exit code %d %s\n%s\nwant\n%s", r.code, r.stderr, after, want)
	}
	for _, line := range []string{
		"adds the node at " + u4 + " as a learner\n", "makes node 4 a voter, and removes member 2\n",
		"node 4 has replaced member 2\n",
	} {
		if !strings.Contains(r.stderr, line) {
			t.Errorf("stderr does not contain %q:\n%s", line, r.stderr)
		}
	}
	changes := []string{"add 1 promote [] remove []", "add 0 promote [4] remove [2]"}
	if got := removals(cluster); !reflect.DeepEqual(got, changes) {
		t.Errorf("the cluster did %q, want %q", got, changes)
	}
	members(t, cluster, "member replace 2 --with "+u4+" -o raw").want(t, 0, "2\n", "node 4 has replaced member 2")
}

// A node whose disk was lost is another member from then on, at the address of the old one. (T28)
func TestAMemberWithALostDiskTakesItsOwnPlace(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 0)
	u2 := cluster.Nodes[1].URL
	members(t, cluster, "member replace 2 --with "+u2).want(t, 4, "", "error: member 2 runs at "+u2+", and has its disk",
		"give the URL of another node")
	if changes := cluster.Changes(); len(changes) > 0 {
		t.Fatalf("the cluster did %+v", changes)
	}
	statuses, looks := 0, 0
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathStatus {
			if statuses++; statuses == 3 { // what the others saw of it before is reported twice
				cluster.Nodes[1].LoseDisk()
			}
		}
		if r.URL.Path == api.PathMembers && len(cluster.Changes()) > 0 {
			looks++
			cluster.SetProgress(4, 0, api.Progress{CaughtUp: looks == 3})
		}
		return false
	})
	members(t, cluster, "member replace 2 --with "+u2+" -o raw").want(t, 0, "4\n",
		"removes member 2, and adds the node at "+u2)
	want := []string{"add 1 promote [] remove [2]"}
	if got := removals(cluster); !reflect.DeepEqual(got, want) {
		t.Errorf("the cluster did %q, want %q", got, want)
	}
	_, rows, _ := strings.Cut(lines(cluster, members(t, cluster, "member list").stdout), "PROGRESS\n")
	if rows != "* 1 voter u1 u1\n3 voter u3 u3\n4 voter u2 u2" {
		t.Errorf("the members are\n%s", rows)
	}
}

func TestAnInterruptedReplacementGoesOn(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 1)
	u4 := cluster.Nodes[3].URL
	line := []string{"member", "replace", "2", "--with", u4}
	ctx, cancel := context.WithCancel(t.Context())
	eachLook(cluster, func(look int) {
		if look == 2 {
			cancel()
		}
	})
	env := map[string]string{"RAFTCTL_ENDPOINTS": cluster.Nodes[0].URL}
	r := raftctlIn(ctx, env, "", line...)
	r.want(t, exitInterrupted, "", "error: interrupted; node 4 at "+u4+": 0 entries behind",
		"go on: raftctl member replace 2 --with "+u4)
	members(t, cluster, strings.Join(line, " ")+" --timeout 50ms").want(t, exitFailed, "",
		"error: the replacement is not complete after 50ms", "go on: raftctl member replace 2")
	cluster.SetProgress(4, 0, api.Progress{CaughtUp: true})
	if r := members(t, cluster, strings.Join(line, " ")); r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	want := []string{"add 1 promote [] remove []", "add 0 promote [4] remove [2]"}
	if got := removals(cluster); !reflect.DeepEqual(got, want) {
		t.Errorf("the cluster did %q, want %q", got, want)
	}
}

// T49: a change of unknown outcome was done or not; the members show it, and none is done twice.
func TestAReplacementGoesOnAfterAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 1)
	u4, cuts := cluster.Nodes[3].URL, 0
	real := cluster.Nodes[1].Handler()
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if len(cluster.Changes()) > 0 {
			cluster.SetProgress(4, 0, api.Progress{CaughtUp: true})
		}
		if r.URL.Path != api.PathMembersChange || cuts == 3 {
			return false
		}
		if cuts++; cuts == 2 { // it is done, and the answer is lost
			real.ServeHTTP(discarded{}, r)
		}
		clienttest.Cut(w)
		return true
	})
	if r := members(t, cluster, "member replace 2 --with "+u4); r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	want := []string{"add 1 promote [] remove []", "add 0 promote [4] remove [2]"}
	if got := removals(cluster); !reflect.DeepEqual(got, want) || cuts != 3 {
		t.Errorf("the cluster did %q, want %q; %d requests were cut off", got, want, cuts)
	}
}

// discarded is where an answer goes that no client gets.
type discarded struct{}

func (discarded) Header() http.Header         { return http.Header{} }
func (discarded) Write(b []byte) (int, error) { return len(b), nil }
func (discarded) WriteHeader(int)             {}

func TestAReplacementThatIsRefusedEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		code int
		says []string
	}{
		{node.ErrChangeRefused, exitPrecondition, []string{"error: the members cannot be changed now", "--force"}},
		{node.ErrBadChange, exitUsage, []string{"error: the change does not fit the members", "members: 1, 2, 3"}},
	} {
		cluster := withSpares(t, 1)
		cluster.RefuseChanges(c.err)
		members(t, cluster, "member replace 2 --with "+cluster.Nodes[3].URL).want(t, c.code, "", c.says...)
		cluster.Nodes[1].LoseDisk()
		r := members(t, cluster, "member replace 2 --with "+cluster.Nodes[1].URL)
		if r.want(t, c.code, "", c.says...); strings.Contains(r.stderr, "raftctl member replace") {
			t.Errorf("the advice is the command itself: %s", r.stderr)
		}
	}
}

// A change by another person in between is no error: the members are looked at again.
func TestAReplacementDecidesAgainAfterAnotherChange(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 2)
	u4, moved := cluster.Nodes[3].URL, false
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathMembersChange && !moved {
			moved = true
			if r := members(t, cluster, "member remove 3 --endpoints "+cluster.Nodes[1].URL); r.code != 0 {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
		}
		if len(cluster.Changes()) > 1 {
			cluster.SetProgress(4, 0, api.Progress{CaughtUp: true})
		}
		return false
	})
	if r := members(t, cluster, "member replace 2 --with "+u4); r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	want := []string{
		"add 0 promote [] remove [3]", "add 1 promote [] remove []", "add 0 promote [4] remove [2]",
	}
	if got := removals(cluster); !reflect.DeepEqual(got, want) {
		t.Errorf("the cluster did %q, want %q", got, want)
	}
}
