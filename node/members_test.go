package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// added is a new member that is promoted by itself.
func added(place string) api.NewMember { return api.NewMember{Address: place, AutoPromote: true} }

// change changes the members through a node.
func (c *cluster) change(by raft.NodeID, change api.MemberChange) (api.MemberChangeResponse, error) {
	return c.running[by].ChangeMembers(context.Background(), change)
}

func (c *cluster) mustChange(by raft.NodeID, change api.MemberChange) api.MemberChangeResponse {
	c.t.Helper()
	response, err := c.change(by, change)
	if err != nil {
		c.t.Fatalf("%+v through node %d: %v", change, by, err)
	}
	return response
}

// roles returns the members as a node has them: "1 voter, 4 learner".
func (c *cluster) roles(id raft.NodeID) string {
	var parts []string
	for _, m := range c.running[id].Members().Members {
		parts = append(parts, fmt.Sprintf("%d %s", m.ID, m.Role))
	}
	return strings.Join(parts, ", ")
}

// voters is what roles returns for some voters.
func voters(ids ...raft.NodeID) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprintf("%d voter", id)
	}
	return strings.Join(parts, ", ")
}

// untilMembers waits until some nodes have the same members, all committed.
func (c *cluster) untilMembers(roles string, nodes ...raft.NodeID) {
	c.t.Helper()
	for _, id := range nodes {
		c.until(fmt.Sprintf("node %d has the members %s, and not %s", id, roles, c.roles(id)), func() bool {
			m := c.running[id].Members()
			return c.roles(id) == roles && m.Index == m.CommittedIndex
		})
	}
}

func TestAMemberIsAddedUnderLoadAndPromotedByItself(t *testing.T) { // P6
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		c.mustPropose(1, `{"op":"set","key":"before","value":1}`)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		written := make(chan int, 1)
		n := c.running[1]
		go func() { // the load
			count := 0
			for ; ctx.Err() == nil; count++ {
				o := n.Propose(ctx, [][]byte{[]byte(`{"op":"incr","key":"n"}`)})[0]
				if o.Err != nil && ctx.Err() == nil {
					t.Errorf("write %d: %v", count, o.Err)
				}
			}
			written <- count
		}()
		joiner := c.join(4, placeOf(4))
		if s := joiner.Status(); s.LifeCycle != api.StateEmpty {
			t.Errorf("before it is added it is %s", s.LifeCycle)
		}
		response := c.mustChange(c.followers()[0], api.MemberChange{Add: []api.NewMember{added(placeOf(4))}})
		if !slices.Equal(response.Added, []uint64{4}) || response.Config.Index == 0 ||
			response.Config.Members[3].Role != api.RoleLearner {
			t.Errorf("the change is answered with %+v", response)
		}
		c.until("it is a learner", func() bool { return joiner.Status().State == api.StateLearner })
		c.untilMembers(voters(1, 2, 3, 4), 1, 2, 3, 4)
		stop()
		<-written
		c.until("it has the state", func() bool { return c.value(4, "before") == "1" && c.value(4, "n") == c.value(1, "n") })
		c.mustPropose(4, `{"op":"set","key":"through it","value":1}`)
		if s := joiner.Status(); s.Seated == nil || !*s.Seated || s.State == api.StateLearner {
			t.Errorf("the new voter is %+v", s)
		}

		// With four voters a quorum is three, and the new one is needed for it.
		leader := c.leader()
		c.kill(c.followers()[0])
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		if h := c.running[c.leader()].Observation().Observe(context.Background()).Health; h.Voters != 4 || h.Quorum != 3 ||
			h.State != api.Degraded {
			t.Errorf("node %d sees %+v", leader, h)
		}
	})
}

// A leader that is removed hands over first, and passes the change on; it stays, inert, also after a restart.
func TestALeaderIsRemoved(t *testing.T) { // T26
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		rest := c.followers()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		response := c.mustChange(leader, api.MemberChange{Remove: []uint64{uint64(leader)}})
		if got := len(response.Config.Members); got != 2 {
			t.Errorf("after the change there are %d members: %+v", got, response.Config)
		}
		c.untilMembers(voters(rest...), rest...)
		c.until("the removed node reports it", func() bool {
			return c.running[leader].Status().LifeCycle == api.StateRemoved
		})
		if next := c.leader(); !slices.Contains(rest, next) {
			t.Errorf("node %d leads", next)
		}
		c.mustPropose(rest[0], `{"op":"set","key":"a","value":2}`)
		c.servesNothing(leader)
		files := len(c.disks[leader].entries)

		c.kill(leader)
		c.start(leader)
		time.Sleep(time.Minute) // fake time
		c.servesNothing(leader)
		if got := len(c.disks[leader].entries); got != files {
			t.Errorf("its disk had %d entries, and has %d", files, got)
		}
		c.mustPropose(rest[1], `{"op":"set","key":"a","value":3}`)
	})
}

