package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestBadImageCostsOnePodAndItsCorrectionGoesOn(t *testing.T) { // O14
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = badImage })
	o.until("demo", "one pod waits for its image", func(c *v1alpha1.RaftCluster) bool {
		return has(c, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonMemberUnhealthy)
	})
	for range 5 {
		s.must(o.pass("demo"))
		s.step()
	}
	if broken := s.countPods(func(p *corev1.Pod) bool { return p.Spec.Containers[0].Image == badImage }); broken != 1 {
		t.Fatalf("%d pods have the bad image; the first one that does not start must stop the roll", broken)
	}
	if c := s.cluster("demo"); !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAvailable) {
		t.Errorf("the bad image took the cluster down:\n%s", describe(c))
	}
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
	o.until("demo", "the correction is rolled out", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
}

func (s *stage) countPods(is func(*corev1.Pod) bool) int {
	s.Helper()
	var pods corev1.PodList
	s.list(&pods)
	n := 0
	for i := range pods.Items {
		if is(&pods.Items[i]) {
			n++
		}
	}
	return n
}

func TestPausedClusterIsNotChanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) {
		spec.Paused, spec.Image = true, "kontiki/raftnode:1.1.0"
		spec.Dashboard.Mode = v1alpha1.DashboardDisabled
	})
	o.until("demo", "the status reports that it is paused", func(c *v1alpha1.RaftCluster) bool {
		return has(c, v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPaused)
	})
	before := o.writes.Load()
	for range 5 {
		s.must(o.pass("demo"))
		s.step()
	}
	if n := o.writes.Load() - before; n != 0 {
		t.Errorf("a paused cluster made %d writes", n)
	}
	if !s.runs(s.cluster("demo"), goodImage) || !s.get("demo-dashboard", &corev1.Service{}) {
		t.Error("a paused cluster was changed")
	}
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Paused = false })
	o.until("demo", "the change that waited is rolled out", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
	if s.get("demo-dashboard", &corev1.Service{}) {
		t.Error("the dashboard's Service is still there, though it is disabled")
	}
}

// nextTemplate is the pod template of the next release: its nodes have a flag that older ones reject.
func nextTemplate(_ objects.Desired, template *coreac.PodTemplateSpecApplyConfiguration) {
	template.Spec.Containers[0].WithArgs("--flag-of-the-next-release")
}

func TestNewOperatorWithAnotherImageAndTemplateChangesNothing(t *testing.T) { // an upgrade restarts no cluster
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	o.finish("demo")
	next := newOperator(s, nil)
	next.r.observer.nodeImage = "kontiki/raftnode:2.0.0"
	next.r.observer.templates = append(objects.ReleasedTemplates(), nextTemplate)
	before := s.versions()
	for range 5 {
		s.must(next.pass("demo"))
		s.step()
	}
	if n := next.writes.Load(); n != 0 || !maps.Equal(before, s.versions()) {
		t.Errorf("the new operator wrote %d times; before: %v, after: %v", n, before, s.versions())
	}
	if c := s.cluster("demo"); c.Status.Image != goodImage {
		t.Errorf("the latched image became %s", c.Status.Image)
	}
	hasFlag := func(p *corev1.Pod) bool {
		return slices.Contains(p.Spec.Containers[0].Args, "--flag-of-the-next-release")
	}
	for _, step := range []struct {
		image    string
		withFlag int
	}{{"kontiki/raftnode:2.0.0", 3}, {goodImage, 0}} {
		s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = step.image })
		next.until("demo", "every pod runs "+step.image, func(c *v1alpha1.RaftCluster) bool {
			return isReady(c) && s.runs(c, step.image)
		})
		if n := s.countPods(hasFlag); n != step.withFlag {
			t.Errorf("%d pods with %s have the flag of the next release, want %d", n, step.image, step.withFlag)
		}
	}
}

