package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// admission decides which endpoints a client may use: those of one cluster.
type admission struct {
	open     atomic.Bool               // requests may leave without a look at the rest
	conflict atomic.Pointer[api.Error] // every request fails with it; nil: with none
	surveyed chan struct{}             // closed when each configured endpoint has answered its first question or failed to
	unasked  atomic.Int32              // configured endpoints of which that is not so yet
	close    sync.Once
}

// begin is called once the configured endpoints are known. Only one of them needs no survey.
func (a *admission) begin(configured int) {
	a.surveyed = make(chan struct{})
	a.unasked.Store(int32(configured))
	if configured == 1 {
		a.finish()
	}
}

func (a *admission) finish() {
	a.close.Do(func() {
		a.open.Store(true)
		close(a.surveyed)
	})
}

// admit returns nil once a request may leave, and the error that it fails with if the endpoints are of two clusters.
// The first requests of a client with several endpoints wait until it is known which cluster each is of, so that none
// goes to the wrong one, but not for an endpoint that does not answer.
func (t *topology) admit(ctx context.Context) *api.Error {
	a := &t.admission
	if a.open.Load() {
		return a.conflict.Load()
	}
	late := time.NewTimer(impatience)
	defer late.Stop()
	select {
	case <-a.surveyed:
	case <-late.C:
		a.open.Store(true)
	case <-ctx.Done():
	}
	return a.conflict.Load()
}

// surveyed notes that the first question to a configured endpoint is over. The topology must be locked.
func (t *topology) surveyed(e *endpoint) {
	if !e.configured || e.surveyed {
		return
	}
	e.surveyed = true
	if t.admission.unasked.Add(-1) == 0 {
		t.admission.finish()
	}
}

// sort notes which cluster an endpoint is of, and reports whether that is the cluster that was met first. A foreign
// endpoint is used no more until it answers as a member of this one: another cluster may have its address now. A
// configured endpoint that was foreign from the start is a mistake of the configuration, and so is it if none is left.
// The topology must be locked.
func (t *topology) sort(e *endpoint, view api.ClusterView) bool {
	if view.NodeID == 0 {
		return false
	}
	if t.clusterID == "" {
		t.clusterID = view.ClusterID
	}
	e.foreign = ""
	if view.ClusterID != t.clusterID {
		e.foreign, e.answered = view.ClusterID, false
		t.loseLeader(e)
	} else {
		e.home = true
	}
	t.admission.conflict.Store(t.conflict())
	return e.foreign == ""
}

// conflict returns the error of endpoints that are of two clusters, nil if there is none. The topology must be locked.
func (t *topology) conflict() *api.Error {
	var ours, foreign *endpoint
	left := false
	for _, e := range t.endpoints {
		switch {
		case !e.configured:
		case e.foreign == "":
			left = true
			if e.home && ours == nil {
				ours = e
			}
		case foreign == nil || foreign.home && !e.home:
			foreign = e
		}
	}
	if foreign == nil || foreign.home && left {
		return nil
	}
	was := "the client began with cluster " + t.clusterID
	if ours != nil {
		was = fmt.Sprintf("%s is a node of cluster %s", ours.name(), t.clusterID)
	}
	return invalid("the endpoints are of two clusters: %s, %s of cluster %s; give those of one", was, foreign.name(),
		foreign.foreign)
}

// CheckEndpoints asks every configured endpoint which cluster it is a node of, and fails with api.CodeInvalid if they
// are of two. It does not wait for those that do not answer. Every other call of the client fails so, too.
func (c *Client) CheckEndpoints(ctx context.Context) error {
	if err := c.topology.admit(ctx); err != nil {
		return err
	}
	return nil
}
