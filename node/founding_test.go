package node_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// unstarted runs a test case in a bubble with a cluster of that many empty disks, none started.
func unstarted(t *testing.T, nodes int, story func(t *testing.T, c *cluster)) {
	t.Helper()
	inBubble(t, nodes, func(t *testing.T, c *cluster) {
		c.killAll()
		for id := range c.disks {
			c.disks[id] = newDisk()
		}
		story(t, c)
	})
}

func (c *cluster) killAll() {
	for _, m := range c.members {
		if c.running[m.ID] != nil {
			c.kill(m.ID)
		}
	}
	c.lan.sent.Wait() // nothing of the former runs arrives in the next
}

func (c *cluster) startAll(ids ...raft.NodeID) {
	for _, id := range ids {
		c.start(id)
	}
}

func (c *cluster) wantDiskLost(r *running) {
	c.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(10 * time.Minute): // fake time
		c.t.Errorf("a member with an empty disk goes on: %+v", r.Status())
		return
	}
	if !errors.Is(r.err, identity.ErrDiskLost) {
		c.t.Errorf("a member with an empty disk ends with %v, want ErrDiskLost", r.err)
	}
}

func (c *cluster) wantEmpty(r *running) {
	c.t.Helper()
	time.Sleep(30 * time.Second) // fake time
	if s := r.Status(); s.LifeCycle != api.StateEmpty || s.CurrentTerm != 0 {
		c.t.Errorf("a node that must wait takes part: %s in term %d", s.LifeCycle, s.CurrentTerm)
	}
}

// The leader acknowledges a write that it and two others hold. It and one of them lose their disks while the third is
// away, and the other two never had the write.
func TestTwoLostDisksOfFiveLoseNoWrite(t *testing.T) { // T28
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.startAll(1, 2, 3, 4, 5)
		leader := c.leader()
		c.until("all are seated", func() bool { return len(c.running[leader].Status().SeenMembers) == 5 })
		holders := append([]raft.NodeID{leader}, c.followers()[:2]...)
		c.lan.split(holders)
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.killAll()
		c.lan.heal()
		c.disks[holders[0]], c.disks[holders[1]] = newDisk(), newDisk()
		for _, m := range c.members {
			if m.ID != holders[2] {
				c.start(m.ID)
			}
		}
		c.wantDiskLost(c.running[holders[0]])
		c.wantDiskLost(c.running[holders[1]])
		c.start(holders[2])
		survivors := []raft.NodeID{holders[2]}
		for id := raft.NodeID(1); id <= 5; id++ {
			if !slices.Contains(holders, id) {
				survivors = append(survivors, id)
			}
		}
		c.mustPropose(c.leader(survivors...), `{"op":"set","key":"b","value":1}`)
		for _, id := range survivors {
			c.until("it has both writes", func() bool { return c.value(id, "a") == "1" && c.value(id, "b") == "1" })
		}
	})
}

func TestTwoWipedMembersAndTwoThatNeverRanFoundNothing(t *testing.T) { // T28
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.startAll(1, 2, 3, 4)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		c.killAll()
		c.disks[1], c.disks[2] = newDisk(), newDisk()
		c.startAll(1, 2, 5) // 3 and 4 are silent
		for _, id := range []raft.NodeID{1, 2, 5} {
			c.wantEmpty(c.running[id])
		}
		c.start(3)
		c.wantDiskLost(c.running[1])
		c.wantDiskLost(c.running[2])
		c.start(4)
		time.Sleep(30 * time.Second) // fake time
		if seen := c.running[3].Status().SeenMembers; slices.Contains(seen, 5) {
			t.Errorf("the members %v are seated, the last of them by less than a quorum", seen)
		}
		for _, id := range []raft.NodeID{3, 4} {
			c.kill(id)
			if !slices.ContainsFunc(c.disks[id].entries, func(e raft.Entry) bool { return e.Type == raft.EntryCommand }) {
				t.Errorf("node %d has lost the write", id)
			}
		}
	})
}

