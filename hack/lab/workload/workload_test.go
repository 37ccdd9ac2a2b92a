package workload

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// recording is a workload and what it recorded.
type recording struct {
	*Workload
	mu         sync.Mutex
	operations []history.Operation
}

// begin makes a workload.
func begin(t *testing.T, config Config) *recording {
	t.Helper()
	r := &recording{}
	config.Record = func(o history.Operation) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.operations = append(r.operations, o)
	}
	var err error
	if r.Workload, err = New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// start starts a cluster in memory, and a workload of all kinds for it.
func start(t *testing.T) (*clienttest.Cluster, *recording) {
	t.Helper()
	cluster := clienttest.New(t, 3)
	return cluster, begin(t, Config{
		Endpoints: cluster.URLs(),
		Library:   Clients{4, 50 * time.Millisecond}, Plain: Clients{2, 80 * time.Millisecond},
		Mix: Mix{Put: 6, Get: 5, CAS: 4, Incr: 4, Stale: 1, Batch: 4}, RegisterLife: 300,
	})
}

// Operations returns a copy of what was recorded so far.
func (r *recording) Operations() []history.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.operations)
}

// work lets the clients run, and returns their operations.
func work(t *testing.T, w *recording, operations int) []history.Operation {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	for len(w.Operations()) < operations && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
	w.ReadBack(t.Context())
	return w.Operations()
}

func TestAGoodClusterIsFoundGood(t *testing.T) {
	t.Parallel()
	_, w := start(t)
	operations := work(t, w, 300)
	kinds, nodes := map[history.Kind]int{}, map[int]int{}
	for i, o := range operations {
		if o.Outcome != history.OK || o.Return < o.Call || o.Serial != i+1 {
			t.Fatalf("operation %d: %+v", i+1, o)
		}
		kinds[o.Kind]++
		nodes[o.Node]++
	}
	if len(kinds) != 4 || len(nodes) != 4 {
		t.Errorf("the kinds were %v, and the nodes %v, of which 0 is the library", kinds, nodes)
	}
	if err := history.Check(operations, time.Minute); err != nil {
		t.Error(err)
	}
	if err := history.ReadBack(operations); err != nil {
		t.Error(err)
	}
	if err := w.Diverged(t.Context()); err != nil {
		t.Error(err)
	}
	for _, f := range history.Account(operations) {
		t.Error(f)
	}
}

// A Service is used without counters and batches, as hack/e2e does, and with a client that writes each key once.
func TestAGoodClusterBehindAServiceIsFoundGood(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	w := begin(t, Config{
		Endpoints: cluster.URLs()[:1], Service: true, Prefix: "p/", Library: Clients{6, 10 * time.Millisecond},
		Plain: Clients{2, 10 * time.Millisecond}, Mix: Mix{Put: 2, Get: 1, CAS: 1}, RegisterLife: 10,
		WriteOnceEvery: 10 * time.Millisecond,
	})
	operations := work(t, w, 300)
	kinds, paths, keys := map[history.Kind]int{}, map[history.Path]int{}, map[string]bool{}
	for _, o := range operations {
		if o.Outcome != history.OK || o.Node != 0 || o.Batch != 0 {
			t.Fatalf("got %+v", o)
		}
		kinds[o.Kind]++
		paths[o.Path]++
		parts := strings.Split(o.Key, "/")
		keys[parts[0]+"/"+parts[1]] = true
	}
	if len(kinds) != 3 || len(paths) != 2 || len(keys) != 2 || !keys["p/register"] || !keys["p/once"] {
		t.Errorf("the kinds were %v, the paths %v, the keys %v", kinds, paths, keys)
	}
	if err := errors.Join(history.Check(operations, time.Minute), history.ReadBack(operations)); err != nil {
		t.Error(err)
	}
}

