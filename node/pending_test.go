package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// waitingFor returns a call with one command for each index, and the proposals that wait there.
func waitingFor(term raft.Term, indexes ...raft.Index) (*call, *pendings) {
	c := newCall(context.Background(), len(indexes), time.Time{})
	p := &pendings{}
	for slot, index := range indexes {
		p.list = append(p.list, pending{index, term, proposal{call: c, slot: slot}})
	}
	return c, p
}

// A snapshot may stand in the place of the entries that callers wait for. It shows its state, not what became of them.
func TestAWaiterThatIsPassedOverHasAnUnknownOutcome(t *testing.T) { // T49
	t.Parallel()
	c, p := waitingFor(1, 3, 5, 6, 8)
	p.passOver(4)
	if taken := p.take(6, 7); len(taken) != 1 || taken[0].index != 6 || len(p.list) != 1 {
		t.Errorf("taken are %+v, left %+v", taken, p.list)
	}
	for slot, answered := range []bool{true, true, false, false} {
		if got := c.outcomes[slot]; errors.Is(got.Err, ErrOutcomeUnknown) != answered {
			t.Errorf("waiter %d: %+v", slot, got)
		}
	}
	if left := c.left.Load(); left != 2 {
		t.Errorf("%d are not answered, want 2", left)
	}
	if taken := p.take(9, 9); len(taken) != 0 || len(p.list) != 0 || !errors.Is(c.outcomes[3].Err, ErrOutcomeUnknown) {
		t.Errorf("taken are %+v, left %+v, the last is answered %+v", taken, p.list, c.outcomes[3])
	}
}

// A new leader's entry stands where that of an older proposal was, which may still win elsewhere.
func TestAnEntryInTheSamePlaceEndsTheWait(t *testing.T) { // T49
	t.Parallel()
	c, p := waitingFor(1, 3, 4, 5)
	next := newCall(t.Context(), 1, time.Time{})
	p.add(4, 2, []proposal{{call: next}})
	for slot, answered := range []bool{false, true, true} {
		if got := c.outcomes[slot]; errors.Is(got.Err, ErrOutcomeUnknown) != answered {
			t.Errorf("waiter %d: %+v", slot, got)
		}
	}
	if len(p.list) != 2 || p.list[0].index != 3 || p.list[1].index != 4 || p.list[1].term != 2 || p.list[1].call != next {
		t.Errorf("what waits is %+v", p.list)
	}
}

// Whatever waiters come with a chunk, each gets the result of its own entry or an unknown outcome.
func TestOnlyItsOwnEntryAnswersAWaiter(t *testing.T) { // T49
	t.Parallel()
	a := newApplier(&scheduler.Machine{}, nil, &Options{})
	command := []byte(`{"op":"put","key":"a","value":"b"}`)
	chunk := []raft.Entry{{Index: 1, Term: 1, Command: command}, {Index: 2, Term: 2, Command: command}}
	_, p := waitingFor(1, 0, 1, 1, 2, 3)
	outcomes := a.applyChunk(chunk, p.list)
	for i, want := range []error{ErrOutcomeUnknown, nil, ErrOutcomeUnknown, ErrNotLeader, ErrOutcomeUnknown} {
		if got := outcomes[i]; !errors.Is(got.Err, want) || want == nil && (got.Err != nil || got.Index != 1) {
			t.Errorf("the waiter at %d: %+v, want %v", p.list[i].index, got, want)
		}
	}
}

func TestTheApplierBeginsWhereTheStateMachineIs(t *testing.T) {
	t.Parallel()
	a := newApplier(&scheduler.Machine{}, nil, &Options{})
	store := kv.New()
	if err := a.begin(store, &raft.Log{Start: raft.LogStart{Index: 2}}); err == nil {
		t.Error("entries that the state machine does not have are left out")
	}
	store.Apply(kv.Entry{Revision: 1})
	store.Apply(kv.Entry{Revision: 2})
	if err := a.begin(store, &raft.Log{Start: raft.LogStart{Index: 2}}); err != nil || a.index.Load() != 2 {
		t.Errorf("it begins after %d, %v", a.index.Load(), err)
	}
	if err := a.begin(store, &raft.Log{Start: raft.LogStart{Index: 1}}); err == nil {
		t.Error("a state is taken that the log does not reach")
	}
}
