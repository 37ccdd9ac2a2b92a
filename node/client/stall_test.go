package client_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// warm writes until the client has found the cluster: until its writes go where it wants them.
func warm(t *testing.T, c *client.Client, there func() int) {
	t.Helper()
	for range 100 {
		before := there()
		if _, err := c.Put(t.Context(), "warm", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for what it asked about the cluster meanwhile
		if there() > before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the writes never went where they should")
}

func (w *network) batches(i int) func() int { return func() int { return len(w.Nodes[i].Batches()) } }

// written counts the log's entries that change a key.
func (w *network) written(key string) int {
	n := 0
	for _, e := range w.Log() {
		var command api.Command
		if json.Unmarshal(e.Command, &command) == nil && command.Key == key {
			n++
		}
	}
	return n
}

// A kept connection through a Service always leads to the same node; if that is cut off from the others, the client
// must leave it for another.
func TestIsolatedNodeBehindAServiceIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for _, h := range w.hosts {
			w.hide(h)
		}
		w.balance(w.hosts[2])
		c := w.connect(t, client.Config{})
		warm(t, c, w.batches(2))
		w.Nodes[2].Isolate(true)
		w.balance(w.hosts...)
		for i := range 20 {
			key, began := "key"+strconv.Itoa(i), time.Now()
			if _, err := c.Put(t.Context(), key, nil); err != nil {
				t.Fatalf("put %d: %v", i, err)
			}
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("put %d took %v", i, took)
			}
			if n := w.written(key); n != 1 { // T49
				t.Errorf("put %d was done %d times", i, n)
			}
		}
		if _, err := c.Get(t.Context(), "key1"); err != nil {
			t.Error(err)
		}
	})
}

// The isolated node may also be one that is known by its own address: then the others are asked instead.
func TestIsolatedNodeIsAskedLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		w.balance(w.hosts[1])
		c := w.connect(t, client.Config{})
		warm(t, c, w.batches(0))
		w.leave(w.hosts[0])
		w.Nodes[2].Isolate(true)
		w.Nodes[2].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == api.PathBatch {
				time.Sleep(time.Second) // it hopes for a leader
			}
			return false
		})
		const puts = 100
		slow := 0
		for i := range puts {
			began := time.Now()
			if _, err := c.Put(t.Context(), "key"+strconv.Itoa(i), nil); err != nil {
				t.Fatalf("put %d: %v", i, err)
			}
			if time.Since(began) > 500*time.Millisecond {
				slow++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if slow > 1 {
			t.Errorf("%d of %d puts waited for the isolated node", slow, puts)
		}
	})
}

// While no node leads, a client must not open connections as fast as it can.
func TestWithoutALeaderConnectionsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for i, h := range w.hosts {
			w.hide(h)
			w.Nodes[i].Isolate(true)
		}
		c := w.connect(t, client.Config{Timeout: 20 * time.Second})
		_, err := c.Put(t.Context(), "k", nil)
		wantCode(t, err, api.CodeNoLeader)
		if n := w.dialled(serviceAddress); n > 200 {
			t.Errorf("in 20 s %d connections were begun", n)
		}
	})
}

// After a pod was replaced its name may lead to a dead address for half a minute: dials to it hang.
func TestDeadAddressOfTheLeaderCostsNoSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		c := w.connect(t, client.Config{})
		warm(t, c, w.batches(0))
		w.leave(w.hosts[1])
		w.Elect(2)
		before := w.dialled(w.hosts[1].address)
		began := time.Now()
		for i := range 20 {
			if _, err := c.Put(t.Context(), "key"+strconv.Itoa(i), nil); err != nil {
				t.Fatalf("put %d: %v", i, err)
			}
			if _, err := c.Get(t.Context(), "key"+strconv.Itoa(i)); err != nil {
				t.Fatalf("get %d: %v", i, err)
			}
		}
		// Once for each lane, of writes and of reads, which have connections of their own.
		if took := time.Since(began); took > 400*time.Millisecond {
			t.Errorf("20 puts and gets took %v", took)
		}
		if n := w.dialled(w.hosts[1].address) - before; n > 6 {
			t.Errorf("the dead address was dialled %d times", n)
		}
	})
}