// servesNothing fails the test unless a node that was removed refuses everything, with the reason.
func (c *cluster) servesNothing(id raft.NodeID) {
	c.t.Helper()
	n := c.running[id]
	if o := c.propose(id, `{"op":"set","key":"a","value":9}`); !errors.Is(o.Err, node.ErrNotReady) {
		c.t.Errorf("a write through node %d: %v, want ErrNotReady", id, o.Err)
	}
	if err := n.ReadBarrier(context.Background()); !errors.Is(err, node.ErrNotReady) ||
		!strings.Contains(err.Error(), "removed") {
		c.t.Errorf("a read through node %d: %v, want ErrNotReady and why", id, err)
	}
	if _, err := c.change(id, api.MemberChange{Remove: []uint64{1}}); !errors.Is(err, node.ErrNotReady) {
		c.t.Errorf("a change through node %d: %v, want ErrNotReady", id, err)
	}
	if s := n.Status(); s.LifeCycle != api.StateRemoved || s.LeaderID != 0 || n.Stalled() {
		c.t.Errorf("node %d reports %+v", id, s)
	}
	if h := n.Observation().Observe(context.Background()).Health; !strings.Contains(h.Reasons[0], "removed") {
		c.t.Errorf("node %d sees %+v", id, h)
	}
}

func TestTwoOfFiveAreReplacedInOneStep(t *testing.T) { // P6
	t.Parallel()
	inBubble(t, 5, func(t *testing.T, c *cluster) {
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		c.join(6, placeOf(6))
		c.join(7, placeOf(7))
		response := c.mustChange(1, api.MemberChange{Add: []api.NewMember{{Address: placeOf(6)}, {Address: placeOf(7)}}})
		expected := response.Config.Index
		c.until("the new members have caught up", func() bool {
			change := api.MemberChange{
				ExpectedConfigIndex: &expected, Promote: []uint64{6, 7}, Remove: []uint64{2, 4},
			}
			response, err := c.change(1, change)
			if err != nil && !errors.Is(err, node.ErrChangeRefused) {
				t.Fatal(err)
			}
			if err == nil && len(response.Config.Outgoing) > 0 {
				t.Errorf("the change is answered while it is joint: %+v", response)
			}
			return err == nil
		})
		c.untilMembers(voters(1, 3, 5, 6, 7), 1, 3, 5, 6, 7)
		for _, id := range []raft.NodeID{2, 4} {
			c.until("it is removed", func() bool { return c.running[id].Status().LifeCycle == api.StateRemoved })
		}
		joint := false
		events, _ := c.running[1].Observation().Events(0)
		for _, e := range events {
			joint = joint || e.Kind == api.EventConfig && strings.Contains(e.Reason, "outgoing voters [1 2 3 4 5]")
		}
		if !joint {
			t.Errorf("no event shows the joint configuration: %+v", events)
		}

		// Everything is started again, and finds the configuration (T30).
		for id := range raft.NodeID(7) {
			c.kill(id + 1)
		}
		for id := range raft.NodeID(7) {
			c.start(id + 1)
		}
		c.until("the members run again", func() bool { return c.running[7].Status().LeaderID != 0 })
		c.untilMembers(voters(1, 3, 5, 6, 7), 1, 3, 5, 6, 7)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":2}`)
		c.until("it has the value", func() bool { return c.value(6, "a") == "2" })
		c.servesNothing(2)
	})
}

