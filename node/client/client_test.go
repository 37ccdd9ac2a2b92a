package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func connect(t testing.TB, config client.Config) *client.Client {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func wantCode(t testing.TB, err error, want api.Code) api.Error {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Fatalf("got error %v, want code %s", err, want)
	}
	return *e
}

func TestEveryKindOfCommand(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()[1:2]}) // a follower is enough
	ctx := t.Context()

	put, err := c.Put(ctx, "a/b", []byte("line 1\n\"line\" 2 \\ \x01 ü"), client.ContentType("text/plain"))
	if err != nil || !put.Created || put.Revision == 0 {
		t.Fatalf("put: %+v, %v", put, err)
	}
	item, err := c.Get(ctx, "a/b")
	if err != nil || string(item.Value) != "line 1\n\"line\" 2 \\ \x01 ü" || item.ContentType != "text/plain" ||
		item.Revision != put.Revision {
		t.Fatalf("get: %+v, %v", item, err)
	}
	if _, err = c.Put(ctx, "a/b", nil, client.IfRevision(put.Revision+7)); err == nil {
		t.Fatal("a put with the wrong revision went through")
	}
	if e := wantCode(t, err, api.CodePreconditionFailed); e.Revision != put.Revision {
		t.Fatalf("the refusal names revision %d, want %d", e.Revision, put.Revision)
	}
	_, err = c.Put(ctx, "a/b", nil, client.IfAbsent())
	wantCode(t, err, api.CodePreconditionFailed)
	if _, err := c.Put(ctx, "a/b", nil, client.IfRevision(put.Revision)); err != nil {
		t.Fatal(err)
	}
	item, err = c.Get(ctx, "a/b", client.Consistency(api.Stale))
	if err != nil || len(item.Value) != 0 || item.Version != 2 {
		t.Fatalf("stale get: %+v, %v", item, err)
	}
	if n, err := c.Incr(ctx, "n", 5); err != nil || n.Value != 5 {
		t.Fatalf("incr: %+v, %v", n, err)
	}
	if n, err := c.Incr(ctx, "n", -7); err != nil || n.Value != -2 || n.Revision == 0 {
		t.Fatalf("incr: %+v, %v", n, err)
	}
	if s, err := c.CAS(ctx, "c", nil, map[string]int{"x": 1}); err != nil || !s.Swapped || s.Revision == 0 {
		t.Fatalf("cas: %+v, %v", s, err)
	}
	if s, err := c.CAS(ctx, "c", nil, 2); err != nil || s.Swapped || string(s.Value) != `{"x":1}` {
		t.Fatalf("cas: %+v, %v", s, err)
	}
	if _, err := c.Set(ctx, "s", "<text>"); err != nil {
		t.Fatal(err)
	}
	if item, err := c.Get(ctx, "s", client.MinRevision(1)); err != nil || string(item.Value) != `"<text>"` {
		t.Fatalf("get of a set: %+v, %v", item, err)
	}
	if d, err := c.Delete(ctx, "s"); err != nil || !d.Deleted || d.Revision == 0 {
		t.Fatalf("delete: %+v, %v", d, err)
	}
	if d, err := c.Delete(ctx, "s"); err != nil || d.Deleted || d.Revision != 0 {
		t.Fatalf("second delete: %+v, %v", d, err)
	}
	_, err = c.Get(ctx, "s")
	wantCode(t, err, api.CodeNotFound)
	r, err := c.Command(ctx, api.Command{Op: api.OpGet, Key: "c"})
	if err != nil || string(r.Result) != `{"x":1}` || r.Record == nil || r.Record.ContentType != "application/json" {
		t.Fatalf("command: %+v, %v", r, err)
	}
}

