package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Status asks one node how the whole cluster looks from there: any that answers.
func (c *Client) Status(ctx context.Context) (api.ClusterStatus, error) {
	var s api.ClusterStatus
	err := c.exchangeAny(ctx, httpRequest{method: http.MethodGet, path: api.PathStatus}, &s)
	return s, err
}

// StatusOf asks the node at this endpoint how the whole cluster looks from there, once.
func (c *Client) StatusOf(ctx context.Context, endpoint string) (api.ClusterStatus, error) {
	var s api.ClusterStatus
	err := c.exchangeOne(ctx, endpoint, httpRequest{method: http.MethodGet, path: api.PathStatus}, &s)
	return s, err
}

// Cluster asks for one node's own view: the leader's if there is one, else any that answers.
func (c *Client) Cluster(ctx context.Context) (api.ClusterView, error) {
	var v api.ClusterView
	err := c.exchangeAny(ctx, httpRequest{method: http.MethodGet, path: api.PathCluster}, &v)
	return v, err
}

// Logs returns up to limit entries of the log from an index on, as one node's disk has them; from 0: the end of
// the log, limit 0: api.DefaultLogEntries.
func (c *Client) Logs(ctx context.Context, from uint64, limit int) (api.LogPage, error) {
	query := url.Values{}
	if from > 0 {
		query.Set(api.ParamFrom, strconv.FormatUint(from, 10))
	}
	if limit > 0 {
		query.Set(api.ParamLimit, strconv.Itoa(limit))
	}
	var page api.LogPage
	err := c.exchangeAny(ctx, httpRequest{method: http.MethodGet, path: api.PathLogs, query: query}, &page)
	return page, err
}

// TransferLeadership asks the leader to hand over to a member; 0: to the one that is furthest.
func (c *Client) TransferLeadership(ctx context.Context, to uint64) (api.TransferResponse, error) {
	body, err := json.Marshal(api.TransferRequest{To: to})
	if err != nil {
		return api.TransferResponse{}, invalid("%v", err)
	}
	var r api.TransferResponse
	err = c.exchangeAny(ctx, httpRequest{method: http.MethodPost, path: api.PathLeaderTransfer, body: body}, &r)
	return r, err
}

// Livez asks the process at this endpoint for its liveness: nil if it is live, api.CodeNotReady with the reason if not.
func (c *Client) Livez(ctx context.Context, endpoint string) error {
	return c.exchangeOne(ctx, endpoint, httpRequest{method: http.MethodGet, path: api.PathLive}, nil)
}

// Readyz asks the node at this endpoint whether it can serve: nil if it can, api.CodeNotReady with the reason if it
// cannot.
func (c *Client) Readyz(ctx context.Context, endpoint string) error {
	return c.exchangeOne(ctx, endpoint, httpRequest{method: http.MethodGet, path: api.PathReady}, nil)
}

// exchangeOne sends a read to one endpoint, once.
func (c *Client) exchangeOne(ctx context.Context, endpoint string, r httpRequest, result any) error {
	e, err := parseEndpoint(endpoint)
	if err != nil {
		return invalid("%v", err)
	}
	ctx, _, cancel := c.limit(ctx)
	defer cancel()
	_, err = exchange(ctx, c.topology.http, e, r, result)
	if err != nil {
		return settledRead(ctx, err)
	}
	return nil
}

// Observation is what came of asking one endpoint for its view of the cluster.
type Observation struct {
	Endpoint   string           // its URL
	Configured bool             // the user named it; else it is a member's
	View       *api.ClusterView // nil if it did not answer
	Err        error            // an *api.Error; nil if it answered
}

// Observe asks every endpoint that was configured or learned, in parallel and once, for its own view. It waits
// for no leader, and for no endpoint longer than the context allows.
func (c *Client) Observe(ctx context.Context) []Observation {
	c.topology.mu.Lock()
	endpoints := append([]*endpoint(nil), c.topology.endpoints...)
	c.topology.mu.Unlock()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.config.ProbeTimeout)
		defer cancel()
	}
	observations := make([]Observation, len(endpoints))
	var wg sync.WaitGroup
	for i, e := range endpoints {
		wg.Go(func() {
			o := Observation{Endpoint: e.url.String(), Configured: e.configured}
			if view, err := c.topology.view(ctx, e); err != nil {
				o.Err = settledRead(ctx, err)
			} else {
				o.View = &view
			}
			observations[i] = o
		})
	}
	wg.Wait()
	return observations
}