func TestSwapsThatFitAndThatDoNot(t *testing.T) {
	t.Parallel()
	_, w := start(t)
	ctx := t.Context()
	for _, s := range []store{&library{w.library}, w.plain[0]} {
		c := &worker{Workload: w.Workload, store: s, path: history.Library}
		for range 20 {
			key, first, second, third := w.register(), w.nextNumber(), w.nextNumber(), w.nextNumber()
			fits := history.Operation{Kind: history.CAS, Key: key, Expected: first, New: second}
			absent := history.Operation{Kind: history.CAS, Key: key, New: third} // assumes that the key is absent
			c.one(ctx, &history.Operation{Kind: history.Put, Key: key, Value: first})
			c.one(ctx, &fits)
			c.one(ctx, &absent)
			c.one(ctx, &history.Operation{Kind: history.Get, Key: key})
			if !fits.Swapped || absent.Swapped || absent.Value != second {
				t.Errorf("got %+v and %+v", fits, absent)
			}
		}
	}
	if err := errors.Join(history.Check(w.Operations(), time.Minute), history.ReadBack(w.Operations())); err != nil {
		t.Error(err)
	}
	c := &worker{Workload: w.Workload, store: &library{w.library}, path: history.Library}
	c.one(ctx, &history.Operation{Kind: history.Put, Key: "last", Value: w.nextNumber()})
	if err := history.ReadBack(w.Operations()); err == nil {
		t.Error("the last put was not read back, without an error")
	}
	w.ReadBack(ctx)
	if err := history.ReadBack(w.Operations()); err != nil {
		t.Error(err)
	}
}

func TestTheEndOfTheContextEndsTheReadBack(t *testing.T) {
	t.Parallel()
	cluster, w := start(t)
	c := &worker{Workload: w.Workload, store: &library{w.library}, path: history.Library}
	c.one(t.Context(), c.put())
	for _, n := range cluster.Nodes {
		n.Kill()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.ReadBack(ctx) // returns
}

func TestTheLossOfAKeyIsFound(t *testing.T) {
	t.Parallel()
	cluster, w := start(t)
	work(t, w, 100)
	cluster.Lose("register/0-1")
	w.ReadBack(t.Context())
	violation, ok := errors.AsType[*history.Violation](history.Check(w.Operations(), time.Minute))
	if !ok || violation.Key != "register/0-1" {
		t.Errorf("got %v, want a violation on register/0-1", violation)
	}
	findings := history.Account(w.Operations())
	if len(findings) == 0 || findings[0].Fault != history.Lost || findings[0].Key != "register/0-1" {
		t.Errorf("found %v", findings)
	}
}

func TestANodeThatHoldsSomethingElseIsFound(t *testing.T) {
	t.Parallel()
	cluster, w := start(t)
	work(t, w, 100)
	cluster.Nodes[1].Intercept(func(out http.ResponseWriter, r *http.Request) bool {
		odd := strings.HasSuffix(r.URL.Path, "0-1") && r.URL.Query().Get(api.ParamConsistency) == string(api.Stale)
		if odd {
			_, _ = out.Write([]byte(`{"key":"register/0-1","value":4711,"mod_revision":1,"version":1}`))
		}
		return odd
	})
	err := w.Diverged(t.Context())
	if err == nil || !strings.Contains(err.Error(), "register/0-1") || !strings.Contains(err.Error(), "4711") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotAnsweredIsOfUnknownOutcome(t *testing.T) { // T49
	t.Parallel()
	cluster, w := start(t)
	for _, n := range cluster.Nodes {
		n.Intercept(func(out http.ResponseWriter, _ *http.Request) bool {
			clienttest.Cut(out)
			return true
		})
	}
	c := &worker{Workload: w.Workload, store: w.plain[0], path: history.Plain, node: 1}
	c.one(t.Context(), c.incr())
	c.one(t.Context(), c.put())
	c.many(t.Context(), c.put(), c.cas())
	for _, o := range w.Operations() {
		counts := o.Kind == history.Incr && o.Value != 0
		if o.Outcome != history.Unknown || o.Code != string(api.CodeOutcomeUnknown) || counts {
			t.Errorf("got %+v", o)
		}
	}
}

func TestEveryIncrementHasADigitOfItsOwn(t *testing.T) {
	t.Parallel()
	_, w := start(t)
	type digit struct {
		key string
		by  int64
	}
	taken, keys := map[digit]bool{}, map[string]int64{}
	for range 5 * counters * history.CounterLife {
		key, by := w.step()
		if taken[digit{key, by}] {
			t.Fatalf("%s is incremented by %d a second time", key, by)
		}
		taken[digit{key, by}] = true
		keys[key] += by
	}
	for key, sum := range keys {
		if sum >= 1<<53 {
			t.Errorf("%s may become %d, which not every reader of JSON keeps", key, sum)
		}
	}
}