func TestBytesSurvive(t *testing.T) {
	t.Parallel()
	c := connect(t, client.Config{Endpoints: clienttest.New(t, 1).URLs()})
	for _, contentType := range []string{"", "text/plain", "application/json", "application/json; charset=utf-8"} {
		for _, value := range []string{"", "x", "\x00\xff", `"quoted"`, `{"a":1}`, `{"a": [1, 2]}`, "ü€", "</script>"} {
			_, err := c.Put(t.Context(), "k", []byte(value), client.ContentType(contentType))
			if strings.HasPrefix(contentType, "application/json") && !json.Valid([]byte(value)) {
				wantCode(t, err, api.CodeInvalid)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			item, err := c.Get(t.Context(), "k")
			if strings.HasPrefix(contentType, "application/json") && string(item.Value) == `{"a":[1,2]}` {
				continue // JSON may lose its white space
			}
			if err != nil || string(item.Value) != value {
				t.Errorf("%s %q came back as %q, %v", contentType, value, item.Value, err)
			}
		}
	}
}

func TestConcurrentPutsShareRequests(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	leader := cluster.Nodes[0]
	c := connect(t, client.Config{Endpoints: cluster.URLs(), Inflight: 2})
	if _, err := c.Put(t.Context(), "warm", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client has found the leader", func() bool {
		before := len(leader.Batches())
		_, err := c.Put(t.Context(), "warm", nil)
		return err == nil && len(leader.Batches()) > before
	})
	held := make(chan struct{})
	var arrived atomic.Int32
	leader.Intercept(func(http.ResponseWriter, *http.Request) bool {
		arrived.Add(1)
		<-held
		return false
	})
	before := len(leader.Batches())
	const n = 300
	var revisions [n]uint64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r, err := c.Put(t.Context(), fmt.Sprint("key", i), []byte("v"))
			if err != nil || !r.Created {
				t.Errorf("put %d: %+v, %v", i, r, err)
			}
			revisions[i] = r.Revision
		})
	}
	eventually(t, "two requests are in flight", func() bool { return arrived.Load() >= 2 })
	close(held)
	wg.Wait()
	requests := leader.Batches()[before:]
	if len(requests) > n/4 {
		t.Errorf("%d puts took %d requests: %v", n, len(requests), requests)
	}
	for i := range n {
		item, err := c.Get(t.Context(), fmt.Sprint("key", i))
		if err != nil || item.Revision != revisions[i] {
			t.Fatalf("key%d: %+v, %v: its put was answered with revision %d", i, item, err, revisions[i])
		}
	}
}

func TestOneFailedLineHarmsNoOther(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	results, err := c.Batch(t.Context(), []api.Command{
		{Op: api.OpSet, Key: "a", Value: []byte("1")},
		{Op: api.OpSet, Key: "a", Value: []byte("2"), IfAbsent: true},
		{Op: api.OpIncr, Key: "a", By: "1"},
		{Op: api.OpGet, Key: "absent"},
		{Op: api.OpGet, Key: "a"},
	})
	if err != nil || len(results) != 5 {
		t.Fatal(results, err)
	}
	if results[0].Error != nil || results[2].Error != nil || string(results[2].Result) != "2" ||
		results[4].Error != nil || string(results[4].Result) != "2" {
		t.Errorf("got %+v", results)
	}
	wantCode(t, results[1].Error, api.CodePreconditionFailed)
	wantCode(t, results[3].Error, api.CodeNotFound)
	_, err = c.Batch(t.Context(), []api.Command{{Op: api.OpSet, Key: "a", Value: []byte("{")}})
	wantCode(t, err, api.CodeInvalid)
}

func TestBatchOverOneRequestKeepsOrder(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	commands := make([]api.Command, 2500)
	for i := range commands {
		commands[i] = api.Command{Op: api.OpIncr, Key: "n", By: "1"}
	}
	results, err := c.Batch(t.Context(), commands)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Error != nil || string(r.Result) != fmt.Sprint(i+1) {
			t.Fatalf("result %d is %s, %v", i, r.Result, r.Error)
		}
	}
	if got := cluster.Nodes[0].Batches(); !slices.Equal(got, []int{1024, 1024, 452}) {
		t.Errorf("the batches had %v lines", got)
	}
}

func TestWritesFollowTheLeader(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()[:1]})
	for _, id := range []uint64{2, 3, 1} {
		cluster.Elect(id)
		eventually(t, fmt.Sprint("writes go to node ", id), func() bool {
			before := len(cluster.Nodes[id-1].Batches())
			_, err := c.Put(t.Context(), "k", nil)
			return err == nil && len(cluster.Nodes[id-1].Batches()) > before
		})
	}
}

