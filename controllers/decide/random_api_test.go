package decide_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// runAPI is the API server of a random run, as far as the operator's acts use it. It checks each change before the
// change takes effect.
type runAPI struct {
	ctrlclient.Client // nil: an act that uses other methods ends the test

	s *randomRun
}

func notFound(name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "objects"}, name)
}

func conflict(name string) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: "objects"}, name, nil)
}

// Get implements ctrlclient.Reader. It reads the current state.
func (a *runAPI) Get(
	_ context.Context, key ctrlclient.ObjectKey, into ctrlclient.Object, _ ...ctrlclient.GetOption,
) error {
	switch into := into.(type) {
	case *v1alpha1.RaftCluster:
		a.s.cluster.DeepCopyInto(into)
		into.ResourceVersion = fmt.Sprint(a.s.version)
		return nil
	case *appsv1.StatefulSet:
		if a.s.set != nil {
			a.s.set.DeepCopyInto(into)
			return nil
		}
	case *corev1.Pod:
		if ordinal, pod := a.pod(key.Name); pod != nil {
			a.s.podObject(ordinal, pod).DeepCopyInto(into)
			return nil
		}
	case *corev1.PersistentVolumeClaim:
		if claim := a.claim(key.Name); claim != nil {
			claim.DeepCopyInto(into)
			return nil
		}
	default:
		a.s.t.Fatalf("the run has no %T", into)
	}
	return notFound(key.Name)
}

func (a *runAPI) pod(name string) (int32, *modelPod) {
	ordinal, _ := objects.Ordinal(modelName, name)
	return ordinal, a.s.pods[ordinal]
}

func (a *runAPI) claim(name string) *corev1.PersistentVolumeClaim {
	ordinal, _ := objects.ClaimOrdinal(modelName, name)
	return a.s.claims[ordinal]
}

// Delete implements ctrlclient.Writer, for pods.
func (a *runAPI) Delete(_ context.Context, object ctrlclient.Object, options ...ctrlclient.DeleteOption) error {
	o := (&ctrlclient.DeleteOptions{}).ApplyOptions(options)
	if o.GracePeriodSeconds != nil {
		a.s.complain("a pod is deleted with another grace period than its own")
	}
	return a.end(object.GetName(), o.Preconditions)
}

// end ends a pod, if its preconditions hold.
func (a *runAPI) end(name string, is *metav1.Preconditions) error {
	ordinal, pod := a.pod(name)
	switch {
	case pod == nil:
		return notFound(name)
	case is == nil || is.UID == nil:
		a.s.complain("a pod is ended without naming its UID")
	case *is.UID != pod.uid:
		return conflict(name)
	}
	a.s.complain(a.s.checkPaused())
	a.s.complain(a.s.checkEnd(ordinal))
	a.s.terminate(pod.uid)
	if disk := a.s.disk(ordinal); disk != nil && disk.nodeID != 0 { // only members' pods count
		a.s.ours[ordinal] = true
	}
	return nil
}

// SubResource implements ctrlclient.Client.
func (a *runAPI) SubResource(name string) ctrlclient.SubResourceClient {
	if name != "eviction" {
		a.s.t.Fatalf("the run has no %s", name)
	}
	return &runEvictions{api: a}
}

type runEvictions struct {
	ctrlclient.SubResourceClient

	api *runAPI
}

// Create implements ctrlclient.SubResourceClient. There is no budget: the operator must be safe without one.
func (e *runEvictions) Create(
	_ context.Context, pod, eviction ctrlclient.Object, _ ...ctrlclient.SubResourceCreateOption,
) error {
	options := eviction.(*policyv1.Eviction).DeleteOptions
	if options == nil {
		return e.api.end(pod.GetName(), nil)
	}
	return e.api.end(pod.GetName(), options.Preconditions)
}