// A late member is seated by a leader with a quorum of the others, and counts: then two founders may fail.
func TestALateFirstStartNeedsNobody(t *testing.T) { // T28
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.startAll(1, 2, 3, 4)
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		late := c.start(5)
		c.until("the late member is seated", func() bool { return slices.Contains(late.Status().SeenMembers, 5) })
		c.killAll()
		for _, d := range c.disks { // as after a loss of power: on none of them it is recorded what is committed
			d.set(func(d *disk) { d.hard.Commit = 0 })
		}
		c.startAll(3, 4, 5)
		c.mustPropose(c.leader(), `{"op":"set","key":"b","value":2}`)
		c.kill(5)
		c.disks[5] = newDisk()
		c.wantDiskLost(c.start(5))
	})
}

// Members that start within a second of each other found the cluster together, and all of them count at once.
func TestAFoundingWaitsForMembersThatAreAboutToStart(t *testing.T) {
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.startAll(1, 2, 3, 4)
		time.Sleep(500 * time.Millisecond) // fake time
		c.start(5)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		if a, err := c.ask(1, identity.GenesisRequest{}); err != nil || len(a.Founders) != 5 {
			t.Errorf("the founders are %+v (%v), want all five", a.Founders, err)
		}
	})
}

func TestALateMemberThatLosesItsDiskBeforeItWasSeatedStartsAgain(t *testing.T) {
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.startAll(1, 2, 3, 4)
		leader := c.leader()
		c.mustPropose(leader, `{"op":"set","key":"a","value":1}`)
		c.lan.split([]raft.NodeID{5})
		c.start(5)
		time.Sleep(10 * time.Second) // fake time
		c.kill(5)
		c.disks[5] = newDisk()
		c.lan.heal()
		c.start(5)
		c.until("the new disk takes part", func() bool { return c.value(5, "a") == "1" })
	})
}

// The two that are left of three cannot distinguish a new cluster from one whose third member holds writes. A flag
// decides it.
func TestAMajorityFoundsAClusterOnlyWhenItIsTold(t *testing.T) {
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.startAll(1, 2)
		c.wantEmpty(c.running[1])
		c.wantEmpty(c.running[2])
		c.killAll()
		c.adjust = func(id raft.NodeID, o *node.Options) { o.FoundByMajority = id == 1 }
		c.startAll(1, 2)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		c.start(3)
		c.until("the third is seated, and has the write", func() bool { return c.value(3, "a") == "1" })
	})
}

func TestAFoundingSurvivesCrashesAtAnyMoment(t *testing.T) { // T1, T28
	t.Parallel()
	for after := range 40 {
		unstarted(t, 3, func(t *testing.T, c *cluster) {
			c.startAll(1, 2, 3)
			time.Sleep(time.Duration(after) * time.Millisecond) // fake time
			c.killAll()
			c.startAll(1, 2, 3)
			c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		})
	}
}

// A disk from before seats has no incarnation. Its members all count, and an empty one among them is a lost disk.
func TestDisksFromBeforeSeatsGoOn(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
		c.killAll()
		for _, d := range c.disks {
			d.set(func(d *disk) {
				for _, fact := range []string{"founders", "incarnation", "genesis", "seated"} {
					delete(d.facts, fact)
				}
			})
		}
		c.startAll(1, 2, 3)
		c.mustPropose(c.leader(), `{"op":"set","key":"b","value":1}`)
		victim := c.followers()[0]
		c.kill(victim)
		c.disks[victim] = newDisk()
		c.wantDiskLost(c.start(victim))
	})
}

func (c *cluster) ask(id raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
	return c.running[id].HandleGenesis(context.Background(), r)
}

// seatsOf gives members 1, 2, ... these disks.
func seatsOf(incarnations ...raft.Incarnation) []raft.Seat {
	var seats []raft.Seat
	for i, incarnation := range incarnations {
		seats = append(seats, raft.Seat{Member: raft.NodeID(i + 1), Incarnation: incarnation})
	}
	return seats
}