func TestStaleReadsGoEverywhere(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	if _, err := c.Put(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range cluster.Nodes {
		eventually(t, "each node answers a stale read", func() bool {
			before := len(n.Batches())
			_, err := c.Get(t.Context(), "k", client.Consistency(api.Stale))
			return err == nil && len(n.Batches()) > before
		})
	}
}

func TestStaleReadsNeedNoLeader(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	if _, err := c.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	cluster.Elect(0)
	if item, err := c.Get(t.Context(), "k", client.Consistency(api.Stale)); err != nil || string(item.Value) != "v" {
		t.Errorf("got %+v, %v", item, err)
	}
}

func TestWaitsForALeader(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	cluster.Elect(0)
	var refusals atomic.Int32
	for _, n := range cluster.Nodes {
		n.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == api.PathBatch && refusals.Add(1) == 5 {
				cluster.Elect(2)
			}
			return false
		})
	}
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	if _, err := c.Put(t.Context(), "k", nil); err != nil {
		t.Fatalf("no_leader means that nothing was done, so the put must be repeated: %v", err)
	}
}

func TestSaysNoLeaderWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	cluster.Elect(0)
	c := connect(t, client.Config{Endpoints: cluster.URLs(), Timeout: 100 * time.Millisecond})
	_, err := c.Put(t.Context(), "k", nil)
	wantCode(t, err, api.CodeNoLeader)
	_, err = c.Get(t.Context(), "k")
	wantCode(t, err, api.CodeNoLeader)
}

// A server that waits for a leader before it answers no_leader must not make the last attempt one of unknown outcome.
func TestNoAttemptBeginsThatCannotEnd(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Elect(0)
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch {
			<-time.After(300 * time.Millisecond) // the server's patience, not the test's
		}
		return false
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs(), Timeout: time.Second})
	_, err := c.Put(t.Context(), "k", nil)
	wantCode(t, err, api.CodeNoLeader)
}

func TestDeadEndpointIsPassedOver(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	cluster.Nodes[1].Kill()
	c := connect(t, client.Config{Endpoints: []string{cluster.Nodes[1].URL, cluster.Nodes[2].URL}})
	for range 10 {
		if _, err := c.Put(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnreachableWhenAllAreDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refuse := func(_ context.Context, network, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		c := connect(t, client.Config{Endpoints: []string{"http://dead:8080"}, DialContext: refuse})
		_, err := c.Put(t.Context(), "k", nil)
		wantCode(t, err, api.CodeUnreachable)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the error hides its cause: %v", err)
		}
		_, err = c.Status(t.Context())
		wantCode(t, err, api.CodeUnreachable)
	})
}

// The last attempt may end by the caller's deadline before anything is known; what the one before found is the cause.
func TestDeadlineDoesNotHideWhyAttemptsFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var puts, dials atomic.Int32
		c := connect(t, client.Config{
			Endpoints: []string{"http://dead:8080"},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				if puts.Load() == 1 && dials.Add(1) > 3 {
					<-ctx.Done() // the address swallows what is sent to it from now on
					return nil, ctx.Err()
				}
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			},
			DialTimeout: time.Minute,
		})
		synctest.Wait()
		puts.Store(1)
		_, err := c.Put(t.Context(), "k", nil)
		wantCode(t, err, api.CodeUnreachable)
		if !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error hides why the attempts failed: %v", err)
		}
	})
}

// T49: a request that may have reached the server is of unknown outcome, and never sent again.
func TestWriteThatMayHaveArrivedIsNeverRepeated(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	var seen atomic.Int32
	for _, n := range cluster.Nodes {
		n.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != api.PathBatch {
				return false
			}
			seen.Add(1)
			clienttest.Cut(w)
			return true
		})
	}
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	_, err := c.Put(t.Context(), "k", nil)
	wantCode(t, err, api.CodeOutcomeUnknown)
	if seen.Load() != 1 {
		t.Errorf("the put was sent %d times", seen.Load())
	}
	_, err = c.TransferLeadership(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
}

// T49, the other half: a read does no harm, so it is sent again.
func TestReadIsRepeated(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	if _, err := c.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int32
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch && seen.Add(1) < 3 {
			clienttest.Cut(w)
			return true
		}
		return false
	})
	if item, err := c.Get(t.Context(), "k"); err != nil || string(item.Value) != "v" {
		t.Fatalf("got %+v, %v", item, err)
	}
}

// T49: a 504 from the server is passed on as what it is.
func TestUnknownFromTheServerIsNotRepeated(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var seen atomic.Int32
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBatch {
			return false
		}
		if seen.Add(1) == 1 {
			clienttest.Fail(w, &api.Error{Code: api.CodeOutcomeUnknown, Message: "the leader was lost"})
		} else {
			w.WriteHeader(http.StatusBadGateway) // a proxy without a body
		}
		return true
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	for range 2 {
		_, err := c.Put(t.Context(), "k", nil)
		wantCode(t, err, api.CodeOutcomeUnknown)
	}
	if seen.Load() != 2 {
		t.Errorf("2 puts were sent %d times", seen.Load())
	}
}

