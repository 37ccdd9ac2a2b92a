package forward

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Reads that come while a question is in flight share the next one: its answer may be older than they are.
func TestReadsShareQuestionsThatHaveNotLeft(t *testing.T) { // T39
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := raft.Index(0)
		ask := func(context.Context, raft.NodeID) (raft.ReadPoint, error) {
			asked++
			index := asked
			time.Sleep(time.Second) // fake time
			return raft.ReadPoint{Index: index}, nil
		}
		r := NewReads(t.Context(), &scheduler.Machine{}, time.Hour, ask)
		first, second := r.Join(1), r.Join(1)
		synctest.Wait() // the question has left
		third, fourth := r.Join(1), r.Join(1)
		if first != second || third != fourth || first == third {
			t.Error("the first two and the last two share a question each")
		}
		for want, read := range map[raft.Index]*Read{1: first, 2: third} {
			<-read.Done()
			if point, err := read.Result(); point.Index != want || err != nil {
				t.Errorf("got %+v, %v, want %d", point, err, want)
			}
		}
		if asked != 2 {
			t.Errorf("the leader was asked %d times for four reads", asked)
		}
	})
}

// A read of a new leader does not wait for an old one that hangs.
func TestEachLeaderHasALaneForReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ask := func(ctx context.Context, leader raft.NodeID) (raft.ReadPoint, error) {
			if leader == 1 {
				<-ctx.Done()
				return raft.ReadPoint{}, ctx.Err()
			}
			return raft.ReadPoint{Index: 7}, nil
		}
		r := NewReads(t.Context(), &scheduler.Machine{}, time.Minute, ask)
		old, began := r.Join(1), time.Now()
		read := r.Join(2)
		<-read.Done()
		if point, err := read.Result(); point.Index != 7 || err != nil || time.Since(began) > 0 {
			t.Errorf("the new leader's answer is %+v, %v", point, err)
		}
		<-old.Done()
		if _, err := old.Result(); err == nil || time.Since(began) != time.Minute {
			t.Errorf("the old leader was given up with %v after %v", err, time.Since(began))
		}
	})
}

// Each question has a context of its own, which ends with it, and the last question of a crowd is not the last of all.
func TestReadsAreAskedAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ctxs []context.Context
		ask := func(ctx context.Context, _ raft.NodeID) (raft.ReadPoint, error) {
			ctxs = append(ctxs, ctx)
			return raft.ReadPoint{Index: raft.Index(len(ctxs))}, nil
		}
		r := NewReads(t.Context(), &scheduler.Machine{}, time.Hour, ask)
		for want := raft.Index(1); want < 4; want++ {
			read := r.Join(1)
			synctest.Wait()
			select {
			case <-read.Done():
			default:
				t.Fatalf("question %d was not asked", want)
			}
			if point, err := read.Result(); point.Index != want || err != nil || ctxs[want-1].Err() == nil {
				t.Errorf("question %d: %+v, %v; its context: %v", want, point, err, ctxs[want-1].Err())
			}
		}
	})
}
