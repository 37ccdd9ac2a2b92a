package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// leaderPort is the way to a leader whose answers a test sets.
type leaderPort struct {
	Transport
	propose   func(commands [][]byte) ([]Outcome, error)
	readIndex func(term raft.Term, lease bool) (raft.ReadPoint, error)
}

func (p *leaderPort) Propose(_ context.Context, _ raft.NodeID, commands [][]byte) ([]Outcome, error) {
	return p.propose(commands)
}

func (p *leaderPort) ReadIndex(_ context.Context, _ raft.NodeID, term raft.Term, lease bool) (raft.ReadPoint, error) {
	return p.readIndex(term, lease)
}

// follower returns what the parts of node 1 share while node 2 leads term 5.
func follower(t *testing.T, port *leaderPort) *shared {
	t.Helper()
	s := &shared{
		sched: &scheduler.Machine{}, base: t.Context(), metrics: metrics.New(time.Now, nil), stopped: make(chan struct{}),
		cfg: Options{
			Transport: port, RequestLimit: time.Minute, LeaderPatience: time.Second, HeartbeatInterval: time.Second / 10,
			QueueBytes: 1 << 20,
		},
	}
	s.who.Store(&identity.Identity{ID: 1})
	s.view.Store(&view{lifeCycle: api.StateMember, leader: 2, term: 5, seated: true, changed: make(chan struct{})})
	return s
}

// failing returns outcomes with these errors.
func failing(errs ...error) []Outcome {
	outcomes := make([]Outcome, len(errs))
	for i, err := range errs {
		outcomes[i].Err = err
	}
	return outcomes
}

// Only what surely did not happen is tried again, and each outcome stays with its command. The caller's commands are
// counted once, by what became of them in the end.
func TestOnlyWhatSurelyDidNotHappenIsTriedAgain(t *testing.T) { // T49
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent [][]string
		done := func(index raft.Index) Outcome { return Outcome{Index: index} }
		answers := [][]Outcome{
			slices.Concat([]Outcome{done(1)}, failing(ErrNotLeader, ErrOutcomeUnknown, ErrNotSent, ErrOverloaded, ErrNotReady)),
			{{Err: ErrNotLeader}, done(2), done(3)},
			{{Err: ErrOutcomeUnknown}},
		}
		s := follower(t, &leaderPort{propose: func(commands [][]byte) ([]Outcome, error) {
			var texts []string
			for _, command := range commands {
				texts = append(texts, string(command))
			}
			sent = append(sent, texts)
			return answers[len(sent)-1], nil
		}})
		registry := prometheus.NewRegistry()
		registry.MustRegister(s.metrics)
		var commands [][]byte
		for _, text := range []string{"a", "b", "c", "d", "e", "f"} {
			commands = append(commands, []byte(text))
		}
		outcomes := newProposer(s).Propose(t.Context(), commands)
		want := []Outcome{done(1), {Err: ErrOutcomeUnknown}, {Err: ErrOutcomeUnknown}, done(2), {Err: ErrOverloaded}, done(3)}
		for i := range want {
			if got := outcomes[i]; !errors.Is(got.Err, want[i].Err) || got.Index != want[i].Index {
				t.Errorf("command %d: %+v, want %+v", i, got, want[i])
			}
		}
		wantSent := [][]string{{"a", "b", "c", "d", "e", "f"}, {"b", "d", "f"}, {"b"}}
		if !slices.EqualFunc(sent, wantSent, slices.Equal[[]string]) {
			t.Errorf("sent are %v, want %v", sent, wantSent)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, one := range f.GetMetric() {
				if f.GetName() != "kontiki_proposals_total" {
					continue
				}
				result := one.GetLabel()[0].GetValue()
				if got := one.GetCounter().GetValue(); got != map[string]float64{"done": 3, "unknown": 2, "refused": 1}[result] {
					t.Errorf("%v are counted as %s", got, result)
				}
			}
		}
	})
}

