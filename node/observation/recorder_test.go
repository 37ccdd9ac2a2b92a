package observation

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// recorder returns the Recorder of node 1, and what counts a metric with a label, the sum of all if it is empty.
func recorder(t *testing.T) (*Recorder, func(name, label string) float64) {
	t.Helper()
	m, registry := metrics.New(time.Now, nil), prometheus.NewRegistry()
	registry.MustRegister(m)
	return NewRecorder(observationOf(peers{}, nil), m), func(name, label string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, f := range families {
			for _, one := range f.GetMetric() {
				if f.GetName() == name && (label == "" || one.GetLabel()[0].GetValue() == label) {
					sum += one.GetCounter().GetValue()
				}
			}
		}
		return sum
	}
}

// wantEvents wants these events since the last call, but for their numbers and times.
func wantEvents(t *testing.T, r *Recorder, since *uint64, want ...api.Event) {
	t.Helper()
	events, _ := r.observation.Events(*since)
	for i, e := range events {
		*since = e.Cursor
		if e.Seq, e.AtMs, e.Node = 0, 0, 0; i >= len(want) || !reflect.DeepEqual(e.Event, want[i]) {
			t.Errorf("event %d is %+v", i, e.Event)
		}
	}
	if len(events) != len(want) {
		t.Errorf("%d events, want %d", len(events), len(want))
	}
}

// An election is recorded in its order: the term, the role, who voted in this term, and how long it took since the
// first campaign.
func TestAnElectionIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, count := recorder(t)
		cursor, at := uint64(0), Standing{raft.Follower, 4, 0}
		change := func(to Standing, reason string) {
			r.Changed(at, to, reason)
			at = to
		}
		vote := func(from raft.NodeID, term raft.Term, preVote, granted bool) {
			r.Received(&raft.Message{
				Type: raft.MsgRequestVoteResponse, From: from, Term: term, PreVote: preVote, VoteGranted: granted,
			})
		}
		change(Standing{raft.PreCandidate, 4, 0}, "no leader")
		time.Sleep(time.Second) // fake time
		vote(2, 5, true, true)
		change(Standing{raft.Candidate, 5, 0}, "pre-votes")
		vote(2, 5, false, true)
		time.Sleep(time.Second)
		change(Standing{raft.Candidate, 6, 0}, "timeout") // the vote was split
		vote(3, 6, false, true)
		vote(3, 6, false, true) // twice
		vote(2, 6, false, false)
		vote(2, 7, true, true)
		r.Received(&raft.Message{Type: raft.MsgAppendEntriesResponse, From: 2, Term: 6, VoteGranted: true})
		if _, leads := r.observation.LedSince(); leads {
			t.Error("a candidate leads")
		}
		change(Standing{raft.Leader, 6, 1}, "votes")
		if since, leads := r.observation.LedSince(); !leads || since != time.Now() {
			t.Errorf("it leads since %v, %t", since, leads)
		}
		wantEvents(t, r, &cursor,
			api.Event{Kind: api.EventRole, Term: 4, Role: raft.PreCandidate.String(), PreVote: true, Reason: "no leader"},
			api.Event{Kind: api.EventTerm, Term: 5},
			api.Event{Kind: api.EventRole, Term: 5, Role: raft.Candidate.String(), Reason: "pre-votes"},
			api.Event{Kind: api.EventTerm, Term: 6},
			api.Event{Kind: api.EventRole, Term: 6, Role: raft.Candidate.String(), Reason: "timeout"},
			api.Event{Kind: api.EventRole, Term: 6, Role: raft.Leader.String(), Reason: "votes"},
			api.Event{Kind: api.EventElected, Term: 6, From: 1, Votes: []uint64{1, 3}, DurationMs: 2000},
		)
		change(Standing{raft.Follower, 7, 0}, "higher term")
		wantEvents(t, r, &cursor,
			api.Event{Kind: api.EventTerm, Term: 7},
			api.Event{Kind: api.EventSteppedDown, Term: 7, Reason: "higher term"},
			api.Event{Kind: api.EventRole, Term: 7, Role: raft.Follower.String(), Reason: "higher term"},
		)
		if _, leads := r.observation.LedSince(); leads {
			t.Error("a follower leads")
		}
		change(Standing{raft.Follower, 7, 2}, "")
		change(Standing{raft.Follower, 8, 2}, "") // no event but the term
		change(Standing{raft.Follower, 8, 0}, "")
		for name, want := range map[string]float64{"asked": 1, "started": 2, "won": 1} {
			if got := count("kontiki_elections_total", name); got != want {
				t.Errorf("%v elections are counted as %s, want %v", got, name, want)
			}
		}
		if got := count("kontiki_leader_changes_total", ""); got != 2 {
			t.Errorf("%v leaders are counted, want 2", got)
		}
	})
}