// Patch implements ctrlclient.Writer, for marks and labels.
func (a *runAPI) Patch(
	_ context.Context, object ctrlclient.Object, patch ctrlclient.Patch, _ ...ctrlclient.PatchOption,
) error {
	text, err := patch.Data(object)
	if err != nil {
		return err
	}
	var sent metav1.PartialObjectMetadata
	if err := json.Unmarshal(text, &sent); err != nil {
		return err
	}
	switch object := object.(type) {
	case *corev1.PersistentVolumeClaim:
		claim := a.claim(object.GetName())
		switch {
		case claim == nil:
			return notFound(object.GetName())
		case claim.UID != sent.UID || claim.ResourceVersion != sent.ResourceVersion:
			return conflict(object.GetName())
		}
		a.s.complain(a.s.checkMark(object.GetName(), sent.Annotations))
		a.s.annotate(claim, sent.Annotations)
		claim.DeepCopyInto(object)
	case *corev1.Pod:
		ordinal, pod := a.pod(object.GetName())
		switch {
		case pod == nil:
			return notFound(object.GetName())
		case pod.uid != sent.UID:
			return conflict(object.GetName())
		}
		a.s.complain(a.s.checkLabel(ordinal, sent.Labels[v1alpha1.LabelState]))
		pod.label = sent.Labels[v1alpha1.LabelState]
		a.s.podObject(ordinal, pod).DeepCopyInto(object)
	default:
		a.s.t.Fatalf("the run does not patch a %T", object)
	}
	return nil
}

// runNodes are the nodes of a random run, as the operator's acts reach them.
type runNodes struct{ s *randomRun }

var errSilent = &api.Error{Code: api.CodeUnreachable, Message: "nothing answers"}

// reach finds the node at an endpoint.
func (n *runNodes) reach(endpoint string) (int32, *modelPod) {
	for ordinal, pod := range n.s.pods {
		if strings.Contains(endpoint, pod.address()+":") && pod.running && !n.s.silent[ordinal] {
			return ordinal, pod
		}
	}
	return 0, nil
}

// View implements actor.Nodes; no act calls it.
func (n *runNodes) View(context.Context, string) (api.ClusterView, error) {
	return api.ClusterView{}, errSilent
}

// Bootstrap implements actor.Nodes.
func (n *runNodes) Bootstrap(
	_ context.Context, endpoint string, request api.BootstrapRequest,
) (api.ClusterView, error) {
	ordinal, pod := n.reach(endpoint)
	disk := n.s.disk(ordinal)
	switch {
	case pod == nil || disk == nil:
		return api.ClusterView{}, errSilent
	case !pod.calls(ordinal, request):
		return api.ClusterView{}, &api.Error{Code: api.CodeInvalid, Message: "the address is another"}
	case disk.nodeID != 0 && (disk.nodeID != request.NodeID || disk.clusterID != request.ClusterID):
		return api.ClusterView{}, &api.Error{Code: api.CodeConflict, Message: "it has an identity"}
	case disk.nodeID == 0:
		n.s.complain(n.s.checkPaused())
		n.s.complain(n.s.checkBootstrap(ordinal, request))
		disk.clusterID, disk.nodeID, disk.members = request.ClusterID, request.NodeID, request.Members
		n.s.given[identity(request.ClusterID, request.NodeID)] = n.s.claims[ordinal].UID
	}
	return *n.s.view(ordinal), nil
}

// Transfer implements actor.Nodes.
func (n *runNodes) Transfer(
	_ context.Context, endpoint string, request api.TransferRequest,
) (api.TransferResponse, error) {
	ordinal, pod := n.reach(endpoint)
	switch {
	case pod == nil:
		return api.TransferResponse{}, errSilent
	case !n.s.follows(ordinal): // a follower forwards the request to its leader
		return api.TransferResponse{}, &api.Error{Code: api.CodeNoLeader, Message: "it follows no leader"}
	case request.ExpectedTerm != 0 && request.ExpectedTerm != n.s.term:
		return api.TransferResponse{}, &api.Error{Code: api.CodeConflict, Message: "the term is another"}
	}
	for other := range n.s.size() {
		if n.s.follows(other) && n.s.disk(other).nodeID == request.To {
			n.s.complain(n.s.checkPaused())
			n.s.complain(n.s.checkTransfer(n.s.leader, other))
			n.s.lead(other)
			return api.TransferResponse{LeaderID: request.To, Term: n.s.term}, nil
		}
	}
	return api.TransferResponse{}, &api.Error{Code: api.CodeInvalid, Message: "the member cannot lead"}
}
