package node

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestTheSuccessorIsOneThatAnswers(t *testing.T) { // O25
	t.Parallel()
	of := func(id raft.NodeID, match raft.Index, ack int, active bool) raft.ProgressStatus {
		return raft.ProgressStatus{ID: id, Match: match, AckTicks: ack, Active: active}
	}
	for what, c := range map[string]struct {
		followers []raft.ProgressStatus
		want      raft.NodeID
	}{
		"nobody":                          {nil, 0},
		"nobody who is active":            {[]raft.ProgressStatus{of(2, 9, 90, false)}, 0},
		"one that just died has most":     {[]raft.ProgressStatus{of(2, 9, 31, true), of(3, 8, 2, true)}, 3},
		"the longest log of two":          {[]raft.ProgressStatus{of(2, 8, 1, true), of(3, 9, 9, true)}, 3},
		"as long, and answered last":      {[]raft.ProgressStatus{of(2, 9, 9, true), of(3, 9, 1, true)}, 3},
		"better a slow one than none":     {[]raft.ProgressStatus{of(2, 9, 40, true)}, 2},
		"the leader is not its successor": {[]raft.ProgressStatus{of(1, 10, 0, true), of(3, 9, 1, true)}, 3},
	} {
		if got := bestSuccessor(raft.Status{ID: 1, Progress: c.followers}, 30); got != c.want {
			t.Errorf("%s: node %d, want %d", what, got, c.want)
		}
	}
}