// A member whose disk was lost is not given an identity again: it is replaced by a new one, at the same address.
func TestAWipedNodeIsReplacedAtItsAddress(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, victim := c.leader(), c.followers()[0]
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.untilSeen(leader, victim)
		c.kill(victim)
		wiped := c.join(4, placeOf(victim)) // it listens where the victim did
		time.Sleep(10 * time.Second)        // fake time
		if s := wiped.Status(); s.LifeCycle != api.StateEmpty {
			t.Errorf("a wiped node became %s as node %d", s.LifeCycle, s.ID)
		}
		replace := fmt.Sprintf("raftctl member replace %d --with URL", victim)
		alarms := c.running[leader].Status().Alarms
		if len(alarms) != 1 || alarms[0].Name != api.AlarmMembers || !strings.Contains(alarms[0].Message, replace) {
			t.Errorf("the leader has the alarms %+v, want one with %q", alarms, replace)
		}
		reasons := c.running[leader].Observation().Observe(context.Background()).Health.Reasons
		if !strings.Contains(strings.Join(reasons, "\n"), replace) {
			t.Errorf("the verdict is %q, want %q in it", reasons, replace)
		}
		c.mustChange(leader, api.MemberChange{
			Remove: []uint64{uint64(victim)}, Add: []api.NewMember{added(placeOf(victim))},
		})
		others := []raft.NodeID{leader, c.followers()[0]}
		for id := range c.running {
			if id != leader && id != 4 {
				others[1] = id
			}
		}
		slices.Sort(others)
		c.untilMembers(voters(append(others, 4)...), append(others, 4)...)
		c.until("the alarm ends", func() bool { return len(c.running[leader].Status().Alarms) == 0 })
		if !slices.Contains(c.running[4].Status().SeenMembers, 4) {
			t.Error("the new member has no seat")
		}
	})
}

// A member that was away when it was removed learns of it by its first question, and disturbs no other node.
func TestARemovedNodeThatReturnsDisturbsNoLeader(t *testing.T) { // T27
	t.Parallel()
	for name, restarts := range map[string]bool{"cut off": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 3, func(t *testing.T, c *cluster) {
				leader, victim := c.leader(), c.followers()[0]
				c.lan.split([]raft.NodeID{victim})
				if restarts {
					c.kill(victim)
				}
				c.mustChange(leader, api.MemberChange{Remove: []uint64{uint64(victim)}})
				time.Sleep(10 * time.Second) // fake time: the leader no longer sends to it
				before := c.running[leader].Status()
				c.lan.heal()
				if restarts {
					c.start(victim)
				}
				c.until("it learns of it", func() bool {
					return c.running[victim].Status().LifeCycle == api.StateRemoved
				})
				time.Sleep(10 * time.Second) // fake time
				after := c.running[leader].Status()
				if after.CurrentTerm != before.CurrentTerm || after.State != "LEADER" {
					t.Errorf("the leader was disturbed: %s in term %d, and %s in term %d", before.State, before.CurrentTerm,
						after.State, after.CurrentTerm)
				}
				c.servesNothing(victim)

				// Its log does not show that it was removed, and no other node answers.
				c.kill(victim)
				c.lan.split([]raft.NodeID{victim})
				c.start(victim)
				time.Sleep(time.Second) // fake time
				c.servesNothing(victim)
			})
		})
	}
}

// The configuration may be truncated before it is committed, and the node would be a member of nothing.
func TestNoIdentityIsOfferedBeforeTheMemberIsCommitted(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		joiner := c.join(4, placeOf(4))
		c.lan.split([]raft.NodeID{leader, 4})
		result := make(chan error, 1)
		go func() {
			_, err := c.change(leader, api.MemberChange{Add: []api.NewMember{added(placeOf(4))}})
			result <- err
		}()
		c.until("it is in force there", func() bool { return c.roles(leader) != voters(1, 2, 3) })
		time.Sleep(2 * time.Second) // fake time
		if s := joiner.Status(); s.ID != 0 {
			t.Errorf("it was given the identity of node %d", s.ID)
		}
		if err := <-result; !errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("the change: %v, want ErrOutcomeUnknown", err)
		}
		c.lan.heal()
		c.untilMembers(voters(1, 2, 3), 1, 2, 3)
	})
}

// The log that had the configuration is gone when the new member comes: the snapshot brings it.
func TestASnapshotBringsTheConfiguration(t *testing.T) { // T33
	t.Parallel()
	tidied(t, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.join(4, placeOf(4))
		c.mustChange(leader, api.MemberChange{Add: []api.NewMember{added(placeOf(4))}})
		c.untilMembers(voters(1, 2, 3, 4), 1, 2, 3, 4)
		c.kill(4)
		c.write(leader, "k", 100)
		c.until("the configuration is no longer in the log", func() bool {
			return c.running[leader].Status().FirstIndex > c.running[leader].Members().Index
		})
		c.disks[5] = newDisk()
		c.join(5, placeOf(5))
		c.mustChange(leader, api.MemberChange{Add: []api.NewMember{added(placeOf(5))}})
		c.write(leader, "m", 50)
		c.start(4)
		c.untilMembers(voters(1, 2, 3, 4, 5), 1, 2, 3, 4, 5)
		if c.disks[5].installed == 0 {
			t.Error("the new member received no snapshot")
		}
		c.kill(5)
		c.start(5)
		c.untilMembers(voters(1, 2, 3, 4, 5), 5)
		c.until("it has the state", func() bool { return c.value(5, "m") == "49" })
	})
}