// What one member accepted may have been agreed on by members that are away now, so no other list may replace it.
func TestFoundersThatWereAcceptedAreKept(t *testing.T) { // T28
	t.Parallel()
	unstarted(t, 5, func(t *testing.T, c *cluster) {
		c.startAll(1, 3, 4)
		time.Sleep(time.Millisecond)
		founders := seatsOf(1, 2, 3, 4)
		for _, id := range []raft.NodeID{1, 3, 4} {
			a, err := c.ask(id, identity.GenesisRequest{})
			if err != nil {
				t.Fatal(err)
			}
			founders[id-1].Incarnation = a.Incarnation
		}
		ballot := identity.Ballot{Round: 7, By: 5}
		a, err := c.ask(3, identity.GenesisRequest{Ballot: ballot, Founders: founders})
		if err != nil || a.Accepted != ballot {
			t.Fatalf("node 3 does not accept: %+v, %v", a, err)
		}
		c.startAll(2, 5)
		c.wantDiskLost(c.running[2]) // its disk is another than the one that was accepted
		c.kill(2)
		late := c.running[5]
		c.until("node 5 has the founders", func() bool { return len(late.Status().SeenMembers) > 0 })
		if a, err := c.ask(5, identity.GenesisRequest{}); err != nil || !a.Founded || !slices.Equal(a.Founders, founders) {
			t.Errorf("the founders are %+v (%v), want those that were accepted", a.Founders, err)
		}
	})
}

func TestAnAcceptorAnswersWhatIsOnItsDisk(t *testing.T) { // T1, T28
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.start(1)
		promise := identity.GenesisRequest{Ballot: identity.Ballot{Round: 3, By: 9}}
		before, err := c.ask(1, promise)
		if err != nil || before.Promised != promise.Ballot {
			t.Fatalf("it does not take the ballot: %+v, %v", before, err)
		}
		c.kill(1)
		c.start(1)
		if a, err := c.ask(1, identity.GenesisRequest{}); err != nil || a.Promised != before.Promised ||
			a.Incarnation != before.Incarnation {
			t.Errorf("after a restart it stands at %+v (%v), want %+v", a, err, before)
		}
		c.disks[1].set(func(d *disk) { d.fail = errors.New("no space") })
		r := c.running[1]
		if a, err := c.ask(1, identity.GenesisRequest{Ballot: identity.Ballot{Round: 4, By: 9}}); err == nil {
			t.Errorf("with a disk that takes no writes it answers %+v", a)
		}
		<-r.ended
		if r.err == nil {
			t.Error("it goes on with a disk that takes no writes")
		}
		if a, err := c.ask(1, identity.GenesisRequest{}); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("after its end it answers %+v, %v", a, err)
		}
	})
}

// Forged messages can take one acceptor farther than another follows at once. The cluster is founded all the same.
func TestAnAcceptorFarAheadDoesNotKeepTheClusterFromBeingFounded(t *testing.T) {
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.start(1)
		for i := range uint64(5) {
			forged := identity.Ballot{Round: (i + 1) << 20, By: 9}
			if a, err := c.ask(1, identity.GenesisRequest{Ballot: forged}); err != nil || a.Promised != forged {
				t.Fatalf("it stands at %+v, %v", a, err)
			}
		}
		c.startAll(2, 3)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
	})
}

func TestAFoundedClusterTakesNoOtherFounders(t *testing.T) { // T28
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		c.leader()
		before, err := c.ask(1, identity.GenesisRequest{})
		if err != nil || !before.Founded || len(before.Founders) != 3 {
			t.Fatalf("it is not founded: %+v, %v", before, err)
		}
		others := []raft.Seat{{Member: 1, Incarnation: 1}, {Member: 2, Incarnation: 2}, {Member: 3, Incarnation: 3}}
		after, err := c.ask(1, identity.GenesisRequest{Ballot: identity.Ballot{Round: 1 << 20, By: 1}, Founders: others})
		if err != nil || !after.Founded || !slices.Equal(after.Founders, before.Founders) {
			t.Errorf("it stands at %+v, %v, want %+v", after, err, before)
		}
	})
}

