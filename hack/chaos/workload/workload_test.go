package workload

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/e2e/history"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// start makes a cluster that lives in memory, and a workload for it.
func start(t *testing.T) (*clienttest.Cluster, *Workload) {
	t.Helper()
	cluster := clienttest.New(t, 3)
	w, err := New(cluster.URLs())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return cluster, w
}

// work lets the clients do something, and gives what they did.
func work(t *testing.T, w *Workload, operations int) []history.Operation {
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

func TestTheLossOfAKeyIsFound(t *testing.T) {
	t.Parallel()
	cluster, w := start(t)
	work(t, w, 100)
	cluster.Lose("register/0-1")
	w.ReadBack(t.Context())
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
		odd := strings.HasSuffix(r.URL.Path, "0-1") && r.URL.Query().Get(client.ParamConsistency) == string(client.Stale)
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
	c := &worker{Workload: w, store: &one{w.nodes[0]}, path: history.Plain, node: 1}
	c.one(t.Context(), c.incr())
	c.one(t.Context(), c.put())
	c.many(t.Context(), c.put(), c.cas())
	for _, o := range w.Operations() {
		counts := o.Kind == history.Incr && o.Value != 0
		if o.Outcome != history.Unknown || o.Code != string(client.CodeOutcomeUnknown) || counts {
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
