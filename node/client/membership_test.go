package client_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func twoClusters(t *testing.T) (a, b *clienttest.Cluster) {
	t.Helper()
	a, b = clienttest.New(t, 1), clienttest.New(t, 1)
	a.SetID("cluster-a")
	b.SetID("cluster-b")
	return a, b
}

func wantBothClusters(t *testing.T, err error) {
	t.Helper()
	e := wantCode(t, err, api.CodeInvalid)
	if !strings.Contains(e.Message, "cluster-a") || !strings.Contains(e.Message, "cluster-b") {
		t.Errorf("the error does not name both clusters: %v", err)
	}
}

func TestEndpointsOfTwoClustersAreRefused(t *testing.T) {
	t.Parallel()
	for what, call := range map[string]func(ctx context.Context, c *client.Client) error{
		"incr": func(ctx context.Context, c *client.Client) error { _, err := c.Incr(ctx, "n", 1); return err },
		"stale": func(ctx context.Context, c *client.Client) error {
			_, err := c.Get(ctx, "n", client.Consistency(api.Stale))
			return err
		},
		"batch": func(ctx context.Context, c *client.Client) error {
			results, err := c.Batch(ctx, []api.Command{{Op: api.OpIncr, Key: "n"}})
			if err != nil {
				return err
			}
			return results[0].Error
		},
		"transfer": func(ctx context.Context, c *client.Client) error {
			_, err := c.TransferLeadership(ctx, 0)
			return err
		},
		"check": func(ctx context.Context, c *client.Client) error { return c.CheckEndpoints(ctx) },
		"events": func(ctx context.Context, c *client.Client) error {
			for _, err := range c.Events(ctx, 0) {
				return err
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a, b := twoClusters(t)
			for _, urls := range [][]string{
				{a.URLs()[0], b.URLs()[0]}, {b.URLs()[0], a.URLs()[0]}, {"http://127.0.0.1:1", a.URLs()[0], b.URLs()[0]},
			} {
				c := connect(t, client.Config{Endpoints: urls})
				for range 2 {
					wantBothClusters(t, call(t.Context(), c))
				}
			}
			if len(a.Log())+len(b.Log()) > 0 {
				t.Error("a write was done")
			}
		})
	}
}

// The address of one of several nodes was given to a node of another cluster.
func TestAnEndpointThatBecomesAnotherClustersIsDropped(t *testing.T) {
	t.Parallel()
	a, b := clienttest.New(t, 2), clienttest.New(t, 1)
	a.SetID("cluster-a")
	b.SetID("cluster-b")
	c := connect(t, client.Config{Endpoints: a.URLs()})
	if _, err := c.Incr(t.Context(), "n", 1); err != nil {
		t.Fatal(err)
	}
	take := func(n *clienttest.Node) {
		var batches atomic.Int64
		n.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			// A connection that fails makes the client ask who is there, but not while it asks already.
			if r.URL.Path == api.PathBatch && batches.Add(1)%5 == 1 {
				clienttest.Cut(w)
				return true
			}
			b.Nodes[0].Handler().ServeHTTP(w, r)
			return true
		})
	}
	take(a.Nodes[1])
	eventually(t, "no stale read goes to the other cluster", func() bool {
		for range 20 {
			if _, err := c.Get(t.Context(), "n", client.Consistency(api.Stale)); err != nil {
				wantCode(t, err, api.CodeNotFound)
				return false
			}
		}
		return true
	})
	if _, err := c.Incr(t.Context(), "n", 1); err != nil || len(b.Log()) > 0 {
		t.Errorf("the endpoint that is left is not used: %v, %v", err, b.Log())
	}
	take(a.Nodes[0])
	eventually(t, "no endpoint is left", func() bool {
		_, err := c.Get(t.Context(), "n", client.Consistency(api.Stale))
		return api.ErrorCode(err) == api.CodeInvalid
	})
	_, err := c.Incr(t.Context(), "n", 1)
	wantBothClusters(t, err)
}
