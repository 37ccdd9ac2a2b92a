package observation

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A member that does not answer is shown as it was last seen, with its age and the error, and does not count. What
// changes is an event, but not that a member was never seen.
func TestAMemberThatFailsIsShownAsItWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		o := observationOf(peers{}, func(c *Config) {
			c.Ask = func(_ context.Context, peer raft.NodeID) (api.Status, []api.Event, error) {
				if fails.Load() || peer == 3 {
					return api.Status{}, nil, errors.New("failed")
				}
				s := member(peer, func(s *reported) { s.State, s.CommitIndex = "LEADER", 7 }).Status
				return s, nil, nil
			}
		})
		check := func(what string, healthy bool, age int64, leader uint64, events int) {
			t.Helper()
			c := o.Observe(t.Context())
			s, never := c.Nodes[1], c.Nodes[2]
			if s.Healthy != healthy || (s.Error == "") != healthy || s.AgeMs != age || s.CommitIndex != 7 ||
				c.LeaderID != leader {
				t.Errorf("%s: the leader is %d, and node 2 is %+v", what, c.LeaderID, s)
			}
			if never.ID != 3 || never.Healthy || never.AgeMs != -1 || never.SeenMembers == nil || never.Address == "" {
				t.Errorf("%s: node 3 is %+v", what, never)
			}
			if got, _ := o.Events(0); len(got) != events {
				t.Errorf("%s: %d events, want %d", what, len(got), events)
			}
		}
		time.Sleep(observeEvery) // fake time
		check("it answers", true, 0, 2, 0)
		fails.Store(true)
		time.Sleep(observeEvery - 1)
		check("soon after, it is not asked again", true, observeEvery.Milliseconds()-1, 2, 0)
		time.Sleep(time.Nanosecond)
		check("it fails", false, observeEvery.Milliseconds(), 0, 1)
		time.Sleep(observeEvery)
		check("it fails again", false, 2*observeEvery.Milliseconds(), 0, 1)
		fails.Store(false)
		time.Sleep(observeEvery)
		check("it answers again", true, 0, 2, 2)
		events, _ := o.Events(0)
		if e := events[0]; e.Kind != api.EventPeer || e.To != 2 || e.Granted || e.Reason != "failed" || e.Term != 3 {
			t.Errorf("the first event is %+v", e.Event)
		}
		if e := events[1]; e.Kind != api.EventPeer || e.To != 2 || !e.Granted || e.Reason != "" {
			t.Errorf("the second event is %+v", e.Event)
		}
	})
}

// However many callers there are, and however long a member takes: it is asked once, and not waited for longer than the
// timeout.
func TestMembersAreAskedOnceForAllCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		o := observationOf(peers{}, func(c *Config) {
			c.Ask = func(ctx context.Context, _ raft.NodeID) (api.Status, []api.Event, error) {
				asked.Add(1)
				<-ctx.Done()
				return api.Status{}, nil, ctx.Err()
			}
		})
		time.Sleep(observeEvery) // fake time
		began, took := time.Now(), make(chan time.Duration)
		for range 10 {
			go func() {
				o.Observe(t.Context())
				took <- time.Since(began)
			}()
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if o.Observe(gone); time.Since(began) > 0 {
			t.Errorf("a caller that is gone waits for %v", time.Since(began))
		}
		for range 10 {
			if d := <-took; d != observeTimeout {
				t.Errorf("a caller waited for %v, want %v", d, observeTimeout)
			}
		}
		o.Observe(t.Context())
		if got := asked.Load(); got != 2 {
			t.Errorf("the two other members were asked %d times", got)
		}
	})
}

// The configuration comes before what a member reports, and this node's own address before both.
func TestTheAPIAddressesOfTheMembers(t *testing.T) {
	t.Parallel()
	o := observationOf(peers{}, func(c *Config) {
		members := c.Members()
		members[0].APIAddress = "http://h1:9999"
		c.APIAddress = "http://h1:8080"
		c.Members = func() []identity.Member { return members }
	})
	o.last[2] = reportedStatus{status: api.Status{APIAddress: "http://h2:8080"}}
	o.last[3] = reportedStatus{status: api.Status{APIAddress: "http://h3:9999"}}
	for i, want := range []string{"http://h1:8080", "http://h2:8080", "http://h3:8080"} {
		if got := o.Membership().Members[i].APIAddress; got != want {
			t.Errorf("node %d is at %s, want %s", i+1, got, want)
		}
	}
}
