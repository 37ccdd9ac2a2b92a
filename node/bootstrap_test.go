package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const mintedID = "9f0c-minted"

// vacant runs a test case with three nodes that were started to join, and have no identity yet.
func vacant(t *testing.T, story func(t *testing.T, c *cluster)) {
	t.Helper()
	inBubble(t, 0, func(t *testing.T, c *cluster) {
		c.adjust = func(id raft.NodeID, o *node.Options) {
			o.Join, o.ID, o.ClusterID, o.Members = true, 0, "", nil
			o.PeerAddress = memberAt(id).Address
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			c.members = append(c.members, memberAt(id))
			c.disks[id] = newDisk()
			c.start(id)
		}
		story(t, c)
	})
}

func memberAt(id raft.NodeID) identity.Member {
	return identity.Member{
		ID: id, Address: fmt.Sprintf("http://demo-%d.demo-peers.ns.svc.cluster.local.:7080", id-1),
		APIAddress: fmt.Sprintf("http://demo-%d.demo-peers.ns.svc.cluster.local.:8080", id-1),
	}
}

func (c *cluster) bootstrap(id raft.NodeID) error {
	return c.running[id].Bootstrap(context.Background(), mintedID, id, c.members)
}

func TestBootstrapMakesACluster(t *testing.T) { // O2
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		time.Sleep(5 * time.Second) // fake time: no node begins by itself
		var told []raft.NodeID
		for id := raft.NodeID(1); id <= 3; id++ {
			if s := c.running[id].Status(); s.LifeCycle != api.StateEmpty || s.ID != 0 || s.CurrentTerm != 0 {
				t.Fatalf("before it has an identity, node %d is %+v", id, s)
			}
			if err := c.bootstrap(id); err != nil {
				t.Fatal(err)
			}
			if s := c.running[id].Status(); s.LifeCycle != api.StateMember || s.ID != uint64(id) || s.ClusterID != mintedID {
				t.Fatalf("after it has an identity, node %d is %+v", id, s)
			}
			told = append(told, id)
		}
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		for _, id := range told {
			c.until("it has the value", func() bool { return c.value(id, "a") == "1" })
			if m := c.running[id].Observation().Membership().Members; len(m) != 3 || m[2].APIAddress != memberAt(3).APIAddress {
				t.Errorf("node %d has the members %+v", id, m)
			}
			observed := c.running[id].Observation().Observe(context.Background())
			if observed.ClusterID != mintedID || len(observed.Nodes) != 3 || observed.Health.State != api.Healthy {
				t.Errorf("node %d sees %+v", id, observed.Health)
			}
			events, _ := c.running[id].Observation().Events(0)
			if !slices.ContainsFunc(events, func(e api.ObservedEvent) bool { return e.Node == uint64(id) }) {
				t.Errorf("none of the events that node %d recorded is its own", id)
			}
		}
	})
}

func TestTheSameBootstrapMayComeAgain(t *testing.T) {
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		for range 2 {
			for id := raft.NodeID(1); id <= 3; id++ {
				if err := c.bootstrap(id); err != nil {
					t.Errorf("node %d: %v", id, err)
				}
			}
		}
		slices.Reverse(c.members) // the members are a set
		if err := c.bootstrap(2); err != nil {
			t.Errorf("with the members in another order: %v", err)
		}
		other := slices.Clone(c.members)
		other[0].APIAddress = "http://elsewhere:8080"
		for what, err := range map[string]error{
			"another cluster": c.running[1].Bootstrap(context.Background(), "other", 1, c.members),
			"fewer members":   c.running[2].Bootstrap(context.Background(), mintedID, 2, c.members[1:]),
			"another address": c.running[1].Bootstrap(context.Background(), mintedID, 1, other),
		} {
			if !errors.Is(err, node.ErrIdentityTaken) {
				t.Errorf("%s: %v, want ErrIdentityTaken", what, err)
			}
		}
	})
}

func TestOfTwoBootstrapsAtOnceOneIsTaken(t *testing.T) { // O3
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		clusters := []string{"one", "two", "one", "two"}
		errs := make([]error, len(clusters))
		var wait sync.WaitGroup
		for i, id := range clusters {
			wait.Go(func() { errs[i] = c.running[1].Bootstrap(context.Background(), id, 1, c.members) })
		}
		wait.Wait()
		got := c.running[1].Status().ClusterID
		for i, id := range clusters {
			if taken := errs[i] == nil; taken != (id == got) || (!taken && !errors.Is(errs[i], node.ErrIdentityTaken)) {
				t.Errorf("the node belongs to %s, and a bootstrap for %s gave %v", got, id, errs[i])
			}
		}
	})
}