func TestClusterThatIsDeletedAndAppliedAgainGoesOnWithItsVolumes(t *testing.T) { // O4, O12
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	c := s.apply("demo", nil)
	id := o.until("demo", "ready", isReady).Status.ClusterID
	s.must(s.kube.Delete(t.Context(), c))
	again := s.apply("demo", nil)
	o.until("demo", "the new cluster waits for the objects of the old one, then adopts its volumes",
		func(c *v1alpha1.RaftCluster) bool { return isReady(c) && c.UID == again.UID })
	if got := s.cluster("demo").Status.ClusterID; got != id {
		t.Errorf("the cluster has the id %s; on its volumes is %s", got, id)
	}
	if reasons := o.recorder.reasons(); count(reasons, ReasonObjectConflict) > 0 {
		t.Errorf("the removal of the old objects made warnings: %v", reasons)
	}
	if reasons := o.recorder.reasons(); count(reasons, "NodeBootstrapped") != 3 {
		t.Errorf("every node has its identity, and was bootstrapped again: %v", reasons)
	}
}

func count(all []string, one string) int {
	n := 0
	for _, each := range all {
		if each == one {
			n++
		}
	}
	return n
}

func TestEmptyDiskStaysOutForGood(t *testing.T) { // O2, O6
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	s.must(s.kube.Delete(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: s.named("data-demo-1")}))
	s.must(s.kube.Delete(t.Context(), &corev1.Pod{ObjectMeta: s.named("demo-1")}))
	o.until("demo", "the loss is seen", func(c *v1alpha1.RaftCluster) bool {
		return has(c, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonMemberLost) &&
			s.countPods(decide.Ready) == 2 && len(s.pods["demo-1"]) == 2
	})
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Annotations = map[string]string{"roll": "please"} })
	for range 20 {
		s.must(o.pass("demo"))
		s.step()
		s.checkFaults() // the fake node records a violation if it is bootstrapped as a member that has stored entries
	}
	claim := &corev1.PersistentVolumeClaim{}
	if !s.get("data-demo-1", claim) || s.disks[claim.UID] == nil || s.disks[claim.UID].clusterID != "" {
		t.Errorf("the new disk of demo-1 is not empty any more: %+v", s.disks[claim.UID])
	}
	c := s.cluster("demo")
	lost := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionDegraded)
	if !strings.Contains(lost.Message, "demo-1") || isReady(c) ||
		!meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAvailable) {
		t.Errorf("a lost member should be named, and the others serve:\n%s", describe(c))
	}
}

func (s *stage) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.space}
}

func TestDisksOfDifferentClustersStopTheOperator(t *testing.T) { // O3
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	c := s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	s.must(s.kube.Delete(t.Context(), c))
	for range 5 {
		s.step()
	}
	for _, name := range []string{"data-demo-1", "data-demo-2"} {
		claim := &corev1.PersistentVolumeClaim{}
		s.get(name, claim)
		s.disks[claim.UID].clusterID = "another" // as after a restore of the volumes from the wrong backup
	}
	s.apply("demo", nil)
	o.until("demo", "the conflict is reported", func(c *v1alpha1.RaftCluster) bool {
		return has(c, v1alpha1.ConditionAvailable, metav1.ConditionFalse, v1alpha1.ReasonSplitBrain)
	})
	before := o.writes.Load()
	for range 5 {
		s.must(o.pass("demo"))
		s.step()
	}
	if n := o.writes.Load() - before; n != 0 {
		t.Errorf("the operator wrote %d times, though it cannot determine which disks are the right ones", n)
	}
}

func TestObjectOfAnotherOwnerIsNotTakenOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	theirs := &corev1.Service{
		ObjectMeta: s.named("demo"),
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": "theirs"}},
	}
	s.must(s.kube.Create(t.Context(), theirs))
	s.apply("demo", nil)
	c := o.until("demo", "the status names the owner of the object", func(c *v1alpha1.RaftCluster) bool {
		return has(c, v1alpha1.ConditionDegraded, metav1.ConditionTrue, ReasonObjectConflict) &&
			has(c, v1alpha1.ConditionReady, metav1.ConditionFalse, ReasonObjectConflict)
	})
	o.until("demo", "the rest goes on", func(c *v1alpha1.RaftCluster) bool { return c.Status.ReadyReplicas == 3 })
	o.finish("demo")
	before := o.writes.Load()
	for range 3 {
		if err := o.pass("demo"); err == nil {
			t.Error("a pass that cannot apply, and has nothing else to do, must fail: it is tried again later and later")
		}
	}
	if n := o.writes.Load() - before; n != 0 {
		t.Errorf("the same fault was written %d times:\n%s\n%s", n, describe(c), describe(s.cluster("demo")))
	}
	if n := count(o.recorder.reasons(), ReasonObjectConflict); n != 1 {
		t.Errorf("the fault made %d events", n)
	}
	found := &corev1.Service{}
	if s.get("demo", found); found.ResourceVersion != theirs.ResourceVersion {
		t.Error("the Service of another owner was changed")
	}
	s.must(s.kube.Delete(t.Context(), theirs))
	o.until("demo", "the name is free, and the cluster becomes ready", isReady)
}

