package controllers

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/node/api"
)

// TestWorldThatChangedSinceItWasSeenIsNotActedOn represents a stale cache: the act was decided on an old state.
func TestWorldThatChangedSinceItWasSeenIsNotActedOn(t *testing.T) { // O6, O19, O29
	t.Parallel()
	for what, change := range map[string]func(s *stage){
		"another pod was deleted": func(s *stage) {
			s.must(s.kube.Delete(s.Context(), &corev1.Pod{ObjectMeta: s.named("demo-0")}))
		},
		"another pod was replaced": func(s *stage) {
			s.must(s.kube.Delete(s.Context(), &corev1.Pod{ObjectMeta: s.named("demo-0")}))
			for range 3 {
				s.step()
			}
		},
		"another pod is not ready any more": func(s *stage) {
			pod := &corev1.Pod{}
			s.get("demo-0", pod)
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
			s.must(s.kube.Status().Update(s.Context(), pod))
		},
		"the cluster was paused": func(s *stage) {
			s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Paused = true })
		},
		"the template is another": func(s *stage) {
			s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
			c, o := s.cluster("demo"), newOperator(s, nil)
			if out := o.r.applier.apply(s.Context(), time.Now(), *decide.Next(o.look("demo")).Desired); len(out.errs) > 0 {
				s.Fatal(out.errs)
			}
			s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = c.Spec.Image })
		},
		"a claim is being deleted": func(s *stage) { // its finalizer holds it as long as the pod exists
			claim := &corev1.PersistentVolumeClaim{}
			s.get("data-demo-2", claim)
			claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
			s.must(s.kube.Update(s.Context(), claim))
			s.must(s.kube.Delete(s.Context(), claim))
		},
		"a volume was exchanged": func(s *stage) {
			s.must(s.kube.Delete(s.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: s.named("data-demo-0")}))
			s.must(s.kube.Patch(s.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: s.named("data-demo-0")},
				ctrlclient.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			o := newOperator(s, nil)
			s.apply("demo", nil)
			o.until("demo", "ready", isReady)
			w := o.look("demo")
			change(s)
			for _, act := range []decide.Act{
				decide.EvictPod{Target: podTarget("demo-2", w.Seats[2].Pod.UID)},
				decide.DeletePod{Target: podTarget("demo-2", w.Seats[2].Pod.UID)},
				decide.TransferLeadership{Target: decide.OnPod(w.Seats[2].Pod), To: 1, ToPod: "demo-0"},
				decide.BootstrapNode{
					Target:  decide.OnPod(w.Seats[2].Pod),
					Request: api.BootstrapRequest{ClusterID: "x", NodeID: 3},
				},
			} {
				if err := o.r.actor.Do(t.Context(), w, act); !errors.Is(err, actor.ErrStale) {
					t.Errorf("%s: got %v, want that the decision is stale", act, err)
				}
			}
			pod := &corev1.Pod{}
			if !s.get("demo-2", pod) || pod.DeletionTimestamp != nil {
				t.Error("demo-2 was taken down nevertheless")
			}
		})
	}
}

// look observes without acting.
func (o *operator) look(name string) decide.World {
	o.Helper()
	w, err := o.r.observer.observe(o.Context(), types.NamespacedName{Namespace: o.space, Name: name})
	if err != nil {
		o.Fatal(err)
	}
	return w
}

func podTarget(name string, uid types.UID) decide.Target {
	return decide.Target{Kind: decide.KindPod, Name: name, Preconditions: decide.Preconditions{UID: uid}}
}

func claimTarget(name string, uid types.UID) decide.Target {
	return decide.Target{Kind: decide.KindClaim, Name: name, Preconditions: decide.Preconditions{UID: uid}}
}