func TestABootstrapIsDurableBeforeItIsAnswered(t *testing.T) { // T53
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		if err := c.bootstrap(1); err != nil {
			t.Fatal(err)
		}
		c.kill(1) // at once: it may never have booted
		r := c.start(1)
		if s := r.Status(); s.ID != 1 || s.ClusterID != mintedID || s.LifeCycle != api.StateMember {
			t.Errorf("it came back as %+v", s)
		}
		if err := c.bootstrap(1); err != nil {
			t.Errorf("the same bootstrap after the restart: %v", err)
		}

		c.disks[2].set(func(d *disk) { d.fail = errors.New("planted") })
		if err := c.bootstrap(2); err == nil {
			t.Error("a bootstrap that was not saved was answered as done")
		}
		<-c.running[2].ended
		if s := c.running[2].Status(); s.LifeCycle != api.StateEmpty || c.running[2].err == nil {
			t.Errorf("a node whose disk failed is %s, and ended with %v", s.LifeCycle, c.running[2].err)
		}
		if err := c.bootstrap(2); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("a node that ended answers %v, want ErrNotReady", err)
		}
	})
}

func TestAnIdentityThatNobodyCanHaveIsRefused(t *testing.T) {
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		for what, b := range map[string]struct {
			cluster string
			id      raft.NodeID
			change  func(m []identity.Member) []identity.Member
			says    string
		}{
			"no cluster id": {"", 1, nil, "cluster id is missing"},
			"spaces in it":  {"a b\r\n", 1, nil, "letters"},
			"a long one":    {strings.Repeat("x", 129), 1, nil, "at most 128"},
			"no id":         {mintedID, 0, nil, "not among the members"},
			"not a member":  {mintedID, 4, nil, "not among the members"},
			"no members":    {mintedID, 1, func([]identity.Member) []identity.Member { return nil }, "not among the members"},
			"another pod":   {mintedID, 2, nil, "this node's own address is " + memberAt(1).Address},
			"an id twice":   {mintedID, 1, alter(func(m *identity.Member) { m.ID = 1 }), "listed twice"},
			"member 0":      {mintedID, 1, alter(func(m *identity.Member) { m.ID = 0 }), "id 0 is not allowed"},
			"an address twice": {mintedID, 1, alter(func(m *identity.Member) {
				m.Address = memberAt(1).Address
			}), "same address"},
			"a slash more": {
				mintedID, 1, alter(func(m *identity.Member) { m.Address = memberAt(1).Address + "/" }), "same address",
			},
			"a capital letter": {
				mintedID, 1, alter(func(m *identity.Member) {
					m.Address = strings.Replace(memberAt(1).Address, "demo", "Demo", 1)
				}), "same address",
			},
			"no such port": {
				mintedID, 1, alter(func(m *identity.Member) { m.Address = "http://h:70800" }), "http://host:7080",
			},
			"port 0":            {mintedID, 1, alter(func(m *identity.Member) { m.Address = "http://h:0" }), "http://host:7080"},
			"host not ASCII":    {mintedID, 1, alter(func(m *identity.Member) { m.Address = "http://é:1" }), "http://host:7080"},
			"no URL":            {mintedID, 1, alter(func(m *identity.Member) { m.Address = "host:7080" }), "http://host:7080"},
			"a path behind it":  {mintedID, 1, alter(func(m *identity.Member) { m.Address += "/x" }), "http://host:7080"},
			"no URL of the API": {mintedID, 1, alter(func(m *identity.Member) { m.APIAddress = "%" }), "http://host:8080"},
		} {
			members := slices.Clone(c.members)
			if b.change != nil {
				members = b.change(members)
			}
			err := c.running[1].Bootstrap(context.Background(), b.cluster, b.id, members)
			if !errors.Is(err, node.ErrBadIdentity) || !strings.Contains(err.Error(), b.says) {
				t.Errorf("%s: %v, want ErrBadIdentity with %q", what, err, b.says)
			}
		}
		if s := c.running[1].Status(); s.LifeCycle != api.StateEmpty {
			t.Errorf("it became %+v", s)
		}
	})
}

// alter changes the last member.
func alter(change func(m *identity.Member)) func([]identity.Member) []identity.Member {
	return func(members []identity.Member) []identity.Member {
		change(&members[len(members)-1])
		return members
	}
}