func TestAnswerThatBreaksOffIsUnknownOnlyForTheRest(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBatch {
			return false
		}
		_, _ = w.Write([]byte(`{"index":7,"term":1,"result":1}` + "\n" + `{"index":8,`))
		_ = http.NewResponseController(w).Flush()
		clienttest.Cut(w)
		return true
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	incr := api.Command{Op: api.OpIncr, Key: "n", By: "1"}
	results, err := c.Batch(t.Context(), []api.Command{incr, incr, incr})
	if err != nil || results[0].Error != nil || results[0].Index != 7 {
		t.Fatal(results, err)
	}
	wantCode(t, results[1].Error, api.CodeOutcomeUnknown)
	wantCode(t, results[2].Error, api.CodeOutcomeUnknown)
}

func TestOverloadedIsTriedLater(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var refusals atomic.Int32
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBatch || refusals.Add(1) > 2 {
			return false
		}
		clienttest.Fail(w, &api.Error{Code: api.CodeOverloaded, Message: "later"})
		return true
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	if _, err := c.Put(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		clienttest.Fail(w, &api.Error{Code: api.CodeOverloaded, Message: "much later", RetryAfter: time.Hour})
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.Put(ctx, "k", nil)
	if e := wantCode(t, err, api.CodeOverloaded); e.RetryAfter != time.Hour {
		t.Errorf("Retry-After is %v", e.RetryAfter)
	}
}

func TestCanceledCallerDisturbsNoOther(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	node := cluster.Nodes[0]
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	held, arrived := make(chan struct{}), make(chan struct{})
	var once sync.Once
	node.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch {
			once.Do(func() { close(arrived) })
			<-held
		}
		return false
	})
	put := func(ctx context.Context, key string) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Put(ctx, key, []byte("v"))
			done <- err
		}()
		return done
	}
	sentCtx, cancelSent := context.WithCancel(t.Context())
	sent := put(sentCtx, "sent")
	<-arrived
	queuedCtx, cancelQueued := context.WithCancel(t.Context())
	first, queued, last := put(t.Context(), "first"), put(queuedCtx, "queued"), put(t.Context(), "last")
	cancelSent()
	wantCode(t, <-sent, api.CodeOutcomeUnknown)
	cancelQueued()
	err := <-queued
	wantCode(t, err, api.CodeCanceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error hides context.Canceled: %v", err)
	}
	close(held)
	if err := errors.Join(<-first, <-last); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), "queued"); api.ErrorCode(err) != api.CodeNotFound {
		t.Errorf("the canceled put was sent all the same: %v", err)
	}
	if _, err := c.Get(t.Context(), "sent"); err != nil {
		t.Errorf("the put that was sent and then left alone: %v", err)
	}
}

func TestHangingLeaderIsLeftForTheNewOne(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{
		Endpoints: cluster.URLs(), SlowAfter: 20 * time.Millisecond,
		ProbeTimeout: 100 * time.Millisecond, Timeout: 20 * time.Second,
	})
	eventually(t, "writes go to node 1", func() bool {
		_, err := c.Put(t.Context(), "k", []byte("v"))
		return err == nil && len(cluster.Nodes[0].Batches()) > 0
	})
	held := make(chan struct{})
	defer close(held)
	cluster.Nodes[0].Intercept(func(http.ResponseWriter, *http.Request) bool {
		<-held
		return true
	})
	cluster.Elect(2)
	if _, err := c.Get(t.Context(), "k"); err != nil {
		t.Fatalf("the read must move on: %v", err)
	}
	if _, err := c.Put(t.Context(), "k", nil); err != nil {
		t.Fatalf("the next write must go to the new leader: %v", err)
	}
}