// A ballot far ahead reaches one acceptor only. The others refuse what is as far ahead of theirs, so they are raised
// step by step.
func TestAFalseBallotDoesNotHoldUpTheFoundingForEver(t *testing.T) {
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.start(1)
		for step := range uint64(3) {
			ballot := identity.Ballot{Round: (step + 1) << 20, By: 9}
			if a, err := c.ask(1, identity.GenesisRequest{Ballot: ballot}); err != nil || a.Promised != ballot {
				t.Fatalf("node 1 does not take the ballot: %+v, %v", a, err)
			}
		}
		c.startAll(2, 3)
		time.Sleep(time.Minute) // fake time
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
	})
}

// Founders that are less than a majority could never commit anything, so no correct member proposes them.
func TestFoundersThatCannotCommitAreRefused(t *testing.T) {
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.startAll(1, 2)
		one := identity.GenesisRequest{
			Ballot: identity.Ballot{Round: 1, By: 9}, Founders: []raft.Seat{{Member: 1, Incarnation: 9}},
		}
		for id := raft.NodeID(1); id <= 2; id++ {
			if a, err := c.ask(id, one); !errors.Is(err, raft.ErrBadMessage) {
				t.Errorf("node %d accepts one founder of three: %+v, %v", id, a, err)
			}
		}
		c.start(3)
		c.mustPropose(c.leader(), `{"op":"set","key":"a","value":1}`)
	})
}

// A typo in the flags makes another cluster. What the disk accepted in its own one may have been agreed on meanwhile.
func TestAnAcceptorRemembersAfterAStartWithOtherMembers(t *testing.T) { // T28
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.start(1)
		var founders []raft.Seat
		for id := raft.NodeID(1); id <= 3; id++ {
			founders = append(founders, raft.Seat{Member: id, Incarnation: 7})
		}
		before, err := c.ask(1, identity.GenesisRequest{Ballot: identity.Ballot{Round: 3, By: 9}, Founders: founders})
		if err != nil {
			t.Fatal(err)
		}
		for _, cluster := range []string{"typo", "another-typo", ""} {
			c.kill(1)
			c.adjust = func(_ raft.NodeID, o *node.Options) {
				if cluster != "" {
					o.ClusterID = cluster
				}
			}
			c.start(1)
			after, err := c.ask(1, identity.GenesisRequest{})
			if same := after.Incarnation == before.Incarnation && after.Accepted == before.Accepted; err != nil ||
				same != (cluster == "") {
				t.Errorf("in cluster %q it stands at %+v (%v), and before at %+v", cluster, after, err, before)
			}
		}
	})
}

// Two members of a cluster with one id were given different members. The one that proposes reports what the other
// objects to.
func TestAFoundingThatListsHoldUpSaysSo(t *testing.T) {
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		var log strings.Builder // one goroutine writes: that of the founding of node 1
		c.adjust = func(id raft.NodeID, o *node.Options) {
			o.ClusterID = "one-id"
			switch id {
			case 1:
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			case 3:
				o.Members = []identity.Member{c.members[0], c.members[2], {ID: 4, Address: "http://n4"}}
			}
		}
		c.startAll(1, 2, 3)
		c.wantEmpty(c.running[1])
		c.killAll()
		const want = "seat 1 is of node 2, which is not in this node's list of members: 1, 3, 4"
		if !strings.Contains(log.String(), want) || strings.Count(log.String(), "\n") > 4 {
			t.Errorf("within 30 s it logs %s\nwant few lines, with %s", log.String(), want)
		}
	})
}