func TestAStaticNodeIsNotBootstrapped(t *testing.T) { // O3
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		c.leader()
		if err := c.bootstrap(1); !errors.Is(err, node.ErrIdentityTaken) {
			t.Errorf("got %v, want ErrIdentityTaken", err)
		}
	})
}

func TestABootstrapEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		options := c.options(1)
		options.Storage = newDisk()
		n, err := node.New(options) // and never runs
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := n.Bootstrap(ctx, mintedID, 1, c.members); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// A caller that learns that nothing came of its bootstrap must not find a node that carried it out later.
func TestABootstrapThatWasGivenUpIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		c.kill(1)
		options := c.options(1)
		n, err := node.New(options)
		if err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithCancel(context.Background())
		leave()
		if err := n.Bootstrap(gone, "given-up", 1, c.members); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want the caller's end", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		synctest.Wait()
		if s := n.Status(); s.LifeCycle != api.StateEmpty {
			t.Errorf("it became a member of %s", s.ClusterID)
		}
		if err := n.Bootstrap(context.Background(), mintedID, 1, c.members); err != nil {
			t.Errorf("and the next bootstrap: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestALoopThatHangsIsSeen(t *testing.T) { // O23
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		victim := c.followers()[0]
		if c.running[victim].Stalled() {
			t.Fatal("a loop that works has stalled")
		}
		resume := make(chan struct{})
		c.running[victim].Pause(resume)
		time.Sleep(20 * time.Second) // fake time: StallLimit, when a disk would have been given up
		if c.running[victim].Stalled() {
			t.Error("it has stalled before the disk's watchdog would have looked")
		}
		time.Sleep(15 * time.Second) // fake time
		if !c.running[victim].Stalled() {
			t.Error("the watchdog did not notice that the loop hangs")
		}
		close(resume)
		c.until("it runs again", func() bool { return !c.running[victim].Stalled() })
		select {
		case err := <-c.fatal:
			t.Errorf("the process was ended, though no save hung: %v", err)
		default:
		}
	})
}

func TestANodeThatWaitsForAnIdentityHasNotStalled(t *testing.T) { // O23
	t.Parallel()
	vacant(t, func(t *testing.T, c *cluster) {
		time.Sleep(time.Hour) // fake time
		if c.running[1].Stalled() {
			t.Error("a node without a loop has stalled")
		}
		if err := c.bootstrap(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // fake time: it calls for others without a result, and runs
		if c.running[1].Stalled() {
			t.Error("a node without a quorum has stalled")
		}
	})
}

func TestANodeWithoutAQuorumKnowsNoLeader(t *testing.T) { // O22
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, cut := c.leader(), c.followers()[0]
		c.lan.split([]raft.NodeID{cut})
		time.Sleep(3 * node.DefaultElectionTimeout) // fake time: the longest election timeout, and one more
		if s := c.running[cut].Status(); s.LeaderID != 0 {
			t.Errorf("a follower that was cut off still follows node %d", s.LeaderID)
		}
		if s := c.running[leader].Status(); s.LeaderID != uint64(leader) {
			t.Errorf("the leader of the majority thinks that node %d leads", s.LeaderID)
		}
		c.lan.split([]raft.NodeID{1}, []raft.NodeID{2}, []raft.NodeID{3})
		time.Sleep(5 * node.DefaultElectionTimeout) // fake time
		for id, r := range c.running {
			if s := r.Status(); s.LeaderID != 0 {
				t.Errorf("alone, node %d still thinks that node %d leads", id, s.LeaderID)
			}
		}
	})
}

func TestALeaderWhoseDiskHangsIsOutOfContact(t *testing.T) { // O22
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		time.Sleep(10 * time.Second) // fake time
		if s := c.running[leader].Status(); s.LastContactMs != 0 {
			t.Fatalf("a leader that works is %d ms out of contact", s.LastContactMs)
		}
		hang := make(chan struct{})
		c.disks[leader].set(func(d *disk) { d.hang = hang })
		n := c.running[leader]
		c.lan.sent.Go(func() { n.Propose(context.Background(), [][]byte{[]byte(`{"op":"set","key":"a","value":1}`)}) })
		time.Sleep(6 * time.Second) // fake time
		if s := c.running[leader].Status(); s.LastContactMs < 5000 {
			t.Errorf("it hangs for 6 s, and reports that it had contact %d ms ago", s.LastContactMs)
		}
		close(hang)
	})
}
