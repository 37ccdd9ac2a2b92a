package charts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// chartWith overrides values, key by key of the top level.
func chartWith(below, above values) values {
	both := maps.Clone(below)
	maps.Copy(both, above)
	return both
}

func manager(t *testing.T, r rendered) (appsv1.Deployment, corev1.Container) {
	t.Helper()
	deployment := convert[appsv1.Deployment](t, r.one(t, "Deployment"))
	return deployment, deployment.Spec.Template.Spec.Containers[0]
}

func TestOperatorGetsItsFlags(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, c := range []struct {
		given values
		flag  string
	}{
		{nil, "--node-image=ghcr.io/kontiki-dev/raftnode:0.1.0"},
		{at("nodeImage.tag", "2.0.0"), "--node-image=ghcr.io/kontiki-dev/raftnode:2.0.0"},
		{at("nodeImage.digest", digest), "--node-image=ghcr.io/kontiki-dev/raftnode@" + digest},
		{nil, "--cluster-domain=cluster.local"},
		{nil, "--leader-elect=true"},
		{at("leaderElection.enabled", false), "--leader-elect=false"},
		{nil, "--metrics-bind-address=:8443"},
		{at("metrics.enabled", false), "--metrics-bind-address=0"},
		{nil, "--metrics-secure=true"},
		{at("metrics.secure", false), "--metrics-secure=false"},
		{nil, "--health-probe-bind-address=:8081"},
		{nil, "--max-concurrent-reconciles=4"},
		{values{"maxConcurrentReconciles": 1000000}, "--max-concurrent-reconciles=1000000"},
		{nil, "--log-level=info"},
		{nil, "--log-format=text"},
		{values{"watchNamespaces": []any{"team-a", "team-b"}}, "--watch-namespace=team-a"},
		{values{"watchNamespaces": []any{"team-a", "team-b"}}, "--watch-namespace=team-b"},
	} {
		_, container := manager(t, render(t, operatorChart, c.given))
		if !slices.Contains(container.Args, c.flag) {
			t.Errorf("with %v the flags are %v, want %s among them", c.given, container.Args, c.flag)
		}
	}
	_, container := manager(t, render(t, operatorChart, nil))
	for _, flag := range container.Args {
		if strings.HasPrefix(flag, "--watch-namespace") {
			t.Errorf("%s without watchNamespaces: the operator would not watch the others", flag)
		}
	}
}

func TestADigestCountsInsteadOfTheTag(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	_, container := manager(t, render(t, operatorChart, values{"image": values{"tag": "2.0.0", "digest": digest}}))
	if want := "ghcr.io/kontiki-dev/operator@" + digest; container.Image != want {
		t.Errorf("the image is %s, want %s", container.Image, want)
	}
}

func TestNeverTwoOperatorsAtWorkAtOnce(t *testing.T) {
	t.Parallel()
	alone := values{"replicas": 2, "leaderElection": values{"enabled": false}}
	_, err := tryRender(t, operatorChart, release, alone)
	if err == nil || !strings.Contains(err.Error(), "leaderElection") {
		t.Errorf("two replicas without leader election: %v", err)
	}
	deployment, _ := manager(t, render(t, operatorChart, at("leaderElection.enabled", false)))
	if deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("without leader election the strategy is %q: an update would start the new pod before it ends the old one",
			deployment.Spec.Strategy.Type)
	}
}

func TestSelectorsFindTheOperatorAndNeverChange(t *testing.T) { // a Deployment's selector is immutable
	t.Parallel()
	want := map[string]string{"app.kubernetes.io/name": "raft-operator", "app.kubernetes.io/instance": release}
	for _, given := range []values{nil, everything[operatorChart]} {
		r := render(t, operatorChart, given)
		deployment, _ := manager(t, r)
		service := convert[corev1.Service](t, r.one(t, "Service"))
		if !maps.Equal(deployment.Spec.Selector.MatchLabels, want) || !maps.Equal(service.Spec.Selector, want) {
			t.Errorf("the selectors are %v and %v, want %v", deployment.Spec.Selector.MatchLabels, service.Spec.Selector, want)
		}
		for key, value := range want {
			if deployment.Spec.Template.Labels[key] != value {
				t.Errorf("the pods lack %s=%s", key, value)
			}
		}
	}
}

func TestProbesAskForWhatTheManagerServes(t *testing.T) {
	t.Parallel()
	_, container := manager(t, render(t, operatorChart, nil))
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
	}
	probes := map[string]*corev1.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe}
	for path, probe := range probes {
		if probe.HTTPGet.Path != path || ports[probe.HTTPGet.Port.String()] != 8081 {
			t.Errorf("a probe asks for %s on port %s, want %s on 8081", probe.HTTPGet.Path, probe.HTTPGet.Port.String(), path)
		}
	}
}

func TestOperatorNotesGiveTheNextThreeCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given     values
		namespace string
	}{{nil, "default"}, {values{"watchNamespaces": []any{"team-a"}}, "team-a"}} {
		notes := render(t, operatorChart, c.given).notes
		for _, command := range []string{
			"kubectl apply -n " + c.namespace + " -f -",
			"kubectl wait -n " + c.namespace + " --for=condition=Ready raftcluster/demo",
			"kubectl port-forward -n " + c.namespace + " svc/demo-dashboard 8080",
		} {
			if !strings.Contains(notes, command) {
				t.Errorf("with %v the notes lack %q:\n%s", c.given, command, notes)
			}
		}
	}
}
