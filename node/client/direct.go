package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Direct asks exactly one given node, once, and does nothing in the background. It is for programs
// that watch over the nodes of many clusters, as an operator does; a program that uses a cluster wants a Client, which
// finds the leader and tries again.
//
// Every request looks its host up anew and has a connection of its own, so that no answer comes from a process that had
// the address before (trap O20). It may be used by many goroutines at once. Every error of its methods is an
// *api.Error: a question whose node did not answer is api.CodeUnreachable, and an order that may have arrived is
// api.CodeOutcomeUnknown.
type Direct struct {
	config Config
	http   *http.Client
}

// maxDirectBytes bounds what one node may answer a Direct. A view is a few hundred bytes, and no single node may take
// the memory of a program that asks those of many clusters (trap H4).
const maxDirectBytes = 1 << 20

// NewDirect makes a Direct. Of the configuration it uses Timeout, which bounds a call whose context has no deadline,
// DialTimeout, DialContext and TLS; Endpoints are not wanted.
func NewDirect(config Config) *Direct {
	config = config.withDefaults()
	return &Direct{config: config, http: config.httpClient(true)}
}

// Close gives up the connections that are not in use. Calls in flight go on.
func (d *Direct) Close() { d.http.CloseIdleConnections() }

// View asks the node at this endpoint how it sees itself and the cluster.
func (d *Direct) View(ctx context.Context, endpoint string) (api.ClusterView, error) {
	var view api.ClusterView
	err := d.do(ctx, endpoint, httpRequest{method: http.MethodGet, path: api.PathCluster}, &view)
	return view, err
}

// Bootstrap gives the empty node at this endpoint its identity; see api.BootstrapRequest for what it answers. The same
// request may be sent again whatever became of it.
func (d *Direct) Bootstrap(
	ctx context.Context, endpoint string, request api.BootstrapRequest,
) (api.ClusterView, error) {
	var view api.ClusterView
	err := d.post(ctx, endpoint, api.PathBootstrap, request, &view)
	return view, err
}

// Transfer asks the node at this endpoint, or the leader through it, to hand the leadership over. It fails with
// api.CodeInvalid if the member that it names cannot lead, and with api.CodeConflict if the term is not the expected
// one.
func (d *Direct) Transfer(
	ctx context.Context, endpoint string, request api.TransferRequest,
) (api.TransferResponse, error) {
	var response api.TransferResponse
	err := d.post(ctx, endpoint, api.PathLeaderTransfer, request, &response)
	return response, err
}

func (d *Direct) post(ctx context.Context, endpoint, path string, request, response any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return invalid("%v", err)
	}
	return d.do(ctx, endpoint, httpRequest{method: http.MethodPost, path: path, body: body}, response)
}

func (d *Direct) do(ctx context.Context, endpoint string, r httpRequest, response any) error {
	e, err := parseEndpoint(endpoint)
	if err != nil {
		return invalid("%v", err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.config.Timeout)
		defer cancel()
	}
	r.most = maxDirectBytes
	_, err = exchange(ctx, d.http, e, r, response)
	switch {
	case err == nil:
		return nil
	case r.method == http.MethodGet:
		return settledRead(ctx, err)
	}
	return err
}