// The address of a member changes through the log, and the others find it there.
func TestAMemberMoves(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader, mover := c.leader(), c.followers()[0]
		place := "http://elsewhere:7080"
		moved := api.MemberChange{Update: []api.ConfigMember{{ID: uint64(mover), Address: place}}}
		if _, err := c.change(mover, moved); !errors.Is(err, node.ErrChangeRefused) ||
			!strings.Contains(err.Error(), "force the change") {
			t.Errorf("to an address where no node is: %v, want ErrChangeRefused", err)
		}
		moved.Update[0].Address = placeOf(9)
		c.join(9, placeOf(9))
		if _, err := c.change(mover, moved); !errors.Is(err, node.ErrChangeRefused) ||
			!strings.Contains(err.Error(), "node 0 of cluster") {
			t.Errorf("to the address of another node: %v, want ErrChangeRefused", err)
		}
		c.lan.mu.Lock()
		c.lan.at[mover] = place
		c.lan.mu.Unlock()
		c.mustChange(mover, api.MemberChange{Update: []api.ConfigMember{
			{ID: uint64(mover), Address: "HTTP://Elsewhere:7080/", APIAddress: "http://elsewhere:8080"},
		}})
		for _, by := range []raft.NodeID{leader, mover} {
			c.until("it is there", func() bool {
				return slices.ContainsFunc(c.running[by].Members().Members, func(m api.ConfigMember) bool {
					return m.ID == uint64(mover) && m.Address == place && m.Role == api.RoleVoter
				})
			})
		}
		c.lan.mu.Lock()
		known := c.lan.peers[leader][mover]
		c.lan.mu.Unlock()
		if known.Address != place {
			t.Errorf("the leader sends to %s, want %s", known.Address, place)
		}
		if s := c.running[mover].Status(); s.Address != place {
			t.Errorf("it reports the address %s", s.Address)
		}
	})
}

func TestChangesThatAreRefused(t *testing.T) { // T23, T24, T28, T29
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		followers := c.followers()
		c.join(9, placeOf(9))
		old := uint64(7)
		add := func(place string) api.MemberChange { return api.MemberChange{Add: []api.NewMember{{Address: place}}} }
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		for name, refused := range map[string]struct {
			change api.MemberChange
			want   error
			says   string
		}{
			"nothing":               {api.MemberChange{}, node.ErrBadChange, "empty"},
			"another configuration": {api.MemberChange{ExpectedConfigIndex: &old}, node.ErrConfigIndex, "entry 0"},
			"a used id": {
				api.MemberChange{Add: []api.NewMember{{ID: 2, Address: placeOf(9)}}}, node.ErrBadChange, "use 4 or a higher",
			},
			"a used address": {add(placeOf(2)), node.ErrBadChange, "same address"},
			"no address":     {add(""), node.ErrBadChange, "http://host:7080"},
			"no node there":  {add(placeOf(8)), node.ErrBadChange, "cannot reach http://node8:7080"},
			"no member":      {api.MemberChange{Remove: []uint64{8}}, node.ErrBadChange, "not a member"},
			"a voter":        {api.MemberChange{Promote: []uint64{1}}, node.ErrBadChange, "a voter already"},
			"another's address": {
				api.MemberChange{Update: []api.ConfigMember{{ID: 1, Address: placeOf(2)}}}, node.ErrBadChange, "same",
			},
			"one named twice": {api.MemberChange{Remove: []uint64{1, 1}}, node.ErrBadChange, "twice"},
		} {
			for _, by := range []raft.NodeID{leader, followers[0]} {
				_, err := c.change(by, refused.change)
				if !errors.Is(err, refused.want) || errors.Is(err, node.ErrOutcomeUnknown) ||
					!strings.Contains(err.Error(), refused.says) {
					t.Errorf("%s through node %d: %v, want %v with %q", name, by, err, refused.want, refused.says)
				}
			}
		}
		var index *node.ConfigIndexError
		if _, err := c.change(leader, api.MemberChange{ExpectedConfigIndex: &old}); !errors.As(err, &index) ||
			len(index.Config.Members) != 3 || index.Config.Index != 0 {
			t.Errorf("the refusal has the configuration %+v", index)
		}

		c.kill(followers[0])
		time.Sleep(time.Second) // fake time
		_, err := c.change(leader, api.MemberChange{Remove: []uint64{uint64(followers[1])}})
		if !errors.Is(err, node.ErrChangeRefused) || !strings.Contains(err.Error(), "force") {
			t.Errorf("with one voter of two: %v, want ErrChangeRefused", err)
		}
		if got := c.roles(leader); got != voters(1, 2, 3) {
			t.Errorf("after all refusals the members are %s", got)
		}
	})
}