func TestObjectsThatWereLeftBehindAreAdopted(t *testing.T) { // kubectl delete --cascade=orphan, then apply again
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	c := s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	for _, object := range []ctrlclient.Object{
		&appsv1.StatefulSet{ObjectMeta: s.named("demo")}, &policyv1.PodDisruptionBudget{ObjectMeta: s.named("demo")},
		&corev1.Service{ObjectMeta: s.named("demo")}, &corev1.Service{ObjectMeta: s.named("demo-peers")},
		&corev1.Service{ObjectMeta: s.named("demo-dashboard")},
	} {
		orphaned := ctrlclient.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))
		s.must(s.kube.Patch(t.Context(), object, orphaned))
	}
	s.must(s.kube.Delete(t.Context(), c))
	again := s.apply("demo", nil)
	o.until("demo", "the objects belong to the new cluster", func(c *v1alpha1.RaftCluster) bool {
		set := &appsv1.StatefulSet{}
		return c.UID == again.UID && isReady(c) && s.get("demo", set) && metav1.IsControlledBy(set, c)
	})
	for name, uids := range s.pods {
		if len(uids) != 1 {
			t.Errorf("%s was restarted by that: it was created %d times", name, len(uids))
		}
	}
}

func TestSpecThatTheAPIServerRefusesIsSaidInTheStatus(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) {
		spec.Pod.Labels = map[string]string{"team": "not a value!"} // the CRD cannot validate the values of labels
	})
	o.until("demo", "the status reports the fault", func(c *v1alpha1.RaftCluster) bool {
		return has(c, v1alpha1.ConditionDegraded, metav1.ConditionTrue, ReasonObjectRejected)
	})
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Labels = map[string]string{"team": "a-value"} })
	o.until("demo", "the correction is rolled out", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && s.countPods(func(p *corev1.Pod) bool { return p.Labels["team"] == "a-value" }) == 3
	})
}

func TestWhatAnotherClientChangedIsRestored(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Replicas = 1 })
	o.until("demo", "ready", isReady)
	s.must(s.kube.Patch(t.Context(), &corev1.Service{ObjectMeta: s.named("demo-peers")},
		ctrlclient.RawPatch(types.MergePatchType, []byte(`{"spec":{"publishNotReadyAddresses":false}}`))))
	// Without its label the object is invisible to the operator's cache, and still the cluster's.
	s.must(s.kube.Patch(t.Context(), &appsv1.StatefulSet{ObjectMeta: s.named("demo")},
		ctrlclient.RawPatch(types.MergePatchType,
			fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelCluster))))
	s.must(s.kube.Delete(t.Context(), &corev1.Service{ObjectMeta: s.named("demo")}))
	o.until("demo", "all is as it was", func(c *v1alpha1.RaftCluster) bool {
		peers, set := &corev1.Service{}, &appsv1.StatefulSet{}
		return s.get("demo-peers", peers) && peers.Spec.PublishNotReadyAddresses && s.get("demo", &corev1.Service{}) &&
			s.get("demo", set) && set.Labels[v1alpha1.LabelCluster] == "demo"
	})
	if slices.ContainsFunc(slices.Collect(maps.Values(s.pods)), func(uids []types.UID) bool { return len(uids) != 1 }) {
		t.Error("a pod was restarted by that")
	}
}
