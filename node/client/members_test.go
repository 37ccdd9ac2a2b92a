package client_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// spare is a cluster of so many members, and of nodes that wait to be added.
func spare(t *testing.T, members, nodes int) *clienttest.Cluster {
	t.Helper()
	cluster := clienttest.New(t, nodes)
	var ids []uint64
	for _, n := range cluster.Nodes[:members] {
		ids = append(ids, n.ID)
	}
	cluster.SetMembers(ids...)
	return cluster
}

// adding returns the request that adds a node.
func adding(n *clienttest.Node) api.AddMemberRequest {
	return api.AddMemberRequest{Address: n.URL, APIAddress: n.URL}
}

func TestEveryChangeOfTheMembers(t *testing.T) {
	t.Parallel()
	cluster := spare(t, 3, 5)
	c, ctx := connect(t, client.Config{Endpoints: cluster.URLs()[1:2]}), t.Context()
	added, err := c.AddMember(ctx, adding(cluster.Nodes[3]))
	if err != nil || !slices.Equal(added.Added, []uint64{4}) || len(added.Config.Members) != 4 {
		t.Fatalf("added: %+v, %v", added, err)
	}
	cluster.SetProgress(4, 0, api.Progress{State: "replicate"})
	view, err := c.Members(ctx)
	if err != nil || view.Index != added.Config.Index || view.LeaderID != 1 || view.Progress[4].State != "replicate" {
		t.Fatalf("listed: %+v, %v", view, err)
	}
	_, err = c.PromoteMember(ctx, 4, api.ChangeConditions{})
	if e := wantCode(t, err, api.CodeConflict); e.Config == nil || e.Config.Index != view.Index {
		t.Errorf("the refusal has the configuration %+v", e.Config)
	}
	cluster.SetProgress(4, 0, api.Progress{State: "replicate", CaughtUp: true}) // so the leader promotes it
	no := false
	second := adding(cluster.Nodes[4])
	second.AutoPromote = &no
	if _, err := c.AddMember(ctx, second); err != nil {
		t.Fatal(err)
	}
	cluster.SetProgress(5, 0, api.Progress{State: "replicate", CaughtUp: true})
	if _, err := c.PromoteMember(ctx, 5, api.ChangeConditions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateMember(ctx, 2, api.UpdateMemberRequest{Address: "http://h2:7081"}); err != nil {
		t.Fatal(err)
	}
	old := view.Index
	_, err = c.RemoveMember(ctx, 1, api.ChangeConditions{ExpectedConfigIndex: &old})
	if e := wantCode(t, err, api.CodeConflict); e.Config == nil || e.Config.Index <= old { // T24
		t.Errorf("the refusal has the configuration %+v", e.Config)
	}
	if _, err := c.RemoveMember(ctx, 1, api.ChangeConditions{ExpectedConfigIndex: &old, Force: true}); err == nil {
		t.Error("force overrides the expected configuration")
	}
	removed, err := c.RemoveMember(ctx, 1, api.ChangeConditions{Force: true})
	if err != nil || len(removed.Config.Members) != 4 {
		t.Fatalf("removed: %+v, %v", removed, err)
	}
	last, err := c.ChangeMembers(ctx, api.MemberChange{
		ExpectedConfigIndex: &removed.Config.Index, Remove: []uint64{2, 3}, Add: []api.NewMember{{Address: "http://h6:7080"}},
	})
	if err != nil || !slices.Equal(last.Added, []uint64{6}) || len(last.Config.Members) != 3 {
		t.Fatalf("changed: %+v, %v", last, err)
	}
	wantChanges(t, cluster, []api.MemberChange{
		adding(cluster.Nodes[3]).Change(), second.Change(),
		{Promote: []uint64{5}, Force: true},
		api.UpdateMemberRequest{Address: "http://h2:7081"}.Change(2),
		{Remove: []uint64{1}, Force: true},
		{
			ExpectedConfigIndex: &removed.Config.Index, Remove: []uint64{2, 3},
			Add: []api.NewMember{{Address: "http://h6:7080"}},
		},
	})
}

func wantChanges(t *testing.T, cluster *clienttest.Cluster, want []api.MemberChange) {
	t.Helper()
	if got := cluster.Changes(); !reflect.DeepEqual(got, want) {
		t.Errorf("the cluster did\n%+v, want\n%+v", got, want)
	}
}

// T49: a change that may have been done is not sent again, and one that was not done is.
func TestAChangeOfTheMembersIsDoneOnce(t *testing.T) {
	t.Parallel()
	cluster := spare(t, 3, 4)
	var refusals, sent atomic.Int32
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathMembers || r.Method != http.MethodPost {
			return false
		}
		refusals.Add(1)
		clienttest.Fail(w, &api.Error{Code: api.CodeNoLeader, Message: "an election is running"})
		return true
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs()[:3]})
	if _, err := c.AddMember(t.Context(), adding(cluster.Nodes[3])); err != nil {
		t.Fatal(err)
	}
	if changes := cluster.Changes(); len(changes) != 1 || refusals.Load() == 0 {
		t.Errorf("after %d refusals the cluster did %+v", refusals.Load(), changes)
	}
	for _, n := range cluster.Nodes[:3] {
		n.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodDelete {
				return false
			}
			sent.Add(1)
			clienttest.Cut(w)
			return true
		})
	}
	_, err := c.RemoveMember(t.Context(), 4, api.ChangeConditions{})
	wantCode(t, err, api.CodeOutcomeUnknown)
	if sent.Load() != 1 {
		t.Errorf("a removal of unknown outcome was sent %d times", sent.Load())
	}
}