func TestActsHitOnlyTheObjectThatWasSeen(t *testing.T) { // O19, O29
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	w := o.look("demo")
	for _, act := range []decide.Act{
		decide.EvictPod{Target: podTarget("demo-1", "of one that is gone")},
		decide.DeletePod{Target: podTarget("demo-1", "of one that is gone")},
		decide.EvictPod{Target: podTarget("demo-7", "never was")},
		decide.DeletePod{Target: podTarget("demo-7", "never was")},
		decide.MarkClaim{Target: claimTarget("data-demo-1", "of one that is gone"), ClusterID: "x", MemberID: 2},
		decide.MarkClaim{Target: claimTarget("data-demo-7", "never was"), ClusterID: "x", MemberID: 8},
	} {
		if err := o.r.actor.Do(t.Context(), w, act); !errors.Is(err, actor.ErrStale) {
			t.Errorf("%s: %v", act, err)
		}
	}
	s.must(s.kube.Patch(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: s.named("data-demo-1")},
		ctrlclient.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"other":"client"}}}`))))
	mark := decide.MarkClaim{Target: decide.OnClaim(w.Seats[1].Claim), ClusterID: "x", MemberID: 2}
	if err := o.r.actor.Do(t.Context(), w, mark); !errors.Is(err, actor.ErrStale) {
		t.Errorf("a claim that changed in the meantime was marked: %v", err)
	}
	if s.get("data-demo-7", &corev1.PersistentVolumeClaim{}) {
		t.Error("marking a claim created one")
	}
	pod := &corev1.Pod{}
	if err := o.r.actor.Do(t.Context(), w, decide.DeletePod{Target: podTarget("demo-1", w.Seats[1].Pod.UID)}); err != nil {
		t.Fatal(err)
	}
	if !s.get("demo-1", pod) || pod.DeletionGracePeriodSeconds == nil || *pod.DeletionGracePeriodSeconds != 60 {
		t.Errorf("a deleted pod has its own time to end, 60 s; this one has %v", pod.DeletionGracePeriodSeconds)
	}
}

func TestEvictionWaitsForTheBudget(t *testing.T) { // O34
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	guard := &policyv1.PodDisruptionBudget{ObjectMeta: s.named("demo")}
	s.get("demo", guard)
	guard.Status.DisruptionsAllowed = 0 // as after another client's drain
	s.must(s.kube.Status().Update(t.Context(), guard))
	w := o.look("demo")
	evict := decide.EvictPod{Target: podTarget("demo-1", w.Seats[1].Pod.UID), Why: "a test requires it"}
	after, err := o.r.act(t.Context(), w, evict)
	if err != nil || after != heldAgain {
		t.Errorf("an eviction that the budget refuses gave %v, and is retried after %s", err, after)
	}
	if reasons := o.recorder.reasons(); count(reasons, "EvictionHeld") != 1 {
		t.Errorf("no event: %v", reasons)
	}
	s.step() // the budget's controller counts again
	if _, err := o.r.act(t.Context(), o.look("demo"), evict); err != nil {
		t.Fatal(err)
	}
	if !isTerminating(s, "demo-1") || count(o.recorder.reasons(), "PodEvicted") != 1 {
		t.Error("with a budget that allows it, the pod was not evicted")
	}
}

func isTerminating(s *stage, name string) bool {
	pod := &corev1.Pod{}
	return !s.get(name, pod) || pod.DeletionTimestamp != nil
}

func TestFailedActIsReportedAndRetried(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	w := o.look("demo")
	s.net.silence(w.Seats[0].Pod.Status.PodIP, true)
	_, err := o.r.act(t.Context(), w, decide.BootstrapNode{
		Target:  decide.OnPod(w.Seats[0].Pod),
		Request: api.BootstrapRequest{ClusterID: "another", NodeID: 1},
	})
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code == api.CodeConflict {
		t.Errorf("a node that cannot be reached gave %v", err)
	}
	s.net.silence(w.Seats[0].Pod.Status.PodIP, false)
	_, err = o.r.act(t.Context(), w, decide.BootstrapNode{
		Target:  decide.OnPod(w.Seats[0].Pod),
		Request: api.BootstrapRequest{ClusterID: "another", NodeID: 1, Members: w.Seats[0].View.Config.Members},
	})
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeConflict {
		t.Errorf("a member of one cluster that is bootstrapped with another gave %v", err)
	}
	if n := count(o.recorder.reasons(), "BootstrapFailed"); n != 2 {
		t.Errorf("two failures made %d events", n)
	}
}

func TestStatusFromAnOldReadingIsRefused(t *testing.T) { // O3: an id is never minted twice
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	old := o.look("demo")
	c := o.until("demo", "an id is minted", func(c *v1alpha1.RaftCluster) bool { return c.Status.ClusterID != "" })
	plan := decide.Plan{
		Status: *old.Cluster.Status.DeepCopy(),
		Events: []decide.Event{{Type: corev1.EventTypeNormal, Reason: "ClusterFounded", Message: "a second time"}},
	}
	plan.Status.ClusterID = "minted from an old version"
	before := len(o.recorder.reasons())
	if wrote, err := o.r.writeStatus(t.Context(), old, plan); wrote || err == nil {
		t.Errorf("the old version was written: %t, %v", wrote, err)
	}
	if now := s.cluster("demo").Status.ClusterID; now != c.Status.ClusterID {
		t.Errorf("the id became %s", now)
	}
	if all := o.recorder.reasons(); len(all) != before {
		t.Errorf("a status that was not written made events: %v", all[before:])
	}
}