func TestEventsMoveToAnotherNode(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 2)
	for _, n := range cluster.Nodes {
		n.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != api.PathEvents {
				return false
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, ": hello\n\nid: 5\nevent: raft\ndata: {\"cursor\":5,\"node\":%d}\n\n"+
				"event: later\ndata: ?\n\nevent: status\ndata: {\"observer\":%d}\n\nevent: raft\ndata: {", n.ID, n.ID)
			return true
		})
	}
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	seen := make(map[string]bool)
	for event, err := range c.Events(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Raft != nil {
			seen[fmt.Sprint("raft ", event.Raft.Node, " ", event.Raft.Cursor)] = true
		} else {
			seen[fmt.Sprint("status ", event.Status.Observer)] = true
		}
		if len(seen) == 4 {
			break
		}
	}
	if !seen["raft 1 5"] || !seen["raft 2 5"] || !seen["status 1"] || !seen["status 2"] {
		t.Errorf("saw %v", seen)
	}
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		clienttest.Fail(w, &api.Error{Code: api.CodeForbidden, Message: "no"})
		return true
	})
	cluster.Nodes[1].Kill()
	for _, err := range c.Events(t.Context(), 0) {
		if err != nil {
			wantCode(t, err, api.CodeForbidden)
			return
		}
	}
	t.Error("the stream ended without an error")
}

func TestCloseFailsWhatComesLater(t *testing.T) {
	t.Parallel()
	c := connect(t, client.Config{Endpoints: clienttest.New(t, 1).URLs()})
	c.Close()
	_, err := c.Put(t.Context(), "k", nil)
	wantCode(t, err, api.CodeCanceled)
}

func TestEndpointsAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{
		nil, {"ftp://x"}, {"http://"}, {"http://u:p@x"}, {"http://x?y=1"}, {"::"}, {"h:99999"}, {"http://h:0"},
	} {
		_, err := client.New(client.Config{Endpoints: bad})
		wantCode(t, err, api.CodeInvalid)
	}
}

func TestTheSlashesBehindAnEndpointDoNotCount(t *testing.T) {
	t.Parallel()
	for _, slashes := range []string{"", "/", "///"} {
		c := connect(t, client.Config{Endpoints: []string{clienttest.New(t, 1).URLs()[0] + slashes}})
		if _, err := c.Put(t.Context(), "k", []byte("v")); err != nil {
			t.Errorf("%q: %v", slashes, err)
		}
		if _, err := c.Get(t.Context(), "k", client.MinRevision(1)); err != nil {
			t.Errorf("%q: %v", slashes, err)
		}
	}
}

func TestBadRequestsAreRefusedHere(t *testing.T) {
	t.Parallel()
	c := connect(t, client.Config{Endpoints: clienttest.New(t, 1).URLs()})
	_, err := c.Put(t.Context(), "", nil)
	wantCode(t, err, api.CodeInvalid)
	_, err = c.Get(t.Context(), "\xff")
	wantCode(t, err, api.CodeInvalid)
	_, err = c.Set(t.Context(), "k", func() {})
	wantCode(t, err, api.CodeInvalid)
}

func TestClusterQuestions(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()[:1]})
	ctx := t.Context()
	for i := range 5 {
		if _, err := c.Set(ctx, "k", i); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := c.Status(ctx); err != nil || len(s.Nodes) != 3 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if s, err := c.StatusOf(ctx, cluster.Nodes[2].URL); err != nil || s.Observer != 3 {
		t.Errorf("status of node 3: %+v, %v", s, err)
	}
	if v, err := c.Cluster(ctx); err != nil || v.LeaderID != 1 {
		t.Errorf("cluster: %+v, %v", v, err)
	}
	if p, err := c.Logs(ctx, 2, 2); err != nil || len(p.Entries) != 2 || p.Entries[0].Index != 2 || p.LastIndex != 5 {
		t.Errorf("logs: %+v, %v", p, err)
	}
	if r, err := c.TransferLeadership(ctx, 3); err != nil || r.LeaderID != 3 {
		t.Errorf("transfer: %+v, %v", r, err)
	}
	_, err := c.TransferLeadership(ctx, 9)
	wantCode(t, err, api.CodeInvalid)
	if err := errors.Join(c.Livez(ctx, cluster.Nodes[1].URL), c.Readyz(ctx, cluster.Nodes[1].URL)); err != nil {
		t.Error(err)
	}
	cluster.Nodes[1].Kill()
	eventually(t, "all members are observed", func() bool { return len(c.Observe(ctx)) == 3 })
	for _, o := range c.Observe(ctx) {
		if dead := o.Endpoint == cluster.Nodes[1].URL; dead != (o.View == nil) || dead != (o.Err != nil) {
			t.Errorf("observed %+v", o)
		}
	}
}
