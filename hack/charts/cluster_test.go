package charts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestClusterIsHandedOnWordForWord(t *testing.T) {
	t.Parallel()
	for _, spec := range []values{{}, everything[clusterChart]["cluster"].(values)} {
		got := render(t, clusterChart, values{"cluster": spec}).one(t, "RaftCluster")
		if diff := cmp.Diff(plain(spec), plain(got.Object["spec"])); diff != "" {
			t.Errorf("the spec is not cluster (-values +spec):\n%s", diff)
		}
	}
}

// plain converts all numbers to one type, however they were read.
func plain(value any) any {
	switch v := value.(type) {
	case values:
		all := values{}
		for key, inner := range v {
			all[key] = plain(inner)
		}
		return all
	case []any:
		var all []any
		for _, inner := range v {
			all = append(all, plain(inner))
		}
		return all
	case int:
		return float64(v)
	case int64:
		return float64(v)
	}
	return value
}

func TestNothingElseGetsTheClustersTraffic(t *testing.T) { // the Services select every pod with this label
	t.Parallel()
	stolen := values{"commonLabels": values{v1alpha1.LabelCluster: release, "team": "storage"}}
	for _, given := range []values{nil, everything[clusterChart], stolen} {
		pod := render(t, clusterChart, given).one(t, "Pod")
		selected := true
		for key, value := range objects.Selector(release) {
			selected = selected && pod.GetLabels()[key] == value
		}
		if selected {
			t.Errorf("with %v the Services of the cluster send traffic to the test's pod", given)
		}
	}
}

func TestPodMonitorFindsTheNodes(t *testing.T) {
	t.Parallel()
	monitor := render(t, clusterChart, everything[clusterChart]).one(t, "PodMonitor")
	selector, _, err := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(objects.Selector(release), selector); diff != "" {
		t.Errorf("the monitor selects other pods (-cluster +monitor):\n%s", diff)
	}
	endpoints, _, err := unstructured.NestedSlice(monitor.Object, "spec", "podMetricsEndpoints")
	if err != nil || len(endpoints) != 1 || endpoints[0].(values)["port"] != objects.PortNameAPI {
		t.Errorf("the monitor scrapes %v, want the port %s: %v", endpoints, objects.PortNameAPI, err)
	}
}

func TestHelmTestWritesAndReadsThroughTheClientService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given      values
		url, image string
		pull       corev1.PullPolicy
	}{
		{nil, "http://kontiki:8080", "ghcr.io/kontiki-dev/raftnode:0.1.0", corev1.PullIfNotPresent},
		{everything[clusterChart], "http://kontiki:80", "registry.example.com/raftnode:1", corev1.PullAlways},
		{
			values{"nameOverride": "demo", "tests": values{"image": "raftctl:1"}},
			"http://demo:8080", "raftctl:1", corev1.PullIfNotPresent,
		},
	} {
		pod := convert[corev1.Pod](t, render(t, clusterChart, c.given).one(t, "Pod"))
		if pod.Annotations["helm.sh/hook"] != "test" || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("the pod is not a test that can fail: %v, %s", pod.Annotations, pod.Spec.RestartPolicy)
		}
		var steps []string
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			steps = append(steps, container.Args[2])
			if container.Args[0] != "--endpoints="+c.url || container.Image != c.image || container.ImagePullPolicy != c.pull {
				t.Errorf("%s runs %s (%s) with %v, want %s (%s) on %s", container.Name, container.Image,
					container.ImagePullPolicy, container.Args, c.image, c.pull, c.url)
			}
		}
		if got := strings.Join(steps, " "); got != "put get cas del" || len(pod.Spec.Containers) != 1 {
			t.Errorf("the steps are %s with %d concurrent ones at the end", got, len(pod.Spec.Containers))
		}
	}
}

func TestClusterNotesNameTheServicesThatExist(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec  values
		lines []string
	}{
		{nil, []string{
			"svc/" + objects.DashboardServiceName(release) + " 8080:8080\n", "rft kontiki",
			"http://kontiki.kontiki-system.svc:8080", "keeps the volumes", "creates 3 nodes",
		}},
		{values{"replicas": 5, "dashboard": values{"port": 80}}, []string{
			"svc/" + objects.DashboardServiceName(release) + " 8080:80\n", "creates 5 nodes",
		}},
		{values{"dashboard": values{"mode": "Disabled"}, "clientService": values{"port": 90}}, []string{
			"svc/" + objects.ClientServiceName(release) + " 8080:90\n", "http://kontiki.kontiki-system.svc:90",
		}},
	} {
		notes := render(t, clusterChart, values{"cluster": c.spec}).notes
		for _, line := range c.lines {
			if !strings.Contains(notes, line) {
				t.Errorf("with %v the notes lack %q:\n%s", c.spec, line, notes)
			}
		}
	}
	deleted := values{"storage": values{"retentionPolicy": values{"whenDeleted": "Delete"}}}
	if notes := render(t, clusterChart, values{"cluster": deleted}).notes; strings.Contains(notes, "keeps the volumes") {
		t.Errorf("the notes announce that volumes are kept that are deleted:\n%s", notes)
	}
}
