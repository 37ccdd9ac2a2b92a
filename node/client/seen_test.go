package client

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// A leader that was deposed may have a configuration that was never committed; what its successor has counts. (T24)
func TestWhichConfigurationCounts(t *testing.T) {
	t.Parallel()
	leaders := seenConfig{term: 5, index: 10, byLeader: true}
	followers := seenConfig{term: 5, index: 10}
	for _, c := range []struct {
		seen, later seenConfig
		replaces    bool
		what        string
	}{
		{seenConfig{}, seenConfig{term: 1, byLeader: true}, true, "the first one of a leader"},
		{seenConfig{}, seenConfig{term: 1}, false, "the first one of a follower, of the same index"},
		{leaders, seenConfig{5, 11, false}, true, "a newer one"},
		{leaders, seenConfig{5, 9, false}, false, "that of a follower that is behind"},
		{leaders, seenConfig{5, 9, true}, false, "a late answer of the same leader"},
		{leaders, seenConfig{6, 9, true}, true, "the next leader does not have the last one"},
		{leaders, seenConfig{6, 9, false}, false, "a follower of the next leader may be behind"},
		{leaders, seenConfig{4, 11, true}, false, "a leader that was deposed"},
		{followers, seenConfig{5, 9, true}, true, "a follower has one that its leader does not have"},
		{followers, seenConfig{5, 10, false}, false, "the same one"},
	} {
		if got := c.seen.isSupersededBy(c.later); got != c.replaces {
			t.Errorf("%s: %+v after %+v replaces it: %t, want %t", c.what, c.later, c.seen, got, c.replaces)
		}
	}
}

// forgottenIn returns how many endpoints and connections of former members a client still has.
func forgottenIn(c *Client) (count int) {
	for _, l := range c.lanes() {
		l.mu.Lock()
		for e := range l.slots {
			if e.forgotten.Load() {
				count++
			}
		}
		for _, conn := range l.connections {
			if conn.endpoint.forgotten.Load() {
				count++
			}
		}
		l.mu.Unlock()
	}
	return count
}

// A client that runs for years must not keep what it had of each member that there ever was.
func TestNothingIsKeptOfFormerMembers(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c, err := New(Config{Endpoints: cluster.URLs()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	await := func(what string, condition func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never came true: %s", what)
			}
		}
	}
	await("member 3 is read from", func() bool {
		if _, err := c.Get(t.Context(), "k", Consistency(api.Stale)); api.ErrorCode(err) != api.CodeNotFound {
			t.Fatal(err)
		}
		return len(cluster.Nodes[2].Batches()) > 0
	})
	if _, err := c.RemoveMember(t.Context(), 3, api.ChangeConditions{}); err != nil {
		t.Fatal(err)
	}
	await("the rest of member 3 is gone", func() bool { return forgottenIn(c) == 0 })
}