// A node that belongs to a cluster, or that has another address, does not become a member of this one.
func TestWhoCannotJoin(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.adjust = func(id raft.NodeID, o *node.Options) {
			if id == 8 {
				o.PeerAddress = "http://other:7080"
			}
		}
		c.join(8, placeOf(8))
		_, err := c.change(leader, api.MemberChange{Add: []api.NewMember{{Address: placeOf(8)}}})
		if !errors.Is(err, node.ErrBadChange) || !strings.Contains(err.Error(), "http://other:7080 (--advertise-peer)") {
			t.Errorf("a node with another address: %v", err)
		}
		member := c.running[8]
		offer := identity.Offer{
			ClusterID: "c", NodeID: 8, Address: "http://other:7080", Founders: []raft.Seat{{Member: 1, Incarnation: 1}},
		}
		if err := member.HandleOffer(context.Background(), offer); err != nil {
			t.Fatal(err)
		}
		if err := member.HandleOffer(context.Background(), offer); err != nil {
			t.Errorf("the same offer again: %v", err)
		}
		offer.ClusterID = "d"
		if err := member.HandleOffer(context.Background(), offer); !errors.Is(err, node.ErrIdentityTaken) {
			t.Errorf("an offer of another cluster: %v, want ErrIdentityTaken", err)
		}
		offer.Address = placeOf(8)
		if err := member.HandleOffer(context.Background(), offer); !errors.Is(err, node.ErrBadIdentity) {
			t.Errorf("an offer for another address: %v, want ErrBadIdentity", err)
		}
		offer.Address = placeOf(1)
		if err := c.running[1].HandleOffer(context.Background(), offer); err == nil {
			t.Error("a member of a static start takes an offer")
		}
		for _, id := range []uint64{0, 8} {
			_, err = c.change(leader, api.MemberChange{Add: []api.NewMember{{ID: id, Address: placeOf(8)}}})
			if !errors.Is(err, node.ErrBadChange) || !strings.Contains(err.Error(), `node 8 of cluster "c"`) {
				t.Errorf("a node of another cluster, to be added under the id %d: %v", id, err)
			}
		}
	})
}

// A leader that loses the leadership before the change is committed has it lost, or its outcome is unknown.
func TestAChangeOfACutOffLeaderIsLost(t *testing.T) { // T24, T49
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		rest := c.followers()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.lan.split([]raft.NodeID{leader})
		result := make(chan error, 1)
		go func() {
			_, err := c.change(leader, api.MemberChange{Remove: []uint64{uint64(rest[0])}})
			result <- err
		}()
		c.until("it is in force there", func() bool { return c.roles(leader) != voters(1, 2, 3) })
		next := c.leader(rest...)
		c.mustPropose(next, `{"op":"set","key":"a","value":2}`)
		c.lan.heal()
		if err := <-result; !errors.Is(err, node.ErrChangeRefused) || !strings.Contains(err.Error(), "was lost") {
			t.Errorf("got %v, want that it was lost", err)
		}
		c.untilMembers(voters(1, 2, 3), 1, 2, 3)
	})
}

// The successor of a leader that is removed refuses a change until it has noted that it leads.
func TestAChangeThatComesTooEarlyToTheSuccessorIsRepeated(t *testing.T) { // T26
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.lan.mu.Lock()
		c.lan.early = 2
		c.lan.mu.Unlock()
		c.mustChange(leader, api.MemberChange{Remove: []uint64{uint64(leader)}})
		c.lan.mu.Lock()
		defer c.lan.mu.Unlock()
		if c.lan.early != 0 {
			t.Errorf("%d refusals are left", c.lan.early)
		}
	})
}
