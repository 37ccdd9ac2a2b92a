package objects_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestDrainsLeaveTheQuorum(t *testing.T) { // O34
	t.Parallel()
	d := desired(t, "default")
	d.Quorum = 4
	if got := objects.DisruptionBudget(d).Spec.MinAvailable.IntValue(); got != 4 {
		t.Errorf("a quorum is 4, and %d must remain", got)
	}
}

func TestWhatNotAllHaveIsEitherWantedOrUnwanted(t *testing.T) {
	t.Parallel()
	for _, mode := range []v1alpha1.DashboardMode{v1alpha1.DashboardEnabled, v1alpha1.DashboardDisabled} {
		for _, voters := range []int32{1, 3} {
			d := desired(t, "default")
			d.Cluster.Spec.Dashboard.Mode, d.Quorum, d.Replicas = mode, voters/2+1, voters
			wanted, unwanted := namesOf(objects.All(d)), []string{}
			for _, ref := range objects.Unwanted(d) {
				unwanted = append(unwanted, ref.String())
			}
			for name, want := range map[string]bool{
				"Service demo-dashboard":   mode == v1alpha1.DashboardEnabled,
				"PodDisruptionBudget demo": voters > 1, // a single node's would block every drain
			} {
				if slices.Contains(wanted, name) != want || slices.Contains(unwanted, name) == want {
					t.Errorf("dashboard %s, %d voters: wanted %v, unwanted %v", mode, voters, wanted, unwanted)
				}
			}
		}
	}
}

func TestNamesExistBeforePods(t *testing.T) { // O20
	t.Parallel()
	order := namesOf(objects.All(desired(t, "default")))
	peers, pods := slices.Index(order, "Service demo-peers"), slices.Index(order, "StatefulSet demo")
	if peers < 0 || pods < 0 || peers > pods {
		t.Errorf("created in the order %v: the peer Service must come before the StatefulSet", order)
	}
}

func TestTheOperatorsLabelsWin(t *testing.T) {
	t.Parallel()
	d := desired(t, "full") // its spec sets two of them itself
	labels := objects.StatefulSet(d).Spec.Template.Labels
	for key, value := range objects.Labels(d.Cluster.Name) {
		if labels[key] != value {
			t.Errorf("the pods' label %s is %q, want %q", key, labels[key], value)
		}
	}
	if labels["team"] != "shop" {
		t.Errorf("the pods' labels are %v, without the one of the spec", labels)
	}
}

// Nothing else in a Desired changes the pods: a status, a change of the Services, the operator's pause, the number of
// pods.
func TestOnlyWhatPodsAreMadeOfRestartsThem(t *testing.T) {
	t.Parallel()
	before := objects.StatefulSet(desired(t, "full"))
	d := desired(t, "full")
	d.Replicas, d.Quorum = 7, 4
	d.Cluster.Generation, d.Cluster.ResourceVersion, d.Cluster.UID = 9, "4711", "another"
	d.Cluster.Labels = map[string]string{"a": "b"}
	d.Cluster.Status = v1alpha1.RaftClusterStatus{ClusterID: "c", Image: "another", Version: "v2", ReadyReplicas: 2}
	d.Cluster.Spec.Paused = false
	d.Cluster.Spec.Image = "another" // the recorded one is used
	d.Cluster.Spec.ClientService = v1alpha1.ServiceSpec{Type: "NodePort", Port: 81}
	d.Cluster.Spec.Dashboard.Mode = v1alpha1.DashboardDisabled
	d.Cluster.Spec.Storage.RetentionPolicy.WhenDeleted = v1alpha1.RetainVolumes
	if diff := cmp.Diff(templateOf(t, before), templateOf(t, objects.StatefulSet(d))); diff != "" {
		t.Errorf("the pod template changed:\n%s", diff)
	}
	d.Image = "registry.example.com/raftnode:v2"
	if templateOf(t, before) == templateOf(t, objects.StatefulSet(d)) {
		t.Error("another image does not change the pod template")
	}
}

func TestTheSameSpecMakesTheSameObjects(t *testing.T) { // maps have no order; the objects must have one
	t.Parallel()
	labels := map[string]string{}
	for i := range 50 {
		labels[fmt.Sprint("label", i)] = "x"
	}
	var first string
	for range 20 {
		d := desired(t, "full")
		d.Cluster.Spec.Pod.Labels, d.Cluster.Spec.Pod.NodeSelector = labels, labels
		digest := setDigest(objects.All(d))
		if first == "" {
			first = digest
		}
		if digest != first {
			t.Fatalf("the digest of the StatefulSet is %s, then %s", first, digest)
		}
	}
}

func TestTheSpecIsLeftAlone(t *testing.T) { // it is shared through a cache
	t.Parallel()
	d := desired(t, "full")
	before := d.Cluster.DeepCopy()
	for _, object := range objects.All(d) {
		if service, ok := object.Config.(*coreac.ServiceApplyConfiguration); ok {
			service.WithAnnotations(map[string]string{"x": "y"})
		}
	}
	if diff := cmp.Diff(before, d.Cluster); diff != "" {
		t.Errorf("building the objects changed the RaftCluster:\n%s", diff)
	}
}

func namesOf(all []objects.Object) []string {
	var names []string
	for _, object := range all {
		names = append(names, object.String())
	}
	return names
}

// setDigest returns the digest of the StatefulSet, the last of all objects.
func setDigest(all []objects.Object) string {
	last := all[len(all)-1].Config.(*appsac.StatefulSetApplyConfiguration)
	return last.Annotations[objects.AnnotationApplied]
}

func templateOf(t *testing.T, set *appsac.StatefulSetApplyConfiguration) string {
	t.Helper()
	return template(t, asJSON(t, set))
}
