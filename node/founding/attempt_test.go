package founding

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// patience is how long a look at the members takes in these tests.
const patience = 300 * time.Millisecond

// asker answers for the other members.
type asker func(ctx context.Context, peer raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error)

// started returns node 1 of three, a majority of which may found the cluster, whose others answer so, and what it waits
// for.
func started(ask asker) (*Founder, func() *api.Founding) {
	f := founderOf(map[string]string{}, 1<<20, nil)
	var waits atomic.Pointer[api.Founding]
	f.cfg.Patience, f.cfg.ByMajority, f.cfg.Ask, f.cfg.Waits = patience, true, ask, waits.Store
	return f, waits.Load
}

// wantNoFounding wants that a node does not take the cluster for founded.
func wantNoFounding(t *testing.T, f *Founder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // fake time
	defer cancel()
	if seating, err := f.Run(ctx); seating != nil || err != nil {
		t.Errorf("it is founded: %+v, %v", seating, err)
	}
}

// open answers as an acceptor that takes every ballot, and accepts no founders.
func open(peer raft.NodeID, r identity.GenesisRequest) identity.GenesisAnswer {
	return identity.GenesisAnswer{Incarnation: raft.Incarnation(peer) + 10, Promised: r.Ballot}
}

// All that are started at about the same time are founders, in every order, and agree on who they are.
func TestMembersThatStartTogetherAreTheFounders(t *testing.T) { // T28
	t.Parallel()
	for name, delays := range map[string][]time.Duration{
		"at once":         {0, 0, 0},
		"the lowest last": {time.Second, 0, 0},
		"the last late":   {0, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { startTogether(t, delays) })
		})
	}
}

// startTogether starts members, each after a delay, and wants that all of them become founders.
func startTogether(t *testing.T, delays []time.Duration) {
	var mu sync.Mutex
	running, seatings := map[raft.NodeID]*Founder{}, map[raft.NodeID]*identity.Seating{}
	ask := func(ctx context.Context, peer raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
		mu.Lock()
		f, s := running[peer], seatings[peer]
		mu.Unlock()
		switch {
		case s != nil:
			return identity.GenesisAnswer{Founded: true, Founders: s.Founders, Seats: s.Founders}, nil
		case f != nil:
			return f.Handle(ctx, r)
		}
		return identity.GenesisAnswer{}, errors.New("does not answer")
	}
	var done sync.WaitGroup
	for i, delay := range delays {
		id := raft.NodeID(i + 1)
		f, _ := started(ask)
		f.cfg.Self = func() identity.Identity { return identity.Identity{ID: id, ClusterID: "c"} }
		done.Go(func() {
			time.Sleep(delay) // fake time
			mu.Lock()
			running[id] = f
			mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			seating, err := f.Run(ctx)
			if err != nil || seating == nil {
				t.Errorf("node %d: %+v, %v", id, seating, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seatings[id] = seating
		})
	}
	done.Wait()
	for id, s := range seatings {
		if len(s.Founders) != len(delays) || !slices.Equal(s.Founders, seatings[1].Founders) {
			t.Errorf("node %d was founded by %+v, node 1 by %+v", id, s.Founders, seatings[1].Founders)
		}
	}
}

// To take a ballot is not to agree: founders that no member accepted are none.
func TestFoundersThatNoMemberAcceptedAreNone(t *testing.T) { // T28
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		proposed := false
		var mu sync.Mutex
		f, _ := started(func(_ context.Context, peer raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
			mu.Lock()
			defer mu.Unlock()
			proposed = proposed || len(r.Founders) > 0
			return open(peer, r), nil
		})
		if wantNoFounding(t, f); !proposed {
			t.Error("it did not propose founders")
		}
	})
}

// While a false message keeps a member far ahead, nothing is proposed: the ballot need not be new.
func TestNothingIsProposedWithABallotThatMayBeOld(t *testing.T) { // T28
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		f, _ := started(func(_ context.Context, peer raft.NodeID, r identity.GenesisRequest) (identity.GenesisAnswer, error) {
			mu.Lock()
			defer mu.Unlock()
			if len(r.Founders) > 0 {
				t.Errorf("founders are proposed: %+v", r)
			}
			answer := open(peer, r)
			if peer == 2 {
				answer.Promised = identity.Ballot{Round: 1 << 50, By: 9}
			}
			return answer, nil
		})
		wantNoFounding(t, f)
	})
}

func TestAnswersThatNoMemberGivesFoundNothing(t *testing.T) { // T28
	t.Parallel()
	for name, answer := range map[string]identity.GenesisAnswer{
		"too few founders": {Founded: true, Founders: []raft.Seat{{Member: 2, Incarnation: 5}}},
		"a founder that is no member": {Founded: true, Founders: []raft.Seat{
			{Member: 2, Incarnation: 5}, {Member: 9, Incarnation: 5},
		}},
		"no incarnation": {Promised: identity.Ballot{Round: 1, By: 2}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, waits := started(func(context.Context, raft.NodeID, identity.GenesisRequest) (identity.GenesisAnswer, error) {
				return answer, nil
			})
			wantNoFounding(t, f)
			if w := waits(); w == nil || !slices.Equal(w.Missing, []uint64{2, 3}) {
				t.Errorf("%s: it waits for %+v", name, w)
			}
		})
	}
}

