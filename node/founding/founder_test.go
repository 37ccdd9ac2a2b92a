package founding

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

var (
	errDisk    = errors.New("the disk failed")
	errStopped = errors.New("the node stopped")
)

// founderOf returns node 1 of three with a disk of facts, which fails after so many saves. The others do not answer.
func founderOf(facts map[string]string, saves int, stopped chan struct{}) *Founder {
	return New(Config{
		Self: func() identity.Identity { return identity.Identity{ID: 1, ClusterID: "c"} },
		Members: func() []identity.Member {
			return []identity.Member{{ID: 1, Address: "http://a"}, {ID: 2, Address: "http://b"}, {ID: 3, Address: "http://c"}}
		},
		Facts: func() (map[string]string, error) { return maps.Clone(facts), nil },
		Save: func(changes map[string]string) error {
			if saves--; saves < 0 {
				return errDisk
			}
			maps.Copy(facts, changes)
			return nil
		},
		Ask: func(context.Context, raft.NodeID, identity.GenesisRequest) (identity.GenesisAnswer, error) {
			return identity.GenesisAnswer{}, errors.New("does not answer")
		},
		Waits: func(*api.Founding) {}, Patience: scheduler.Forever, Logger: slog.New(slog.DiscardHandler),
		Await: func(ctx context.Context, done <-chan struct{}) error {
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			case <-stopped:
				return errStopped
			}
		},
		Scheduler: &scheduler.Machine{}, Rand: rand.New(rand.NewPCG(1, 2)),
	})
}

// A ballot that was not saved is not answered, and neither is what waits behind it.
func TestNothingIsAnsweredAfterASaveThatFailed(t *testing.T) { // T28, T53
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopped := make(chan struct{})
		f := founderOf(map[string]string{}, 2, stopped)
		a, err := f.openAcceptor()
		if err != nil {
			t.Fatal(err)
		}
		answers, errs := make([]identity.GenesisAnswer, 4), make([]error, 4)
		for i := range answers {
			r := identity.GenesisRequest{Ballot: identity.Ballot{Round: uint64(i) + 1, By: 9}}
			go func() { answers[i], errs[i] = f.Handle(t.Context(), r) }()
			synctest.Wait() // the requests wait in the order of their rounds
		}
		if a, err = f.serve(a); !errors.Is(err, errDisk) {
			t.Fatalf("got %v, want the error of the disk", err)
		}
		if a.Promised.Round != 1 {
			t.Errorf("the acceptor is at round %d, and only 1 is durable", a.Promised.Round)
		}
		synctest.Wait()
		close(stopped) // as by a node whose disk failed
		synctest.Wait()
		if errs[0] != nil || answers[0].Promised.Round != 1 {
			t.Errorf("round 1 is durable, and the answer is %+v, %v", answers[0], errs[0])
		}
		for i := 1; i < len(errs); i++ {
			if want := []error{1: ErrUnavailable, 2: errStopped, 3: errStopped}[i]; !errors.Is(errs[i], want) {
				t.Errorf("round %d is not durable, and the answer is %+v, %v", i+1, answers[i], errs[i])
			}
		}
	})
}

func TestAFounderThatIsClosedRefusesRequests(t *testing.T) {
	t.Parallel()
	f := founderOf(map[string]string{}, 9, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Handle(ctx, identity.GenesisRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("while no acceptor runs: %v, want the context's error", err)
	}
	f.Close()
	if _, err := f.Handle(t.Context(), identity.GenesisRequest{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after the end: %v, want ErrUnavailable", err)
	}
	if seating, err := founderOf(map[string]string{}, 9, nil).Run(ctx); seating != nil || err != nil {
		t.Errorf("with an ended context it returned %+v, %v", seating, err)
	}
}
