package controllers

import (
	"context"

	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrStale is how Do refuses an act whose world has changed.
var ErrStale = errStale

// Do carries out an act as a pass does, with all its preconditions.
func Do(ctx context.Context, kube ctrlclient.Client, nodes Nodes, w World, act Act) error {
	return (&actor{kube: kube, live: kube, nodes: nodes}).do(ctx, w, act)
}
