package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// spare is an AnswerBudget.
type spare struct{ left int }

func (r *spare) Take(bytes int) bool {
	if bytes > r.left {
		return false
	}
	r.left -= bytes
	return true
}

// swapFailed is the outcome of a cas that found a value of a size.
func swapFailed(size int) Outcome {
	return Outcome{Index: 9, Term: 1, Result: kv.Result{Revision: 5, Value: []byte(strings.Repeat("v", size))}}
}

func TestAnswersOfACallAreBounded(t *testing.T) { // attack: many cas that fail on one large value
	t.Parallel()
	c := newCall(WithAnswerBudget(t.Context(), &spare{3000}), 9, time.Now())
	for i, size := range []int{1000, 1500} {
		if kept := c.keep(swapFailed(size), nil); kept.Err != nil || len(kept.Result.Value) != size {
			t.Errorf("outcome %d: %d bytes, %v", i, len(kept.Result.Value), kept.Err)
		}
	}
	over := c.keep(swapFailed(1000), nil)
	if !errors.Is(over.Err, ErrOverloaded) || over.Result.Value != nil {
		t.Errorf("beyond the budget: %d bytes, %v; want ErrOverloaded and none", len(over.Result.Value), over.Err)
	}
	if small := c.keep(swapFailed(smallAnswer), nil); small.Err != nil {
		t.Errorf("a small value beyond the budget: %v", small.Err)
	}
	changed := swapFailed(1000) // as that of a transaction that reads, too
	changed.Result.Revision = uint64(changed.Index)
	err := c.keep(changed, nil).Err
	if !errors.Is(err, ErrOutcomeUnknown) || !strings.Contains(err.Error(), "took effect") {
		t.Errorf("a change that was made is reported as %v; it must not be sent again (trap T49)", err)
	}
	if failed := c.keep(Outcome{Err: ErrNotLeader}, nil); !errors.Is(failed.Err, ErrNotLeader) {
		t.Errorf("another failure became %v", failed.Err)
	}
}

func TestACallWithoutABudgetIsBoundedToo(t *testing.T) {
	t.Parallel()
	c := newCall(t.Context(), 100, time.Now())
	kept := 0
	for range 100 {
		if o := c.keep(swapFailed(1<<20), nil); o.Err == nil {
			kept += len(o.Result.Value)
		}
	}
	if kept == 0 || kept > maxAnswerBytes {
		t.Errorf("%d bytes of answers are kept, at most %d should be", kept, maxAnswerBytes)
	}
}

// answering is a transport whose leader answers every proposal with parts of one large body.
type answering struct {
	Transport
	body []byte
}

func (a *answering) Propose(_ context.Context, _ raft.NodeID, commands [][]byte) ([]Outcome, error) {
	outcomes := make([]Outcome, len(commands))
	for i := range outcomes {
		outcomes[i] = swapFailed(0)
		outcomes[i].Result.Value = a.body[i*1000 : (i+1)*1000]
	}
	return outcomes, nil
}

// A caller that is slow to take a short answer must not keep the leader's whole one in memory.
func TestForwardedAnswersAreChargedAndCopied(t *testing.T) {
	t.Parallel()
	leader := &answering{body: make([]byte, 1<<20)}
	p := newProposer(&shared{base: t.Context(), sched: &scheduler.Machine{}, cfg: Options{
		RequestLimit: time.Minute, QueueBytes: defaultQueueBytes, Transport: leader,
	}})
	c := newCall(WithAnswerBudget(t.Context(), &spare{2500}), 3, time.Now())
	if err := p.forward(1, c, [][]byte{[]byte("a"), []byte("b"), []byte("c")}); err != nil {
		t.Fatal(err)
	}
	<-c.done
	for i, o := range c.outcomes {
		if want := i < 2; (o.Err == nil) != want {
			t.Errorf("outcome %d: %v", i, o.Err)
		}
		if cap(o.Result.Value) > 2000 {
			t.Errorf("outcome %d keeps %d bytes of the leader's answer", i, cap(o.Result.Value))
		}
	}
}