// A campaign begins anew after there was a leader, and the votes of another term elect no leader.
func TestAnElectionIsNotMistakenForTheOneBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := recorder(t)
		r.Changed(Standing{raft.Follower, 4, 0}, Standing{raft.Candidate, 5, 0}, "")
		r.Received(&raft.Message{Type: raft.MsgRequestVoteResponse, From: 2, Term: 5, VoteGranted: true})
		r.Changed(Standing{raft.Candidate, 5, 0}, Standing{raft.Follower, 5, 2}, "")
		time.Sleep(time.Hour) // fake time
		r.Changed(Standing{raft.Follower, 5, 2}, Standing{raft.Candidate, 6, 0}, "")
		time.Sleep(time.Second)
		r.Changed(Standing{raft.Candidate, 6, 0}, Standing{raft.Leader, 6, 1}, "")
		events, _ := r.observation.Events(0)
		want := api.Event{Kind: api.EventElected, Term: 6, From: 1, Votes: []uint64{1}, DurationMs: 1000}
		got := events[len(events)-1].Event
		if got.Seq, got.AtMs, got.Node = 0, 0, 0; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// Every refusal is counted. Of those of one member and kind few are alarms, and all nodes that are no members together
// are as one.
func TestRefusalsAreCountedAndFewAreAlarms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, count := recorder(t)
		cursor := uint64(0)
		alarm := func(from uint64, err error) api.Event {
			return api.Event{Kind: api.EventAlarm, Term: 3, From: from, To: 1, Reason: err.Error()}
		}
		for range 3 {
			r.Refused(2, 3, raft.ErrBadTerm)
			r.Refused(3, 3, raft.ErrBadTerm)
			r.Refused(2, 3, raft.ErrSecondLeader)
		}
		for from := range raft.NodeID(500) {
			r.Refused(from+4, 3, raft.ErrBadMessage)
		}
		r.Diverged(2, 3, raft.ErrDiverged)
		r.Refused(2, 3, raft.ErrDiverged)
		wantEvents(t, r, &cursor, alarm(2, raft.ErrBadTerm), alarm(3, raft.ErrBadTerm), alarm(2, raft.ErrSecondLeader),
			alarm(0, raft.ErrBadMessage), alarm(2, raft.ErrDiverged))
		time.Sleep(alarmEvery) // fake time
		r.Refused(2, 3, raft.ErrBadTerm)
		r.Refused(600, 3, raft.ErrBadMessage)
		wantEvents(t, r, &cursor, alarm(2, raft.ErrBadTerm), alarm(0, raft.ErrBadMessage))
		if len(r.alarms) != 5 {
			t.Errorf("%d alarms are remembered", len(r.alarms))
		}
		for kind, want := range map[string]float64{"bad_term": 7, "second_leader": 3, "malformed": 501, "diverged": 1} {
			if got := count("kontiki_messages_refused_total", kind); got != want {
				t.Errorf("%v are counted as %s, want %v", got, kind, want)
			}
		}
	})
}