// Whatever the leader answers, each command of a batch has an outcome, and one that may have happened is not taken for
// one that did not.
func TestTheAnswerToABatch(t *testing.T) { // T49
	t.Parallel()
	value := []byte("7 and the rest of a large answer")
	for name, c := range map[string]struct {
		outcomes []Outcome
		err      error
		want     [2]error
	}{
		"done":              {[]Outcome{{Index: 1}, {Index: 2}}, nil, [2]error{nil, nil}},
		"too few":           {[]Outcome{{Index: 1}}, nil, [2]error{ErrOutcomeUnknown, ErrOutcomeUnknown}},
		"too many":          {make([]Outcome, 3), nil, [2]error{ErrOutcomeUnknown, ErrOutcomeUnknown}},
		"not sent":          {nil, ErrNotSent, [2]error{ErrNotSent, ErrNotSent}},
		"refused":           {nil, ErrOverloaded, [2]error{ErrOverloaded, ErrOverloaded}},
		"of one not ready":  {nil, ErrNotReady, [2]error{ErrNotLeader, ErrNotLeader}},
		"the caller's end":  {nil, context.Canceled, [2]error{ErrOutcomeUnknown, ErrOutcomeUnknown}},
		"the time was over": {nil, context.DeadlineExceeded, [2]error{ErrOutcomeUnknown, ErrOutcomeUnknown}},
		"of each": {
			[]Outcome{{Err: ErrNotReady}, {Index: 2, Result: kv.Result{Value: value[:1]}}}, nil, [2]error{ErrNotLeader, nil},
		},
	} {
		p := newProposer(follower(t, &leaderPort{propose: func([][]byte) ([]Outcome, error) { return c.outcomes, c.err }}))
		call := newCall(t.Context(), 2, time.Now())
		p.send(t.Context(), 2, []proposal{{call: call}, {call: call, slot: 1}})
		if call.left.Load() != 0 {
			t.Errorf("%s: %d have no outcome", name, call.left.Load())
		}
		for i, got := range call.outcomes {
			if !errors.Is(got.Err, c.want[i]) || c.want[i] == nil && got.Index != raft.Index(i)+1 {
				t.Errorf("%s: command %d has %+v, want %v", name, i, got, c.want[i])
			}
			if v := got.Result.Value; len(v) > 0 && &v[0] == &value[0] {
				t.Errorf("%s: the value of command %d is a part of the whole answer", name, i)
			}
		}
	}
}

// The question of a disk without a seat confirms nothing, so it names no term. A node that has another leader by now is
// not asked at all.
func TestTheTermInWhichALeaderIsAsked(t *testing.T) { // T28, T39
	t.Parallel()
	var terms []raft.Term
	port := &leaderPort{readIndex: func(term raft.Term, lease bool) (raft.ReadPoint, error) {
		terms = append(terms, term)
		return raft.ReadPoint{Index: 7, Leased: lease}, nil
	}}
	s := follower(t, port)
	r := &reader{shared: s}
	for _, lease := range []bool{false, true} {
		if point, err := r.askLeader(t.Context(), 2, lease); point.Index != 7 || point.Leased != lease || err != nil {
			t.Errorf("got %+v, %v", point, err)
		}
	}
	if _, err := r.askLeader(t.Context(), 3, false); !errors.Is(err, ErrNotLeader) {
		t.Errorf("of a node that does not lead: %v", err)
	}
	unseated := *s.view.Load()
	unseated.seated = false
	s.view.Store(&unseated)
	if _, err := r.askLeader(t.Context(), 2, false); err != nil || !slices.Equal(terms, []raft.Term{5, 5, 0}) {
		t.Errorf("asked in the terms %v, %v; want 5 and, without a seat, 0", terms, err)
	}
	port.readIndex = func(raft.Term, bool) (raft.ReadPoint, error) { return raft.ReadPoint{}, ErrNotReady }
	if _, err := r.askLeader(t.Context(), 2, false); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a leader that is not ready means %v here", err)
	}
}

// Each crowd of reads has the answer to its own token, and at once: also where the node leads no more.
func TestReadsAreAnsweredByTheirToken(t *testing.T) { // T39
	t.Parallel()
	confirmed, dropped := forward.NewRead(2, 5), forward.NewRead(3, 5)
	token := func(seq uint64) raft.ReadToken { return raft.ReadToken{Term: 5, Seq: seq} }
	first, second, third := token(1), token(2), token(3)
	l := &loop{reads: map[raft.ReadToken][]*forward.Read{
		first: {confirmed}, second: {dropped}, third: {forward.NewRead(2, 5)},
	}}
	l.answerReads(raft.Ready{Reads: []raft.ReadState{{Token: first, Index: 11}}, DroppedReads: []raft.ReadToken{second}})
	for name, c := range map[string]struct {
		read *forward.Read
		want raft.Index
		err  error
	}{"confirmed": {confirmed, 11, nil}, "dropped": {dropped, 0, ErrNotLeader}} {
		select {
		case <-c.read.Done():
			if point, err := c.read.Result(); point.Index != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: %+v, %v", name, point, err)
			}
		default:
			t.Errorf("%s: it has no answer", name)
		}
	}
	if _, waits := l.reads[third]; !waits || len(l.reads) != 1 {
		t.Errorf("what waits is %v", l.reads)
	}
}