// endpoints returns those that the client has: configured or learned.
func endpoints(t *testing.T, c *client.Client) []string {
	t.Helper()
	var urls []string
	for _, o := range c.Observe(t.Context()) {
		urls = append(urls, o.Endpoint)
	}
	slices.Sort(urls)
	return urls
}

func sorted(urls ...string) []string {
	return slices.Sorted(slices.Values(urls))
}

// Every node of a cluster may be replaced while a client runs: it goes on with those that were added, whatever it was
// configured with.
func TestTheClientFollowsTheMembers(t *testing.T) {
	t.Parallel()
	cluster := spare(t, 3, 6)
	urls := cluster.URLs()
	c, ctx := connect(t, client.Config{Endpoints: urls[:1]}), t.Context()
	other := connect(t, client.Config{Endpoints: urls[:1]})
	put := func(key string) {
		t.Helper()
		if _, err := c.Put(ctx, key, nil); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	put("before")
	eventually(t, "the members are known", func() bool {
		return slices.Equal(endpoints(t, c), sorted(urls[0], urls[1], urls[2]))
	})
	for i := range 3 {
		added, err := other.AddMember(ctx, adding(cluster.Nodes[3+i]))
		if err != nil {
			t.Fatal(err)
		}
		cluster.SetProgress(added.Added[0], 0, api.Progress{CaughtUp: true})
		if _, err := other.RemoveMember(ctx, uint64(i)+1, api.ChangeConditions{}); err != nil {
			t.Fatal(err)
		}
		put("meanwhile") // the leader moves to the next member, and then to one that was added
	}
	for _, n := range cluster.Nodes[:3] {
		n.Kill()
	}
	put("afterwards")
	// A client asks who the members are when it has a reason to: these reads reach a node that is gone.
	eventually(t, "the former members are forgotten, except the one that was configured", func() bool {
		if _, err := c.Get(ctx, "before", client.Consistency(api.Stale)); err != nil {
			t.Fatal(err)
		}
		return slices.Equal(endpoints(t, c), sorted(urls[0], urls[3], urls[4], urls[5]))
	})
	eventually(t, "and so they are where the changes were made", func() bool {
		return slices.Equal(endpoints(t, other), sorted(urls[0], urls[3], urls[4], urls[5]))
	})
}

// A removed node is asked last, also if it was configured: it refuses everything, for as long as the client runs.
func TestARemovedNodeIsAvoided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		c, ctx := connect(t, client.Config{Endpoints: w.URLs(), DialContext: w.dial}), t.Context()
		if _, err := c.RemoveMember(ctx, 3, api.ChangeConditions{}); err != nil {
			t.Fatal(err)
		}
		read := func() int {
			for range 100 {
				if _, err := c.Get(ctx, "k", client.Consistency(api.Stale)); api.ErrorCode(err) != api.CodeNotFound {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			return len(w.Nodes[2].Batches())
		}
		if before, after := read(), read(); after > before {
			t.Errorf("it got %d reads, and %d more later", before, after-before)
		}
	})
}

// An address that another member gets is that member's from then on: its node is not forgotten.
func TestANodeWithALostDiskKeepsItsEndpoint(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	urls := cluster.URLs()
	c, ctx := connect(t, client.Config{Endpoints: urls[:1]}), t.Context()
	eventually(t, "the members are known", func() bool { return len(endpoints(t, c)) == 3 })
	again := adding(cluster.Nodes[1]).Change()
	again.Remove = []uint64{2}
	changed, err := c.ChangeMembers(ctx, api.MemberChange{Remove: []uint64{2}})
	if err != nil {
		t.Fatal(err)
	}
	if got := endpoints(t, c); !slices.Equal(got, sorted(urls[0], urls[2])) {
		t.Errorf("the endpoints are %v", got)
	}
	if _, err := c.AddMember(ctx, adding(cluster.Nodes[1])); err != nil {
		t.Fatal(err)
	}
	if got := endpoints(t, c); !slices.Equal(got, sorted(urls...)) {
		t.Errorf("the endpoints are %v after configuration %d", got, changed.Config.Index)
	}
	again.Remove = []uint64{4}
	if _, err := c.ChangeMembers(ctx, again); err != nil {
		t.Fatal(err)
	}
	if got := endpoints(t, c); !slices.Equal(got, sorted(urls...)) {
		t.Errorf("the endpoints are %v after a replacement at the same address", got)
	}
	moved := api.UpdateMemberRequest{Address: urls[2], APIAddress: strings.Replace(urls[2], "127.0.0.1", "localhost", 1)}
	if _, err := c.UpdateMember(ctx, 3, moved); err != nil {
		t.Fatal(err)
	}
	if got := endpoints(t, c); !slices.Equal(got, sorted(urls[0], urls[1], moved.APIAddress)) {
		t.Errorf("the endpoints are %v after a member moved", got)
	}
}

func TestMembersOfNoCluster(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Elect(0)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err := c.RemoveMember(ctx, 1, api.ChangeConditions{})
	wantCode(t, err, api.CodeUnreachable)
	soon, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	_, err = c.Members(soon)
	wantCode(t, err, api.CodeNoLeader)
	view, err := c.Members(t.Context(), client.Consistency(api.Stale))
	if err != nil || view.LeaderID != 0 || len(view.Members) != 1 {
		t.Errorf("without a leader the members are %+v, %v", view, err)
	}
}