// Members that hang are not waited for longer than the patience, and none is still asked when Run has returned.
func TestMembersThatHangAreMissing(t *testing.T) {
	t.Parallel()
	for name, saves := range map[string]int{"the context ends": 1, "a save fails": 1} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			f, waits := started(func(ctx context.Context, _ raft.NodeID, _ identity.GenesisRequest) (
				identity.GenesisAnswer, error,
			) {
				asked.Add(1)
				defer asked.Add(-1)
				<-ctx.Done()
				time.Sleep(time.Millisecond) // fake time
				return identity.GenesisAnswer{}, ctx.Err()
			})
			left := saves
			f.cfg.Save = func(map[string]string) error {
				if left--; left < 0 {
					return errDisk
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error)
			go func() {
				_, err := f.Run(ctx)
				if now := asked.Load(); now != 0 {
					t.Errorf("%s: %d members are still asked", name, now)
				}
				ended <- err
			}()
			time.Sleep(patience + 2*time.Millisecond)
			if w := waits(); w == nil || w.Needed != 2 || w.Members != 3 || !slices.Equal(w.Missing, []uint64{2, 3}) {
				t.Errorf("%s: it waits for %+v", name, w)
			}
			time.Sleep(firstWait) // it asks again
			var want error
			if name == "a save fails" {
				want = errDisk
				r := identity.GenesisRequest{Ballot: identity.Ballot{Round: 1, By: 9}}
				if _, err := f.Handle(t.Context(), r); !errors.Is(err, ErrUnavailable) {
					t.Errorf("a ballot that is not on the disk is answered with %v", err)
				}
			} else {
				cancel()
			}
			if err := <-ended; !errors.Is(err, want) {
				t.Errorf("%s: it ended with %v", name, err)
			}
		})
	}
}

// The ballot that a member has taken, and what it has accepted, are on its disk when it answers, and a request that no
// member sends changes nothing.
func TestWhatIsAnsweredIsOnTheDisk(t *testing.T) { // T28, T53
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		facts := map[string]string{}
		f := founderOf(facts, 1<<20, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = f.Run(ctx) }()
		ballot := identity.Ballot{Round: 1, By: 9}
		founders := []raft.Seat{{Member: 2, Incarnation: 5}, {Member: 3, Incarnation: 6}}
		for _, r := range []identity.GenesisRequest{{Ballot: ballot}, {Ballot: ballot, Founders: founders}} {
			answer, err := f.Handle(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			again := founderOf(maps.Clone(facts), 0, nil) // after a crash
			if a, err := again.openAcceptor(); err != nil || a.Answer().Accepted != answer.Accepted ||
				a.Promised != answer.Promised || !slices.Equal(a.Answer().Founders, answer.Founders) {
				t.Errorf("answered is %+v, and on the disk is %+v, %v", answer, a, err)
			}
		}
		before := maps.Clone(facts)
		bad := identity.GenesisRequest{Ballot: identity.Ballot{Round: 2, By: 9}, Founders: founders[:1]}
		if answer, err := f.Handle(t.Context(), bad); !errors.Is(err, raft.ErrBadMessage) || !maps.Equal(facts, before) {
			t.Errorf("one founder of three: %+v, %v", answer, err)
		}
	})
}

// Requests that wait when a Founder is closed are answered at once.
func TestRequestsThatWaitAreRefusedAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, refused := founderOf(map[string]string{}, 9, nil), make(chan error, 2)
		for range 2 {
			go func() {
				_, err := f.Handle(t.Context(), identity.GenesisRequest{})
				refused <- err
			}()
		}
		synctest.Wait()
		f.Close()
		for range 2 {
			if err := <-refused; !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestHowManyMustFoundACluster(t *testing.T) { // T28
	t.Parallel()
	for count, want := range map[int]struct{ usually, byMajority int }{
		1: {1, 1}, 2: {2, 2}, 3: {3, 2}, 4: {3, 3}, 5: {4, 3},
	} {
		a := &attempt{founder: New(Config{Members: func() []identity.Member { return make([]identity.Member, count) }})}
		if got := a.quorum(); got != want.usually {
			t.Errorf("%d of %d, want %d", got, count, want.usually)
		}
		a.founder.cfg.ByMajority = true
		if got := a.quorum(); got != want.byMajority {
			t.Errorf("by majority %d of %d, want %d", got, count, want.byMajority)
		}
	}
}

// A member proposes after those with lower ids that answer, and after a while for those that do not.
func TestMembersProposeInTurn(t *testing.T) {
	t.Parallel()
	gone := identity.GenesisReply{Err: errors.New("does not answer")}
	for name, c := range map[string]struct {
		replies map[raft.NodeID]identity.GenesisReply
		first   int // the look at which node 2 proposes
	}{
		"all answer":            {map[raft.NodeID]identity.GenesisReply{1: {}, 2: {}, 3: {}}, turnLooks + 1},
		"the lower one is gone": {map[raft.NodeID]identity.GenesisReply{1: gone, 2: {}, 3: {}}, lateLooks + 1},
		"a higher one is gone":  {map[raft.NodeID]identity.GenesisReply{1: {}, 2: {}, 3: gone}, turnLooks + lateLooks + 1},
		"it is the lowest":      {map[raft.NodeID]identity.GenesisReply{2: {}, 3: {}}, 1},
	} {
		a, look := &attempt{self: raft.Seat{Member: 2}}, 1
		for look < 99 && !a.isTurn(look, c.replies) {
			look++
		}
		if look != c.first {
			t.Errorf("%s: it proposes at look %d, want %d", name, look, c.first)
		}
	}
}

func TestWhatAFoundingWaitsFor(t *testing.T) {
	t.Parallel()
	gone := identity.GenesisReply{Err: errors.New("does not answer")}
	replies := map[raft.NodeID]identity.GenesisReply{1: {}, 2: gone, 3: {}, 4: gone}
	if w := waitsFor(replies, 2); w != nil {
		t.Errorf("enough answer, and it waits for %+v", w)
	}
	if w := waitsFor(replies, 3); w == nil || w.Members != 4 || w.Needed != 3 || !slices.Equal(w.Missing, []uint64{2, 4}) {
		t.Errorf("it waits for %+v", w)
	}
}