// The slow address may be slow and not dead: who is first, serves.
func TestFirstConnectionWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 1)
		dial := w.dial
		config := client.Config{
			Endpoints: []string{"http://far:8080", "http://dead:8080"},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if address == "far:8080" {
					time.Sleep(400 * time.Millisecond)
					address = serviceAddress
				}
				return dial(ctx, network, address)
			},
		}
		c := connect(t, config)
		for i := range 5 {
			key := "key" + strconv.Itoa(i)
			if _, err := c.Put(t.Context(), key, nil); err != nil {
				t.Fatal(err)
			}
			if n := w.written(key); n != 1 { // T49
				t.Errorf("put %d was done %d times", i, n)
			}
		}
	})
}

// When the leader's machine is cut off no connection ends: its packets vanish. The next write is due as soon as the
// others have a leader, and what was in flight is of unknown outcome then (T49), or a read, which is repeated.
func TestCutOffLeaderIsLeftWhenAnotherIsElected(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{100 * time.Millisecond, time.Second, 1900 * time.Millisecond, 4 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(t, 3)
			w.balance(w.hosts...)
			c := w.connect(t, client.Config{Timeout: 10 * time.Second})
			warm(t, c, w.batches(0))
			if _, err := c.Get(t.Context(), "warm"); err != nil {
				t.Fatal(err)
			}
			w.setSilent(w.hosts[0], true)
			var elected time.Time
			time.AfterFunc(after, func() {
				elected = time.Now()
				w.Elect(2)
			})
			read := make(chan error, 1)
			go func() {
				_, err := c.Get(t.Context(), "warm")
				read <- err
			}()
			_, err := c.Put(t.Context(), "in flight", nil)
			wantCode(t, err, api.CodeOutcomeUnknown)
			if _, err := c.Put(t.Context(), "next", nil); err != nil {
				t.Fatal(err)
			}
			// Before SlowAfter no question is asked; then often, but less often the longer it lasts.
			if took := time.Since(elected); took > max(600*time.Millisecond-after, 0)+after/10+20*time.Millisecond {
				t.Errorf("elected after %v, the next write took %v more", after, took)
			}
			if err := <-read; err != nil {
				t.Errorf("the read: %v", err)
			}
		})
	}
}

// Behind a Service alone, too, a connection to a machine that is cut off is left when there is another leader.
func TestCutOffNodeBehindAServiceIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for _, h := range w.hosts {
			w.hide(h)
		}
		w.balance(w.hosts[0])
		c := w.connect(t, client.Config{Timeout: 10 * time.Second})
		warm(t, c, w.batches(0))
		w.setSilent(w.hosts[0], true)
		w.balance(w.hosts[1], w.hosts[2], w.hosts[0])
		time.AfterFunc(time.Second, func() { w.Elect(2) })
		began := time.Now()
		_, err := c.Put(t.Context(), "in flight", nil)
		wantCode(t, err, api.CodeOutcomeUnknown)
		if _, err := c.Put(t.Context(), "next", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("a leader was there after 1 s, the next write done after %v", took)
		}
	})
}

// A leader that hands over still answers what it took: that is not ended with an unknown outcome.
func TestHandoverLeavesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		c := w.connect(t, client.Config{})
		warm(t, c, w.batches(0))
		arrived := make(chan struct{}, 1)
		w.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == api.PathBatch {
				arrived <- struct{}{}
				time.Sleep(150 * time.Millisecond)
			}
			return false
		})
		done := make(chan error, 1)
		go func() {
			_, err := c.Put(t.Context(), "in flight", nil)
			done <- err
		}()
		<-arrived
		w.Elect(2)
		// From here it is known who leads.
		if _, err := c.Get(t.Context(), "warm", client.Consistency(api.Stale)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Behind a Service a dead node may stay for a while: a request that meets it must not wait for it.
func TestDeadNodeBehindAServiceCostsNoSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for _, h := range w.hosts {
			w.hide(h)
		}
		w.setSilent(w.hosts[1], true)
		w.balance(w.hosts[1])
		c := w.connect(t, client.Config{})
		time.AfterFunc(100*time.Millisecond, func() { w.balance(w.hosts[0], w.hosts[2]) })
		began := time.Now()
		if _, err := c.Put(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("the put took %v", took)
		}
	})
}

// A client that asks through a Service must reach each node behind it, and not always the same.
func TestQuestionsToAServiceGoToAllItsNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3)
		for _, h := range w.hosts {
			w.hide(h)
		}
		c := w.connect(t, client.Config{})
		reached := make(map[uint64]bool)
		for range 3 * len(w.hosts) {
			for _, o := range c.Observe(t.Context()) {
				if o.Configured && o.Err == nil {
					reached[o.View.NodeID] = true
				}
			}
		}
		if len(reached) != len(w.hosts) {
			t.Errorf("reached nodes %v", reached)
		}
	})
}
