package client_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func direct(t *testing.T, config client.Config) *client.Direct {
	t.Helper()
	d := client.NewDirect(config)
	t.Cleanup(d.Close)
	return d
}

// asked counts the requests that a node was sent.
func asked(n *clienttest.Node) *atomic.Int64 {
	count := new(atomic.Int64)
	n.Intercept(func(http.ResponseWriter, *http.Request) bool {
		count.Add(1)
		return false
	})
	return count
}

func TestDirectAsksTheNodeItWasTold(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	counts := []*atomic.Int64{asked(cluster.Nodes[0]), asked(cluster.Nodes[1]), asked(cluster.Nodes[2])}
	d := direct(t, client.Config{})

	view, err := d.View(t.Context(), cluster.Nodes[1].URL)
	if err != nil || view.NodeID != 2 || view.LeaderID != 1 || !view.Ready || view.State != api.StateMember ||
		!slices.Equal(view.SeenMembers, []uint64{1, 2, 3}) || len(view.Config.Members) != 3 {
		t.Fatalf("view: %+v, %v", view, err)
	}
	moved, err := d.Transfer(t.Context(), cluster.Nodes[1].URL, api.TransferRequest{To: 3, ExpectedTerm: 1})
	if err != nil || moved.LeaderID != 3 || moved.Term != 2 {
		t.Fatalf("transfer: %+v, %v", moved, err)
	}
	_, err = d.Transfer(t.Context(), cluster.Nodes[1].URL, api.TransferRequest{To: 9})
	wantCode(t, err, api.CodeInvalid)
	_, err = d.Transfer(t.Context(), cluster.Nodes[1].URL, api.TransferRequest{To: 1, ExpectedTerm: 1})
	wantCode(t, err, api.CodeConflict)
	if a, b, c := counts[0].Load(), counts[1].Load(), counts[2].Load(); a != 0 || b != 4 || c != 0 {
		t.Fatalf("the nodes were asked %d, %d and %d times, want only the second, four times", a, b, c)
	}
}

func TestDirectBootstrapIsRepeatable(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	d := direct(t, client.Config{})
	view, err := d.View(t.Context(), cluster.Nodes[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	request := api.BootstrapRequest{ClusterID: view.ClusterID, NodeID: 1, Members: view.Config.Members}
	for range 2 {
		again, err := d.Bootstrap(t.Context(), cluster.Nodes[0].URL, request)
		if err != nil || again.NodeID != 1 || again.ClusterID != view.ClusterID {
			t.Fatalf("bootstrap: %+v, %v", again, err)
		}
	}
	request.ClusterID = "another"
	_, err = d.Bootstrap(t.Context(), cluster.Nodes[0].URL, request)
	wantCode(t, err, api.CodeConflict)
}

// A pod that was replaced has another address under the same name, and an idle connection may lead to the old one.
func TestDirectConnectsAnewEachTime(t *testing.T) { // O20
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var dials atomic.Int64
	d := direct(t, client.Config{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	for range 3 {
		if _, err := d.View(t.Context(), cluster.Nodes[0].URL); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n != 3 {
		t.Fatalf("three questions made %d connections, want 3", n)
	}
}

func TestUnreachableIsToldApartFromUnknown(t *testing.T) { // O4, T49
	t.Parallel()
	cluster := clienttest.New(t, 2)
	cluster.Nodes[0].Kill()
	cuts := new(atomic.Int64)
	cluster.Nodes[1].Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		cuts.Add(1)
		clienttest.Cut(w)
		return true
	})
	d := direct(t, client.Config{})
	request := api.BootstrapRequest{ClusterID: "c", NodeID: 1}

	_, err := d.View(t.Context(), cluster.Nodes[0].URL)
	wantCode(t, err, api.CodeUnreachable)
	_, err = d.Bootstrap(t.Context(), cluster.Nodes[0].URL, request)
	wantCode(t, err, api.CodeUnreachable)
	_, err = d.View(t.Context(), cluster.Nodes[1].URL)
	wantCode(t, err, api.CodeUnreachable)
	if n := cuts.Load(); n != 1 {
		t.Fatalf("a question was sent %d times, want once", n)
	}
	_, err = d.Bootstrap(t.Context(), cluster.Nodes[1].URL, request)
	wantCode(t, err, api.CodeOutcomeUnknown)
	if n := cuts.Load(); n != 2 {
		t.Fatalf("an order that may have arrived was sent %d times, want once", n-1)
	}
	_, err = d.View(t.Context(), "ftp://nowhere")
	wantCode(t, err, api.CodeInvalid)
}

func TestDirectGivesUpWhenTimeIsOver(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // the server looks for the end of a connection after that
		<-r.Context().Done()               // until the client hangs up
		return true
	})
	d := direct(t, client.Config{Timeout: 50 * time.Millisecond})
	_, err := d.View(t.Context(), cluster.Nodes[0].URL)
	wantCode(t, err, api.CodeUnreachable)
	_, err = d.Transfer(t.Context(), cluster.Nodes[0].URL, api.TransferRequest{})
	wantCode(t, err, api.CodeOutcomeUnknown)
}

func TestDirectReadsNoEndlessAnswer(t *testing.T) { // H4
	t.Parallel()
	cluster := clienttest.New(t, 1)
	sent := new(atomic.Int64)
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		_, err := io.WriteString(w, `{"version":"`)
		for chunk := make([]byte, 1<<16); err == nil && sent.Load() < 1<<28; {
			var n int
			n, err = w.Write(chunk)
			sent.Add(int64(n))
		}
		return true
	})
	_, err := direct(t, client.Config{}).View(t.Context(), cluster.Nodes[0].URL)
	wantCode(t, err, api.CodeUnreachable)
	if n := sent.Load(); n > 1<<26 { // what is on its way in the buffers of the network counts, too
		t.Errorf("%d bytes of an answer were taken", n)
	}
}
