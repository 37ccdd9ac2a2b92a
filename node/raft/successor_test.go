package raft

import "testing"

func TestTheSuccessorIsOneThatAnswers(t *testing.T) { // O25
	t.Parallel()
	of := func(id NodeID, match Index, ack int, active bool) ProgressStatus {
		return ProgressStatus{ID: id, Match: match, AckTicks: ack, Active: active}
	}
	for what, c := range map[string]struct {
		followers []ProgressStatus
		want      NodeID
	}{
		"no follower":                     {nil, 0},
		"no follower that is active":      {[]ProgressStatus{of(2, 9, 90, false)}, 0},
		"one that just failed has most":   {[]ProgressStatus{of(2, 9, 31, true), of(3, 8, 2, true)}, 3},
		"the longest log of two":          {[]ProgressStatus{of(2, 8, 1, true), of(3, 9, 9, true)}, 3},
		"as long, and answered last":      {[]ProgressStatus{of(2, 9, 9, true), of(3, 9, 1, true)}, 3},
		"better a slow one than none":     {[]ProgressStatus{of(2, 9, 40, true)}, 2},
		"the leader is not its successor": {[]ProgressStatus{of(1, 10, 0, true), of(3, 9, 1, true)}, 3},
	} {
		if got := BestSuccessor(Status{ID: 1, Progress: c.followers}, 30); got != c.want {
			t.Errorf("%s: node %d, want %d", what, got, c.want)
		}
	}
}