// An attacker makes an empty member accept founders with disks of no member, while a new cluster waits for the others.
func TestForgedFoundersDoNotKeepTheClusterFromBeingFounded(t *testing.T) { // T28
	t.Parallel()
	for _, victims := range [][]raft.NodeID{{1}, {3}, {1, 2}, {1, 2, 3}} {
		unstarted(t, 3, func(t *testing.T, c *cluster) {
			c.startAll(victims...)
			time.Sleep(time.Millisecond)
			for _, id := range victims {
				forged := identity.GenesisRequest{Ballot: identity.Ballot{Round: 9, By: 7}, Founders: seatsOf(11, 12, 13)}
				if a, err := c.ask(id, forged); err != nil || a.Accepted != forged.Ballot {
					t.Fatalf("node %d answers %+v, %v", id, a, err)
				}
			}
			for id := raft.NodeID(1); id <= 3; id++ {
				if c.running[id] == nil {
					c.start(id)
				}
			}
			c.wantServing()
		})
	}
}

// After a second founding with wiped disks, by a flag that should not have been given, the one disk with the first
// writes is not called damaged, or an operator would replace it.
func TestTheLastDiskOfTheFirstFoundingIsToBeKept(t *testing.T) { // T28, T54
	t.Parallel()
	for _, terms := range []struct{ first, second int }{{1, 1}, {3, 1}, {1, 3}} {
		unstarted(t, 3, func(t *testing.T, c *cluster) {
			c.adjust = func(_ raft.NodeID, o *node.Options) { o.FoundByMajority = true }
			run := func(key string, terms int, ids ...raft.NodeID) {
				c.startAll(ids...)
				for range terms {
					c.mustPropose(c.leader(ids...), `{"op":"set","key":"`+key+`","value":1}`)
					if err := c.running[c.leader(ids...)].TransferLeadership(context.Background(), 0); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
			}
			run("old", terms.first, 1, 2)
			c.killAll()
			c.disks[1] = newDisk()
			run("new", terms.second, 1, 3)
			old := c.start(2)
			select {
			case <-old.ended:
			case <-time.After(time.Minute): // fake time
			}
			var diverged *divergence.Error
			if !errors.As(old.err, &diverged) || !slices.Equal(diverged.OtherFounders, []raft.NodeID{1, 3}) ||
				!strings.Contains(old.err.Error(), "founded twice: the founders of nodes 1 and 3") {
				t.Errorf("%+v: the node of the first founding ends with %v", terms, old.err)
			}
			entries := c.disks[2].entries
			if !slices.ContainsFunc(entries, func(e raft.Entry) bool { return strings.Contains(string(e.Command), "old") }) {
				t.Errorf("%+v: the first founding's write is dropped", terms)
			}
			c.wantRunningAmong(1, 3)
		})
	}
}

// Where the two logs have no index and term in common, no digest differs. The members' founders do.
func TestTwoFoundingsAreReported(t *testing.T) { // T28
	t.Parallel()
	unstarted(t, 3, func(t *testing.T, c *cluster) {
		c.adjust = func(_ raft.NodeID, o *node.Options) { o.FoundByMajority = true }
		c.startAll(1, 2)
		c.mustPropose(c.leader(1, 2), `{"op":"set","key":"old","value":1}`)
		time.Sleep(time.Second)
		c.killAll()
		c.disks[1] = newDisk()
		c.disks[3].hard.Term = 5
		c.startAll(1, 3)
		c.mustPropose(c.leader(1, 3), `{"op":"set","key":"new","value":1}`)
		c.start(2)
		for id := range c.running {
			c.wantVerdict(id, api.Degraded, 2, 0, "founded twice: node 2 and nodes 1 and 3 belong to different foundings")
		}
		reasons := c.running[1].Observation().Observe(context.Background()).Health.Reasons
		if strings.Contains(strings.Join(reasons, "\n"), "lost data") {
			t.Errorf("a whole disk is reported to be damaged: %q", reasons)
		}
		c.mustPropose(c.leader(1, 3), `{"op":"set","key":"new","value":2}`)
	})
}

// wantRunningAmong wants that none of these nodes has ended.
func (c *cluster) wantRunningAmong(ids ...raft.NodeID) {
	c.t.Helper()
	for _, id := range ids {
		select {
		case <-c.running[id].ended:
			c.t.Errorf("node %d ended: %v", id, c.running[id].err)
		default:
		}
	}
}
