package controllers

import (
	"fmt"

	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/controllers/decide"
)

// description is how events and metrics describe an act.
type description struct {
	kind, done, failed string
	about              ctrlclient.Object // the pod or claim; nil: it was not observed
}

func describeAct(w decide.World, act decide.Act) description {
	t := description{kind: fmt.Sprintf("%T", act), done: "Done", failed: "Failed", about: seen(w, act.On())}
	switch act.(type) {
	case decide.BootstrapNode:
		t.kind, t.done, t.failed = "BootstrapNode", "NodeBootstrapped", "BootstrapFailed"
	case decide.MarkClaim:
		t.kind, t.done, t.failed = "MarkClaim", "ClaimMarked", "MarkClaimFailed"
	case decide.LabelPod:
		t.kind, t.done, t.failed = "LabelPod", "PodLabelled", "LabelPodFailed"
	case decide.TransferLeadership:
		t.kind, t.done, t.failed = "TransferLeadership", "LeadershipTransferred", "TransferFailed"
	case decide.EvictPod:
		t.kind, t.done, t.failed = "EvictPod", "PodEvicted", "EvictionFailed"
	case decide.DeletePod:
		t.kind, t.done, t.failed = "DeletePod", "PodDeleted", "DeletionFailed"
	}
	return t
}

// seen returns the object of a target as it was observed, or nil.
func seen(w decide.World, t decide.Target) ctrlclient.Object {
	for i := range w.Seats {
		pod, claim := w.Seats[i].Pod, w.Seats[i].Claim
		switch {
		case t.Kind == decide.KindPod && pod != nil && pod.Name == t.Name:
			return pod
		case t.Kind == decide.KindClaim && claim != nil && claim.Name == t.Name:
			return claim
		}
	}
	return nil
}
