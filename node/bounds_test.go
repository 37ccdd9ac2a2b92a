package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/scheduler"
)

func TestReadersWhoGiveUpLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := &shared{
		sched: &scheduler.Machine{}, stopped: make(chan struct{}), cfg: Options{RequestLimit: time.Minute},
	}
	n := &reader{shared: s, applier: newApplier(s.sched, nil, &s.cfg)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 {
		if err := n.AwaitApplied(ctx, 1<<50); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, want the context's error", err)
		}
	}
	if left, count := len(n.applier.waiters.list), n.applier.waiters.count.Load(); left != 0 || count != 0 {
		t.Errorf("%d waiters are kept (counted %d) though all gave up", left, count)
	}
}

func TestNoLimitIsTakenForNone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *Options){
		"stall limit":     func(o *Options) { o.StallLimit = scheduler.Forever },
		"request limit":   func(o *Options) { o.RequestLimit = scheduler.Forever },
		"leader patience": func(o *Options) { o.LeaderPatience = scheduler.Forever },
		"queue bytes":     func(o *Options) { o.QueueBytes = -1 },
	} {
		o := Options{Join: true, Storage: struct{ Storage }{}, Transport: struct{ Transport }{}}
		if _, err := o.withDefaults(); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if _, err := o.withDefaults(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a negative %s: %v, want it refused by name", name, err)
		}
	}
}

func TestProposalsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	b := newInbox(8000)
	propose := func() error {
		return b.propose(newCall(t.Context(), 1, time.Now()), [][]byte{make([]byte, 1000)})
	}
	for range 8 {
		if err := propose(); err != nil {
			t.Fatal(err)
		}
	}
	if err := propose(); !errors.Is(err, ErrOverloaded) {
		t.Errorf("%v, want ErrOverloaded", err)
	}
	b.takeProposals()
	if err := propose(); err != nil {
		t.Errorf("after the loop took what waited: %v", err)
	}
}
