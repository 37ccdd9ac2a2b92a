package e2e

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// A key that is written at the start and read at the end, by hand.
const (
	keptKey   = "kept"
	keptValue = "from-the-first-minute"
)

const demo = `
apiVersion: raft.kontiki.dev/v1alpha1
kind: RaftCluster
metadata: {name: demo, namespace: ` + namespace + `}
spec:
  replicas: 3
  storage: {size: 256Mi}
`

func (s *scenario) apply(t *testing.T, c *measurement) {
	apply(t, fmt.Sprintf(restricted, namespace))
	began := time.Now()
	apply(t, demo)
	kubectl(t, "wait", "-n", namespace, "--for=condition=Ready", "raftcluster/demo", "--timeout=120s")
	c.reach("apply to Ready", time.Since(began), readyWithin)
	t.Log(kubectl(t, "get", "raftcluster", "-n", namespace, "-o", "wide"))
	if err := s.cluster.healthy(t.Context()); err != nil {
		t.Errorf("the cluster reports that it is Ready, but: %v", err)
	}
	cluster, err := s.kube.raftCluster(t.Context(), s.cluster.name)
	if err != nil {
		t.Fatal(err)
	}
	status := cluster.Status
	if status.ClusterID == "" || status.VotingMembers != replicas || len(status.Members) != replicas ||
		status.Leader == nil || status.Image != raftnodeImage {
		t.Errorf("the status is not whole: %+v", status)
	}
	if want := v1alpha1.LabelCluster + "=demo"; status.Selector != want {
		t.Errorf("the scale subresource selects %q, want %q", status.Selector, want)
	}
	for _, kind := range []string{
		v1alpha1.ConditionBootstrapped, v1alpha1.ConditionAvailable, v1alpha1.ConditionReady,
	} {
		if err := condition(cluster, kind, metav1.ConditionTrue, ""); err != nil {
			t.Error(err)
		}
	}
	for _, kind := range []string{
		v1alpha1.ConditionProgressing, v1alpha1.ConditionDegraded, v1alpha1.ConditionPaused,
	} {
		if err := condition(cluster, kind, metav1.ConditionFalse, ""); err != nil {
			t.Error(err)
		}
	}
}

func (s *scenario) writeAndRead(t *testing.T, _ *measurement) {
	s.cluster.raftctl(t, "put", keptKey, keptValue)
	if got := s.cluster.raftctl(t, "get", keptKey); got != keptValue {
		t.Fatalf("read %q, want %q", got, keptValue)
	}
	s.load = s.cluster.startWorkload(t, s.home)
}

func (s *scenario) dashboard(t *testing.T, _ *measurement) {
	port := forward(t, namespace, "svc/demo-dashboard", "8080")
	says := `/Healthy[^]*Node \d leads term \d+[^]*3 of 3 voters answer/.test(
		document.querySelector('.verdict').innerText) && document.querySelector('.log-table .has-yes')`
	picture := photograph(t, "http://127.0.0.1:"+port+"/", says)
	t.Logf("the page as it was: %s", save(t, "dashboard.png", picture))
}

func (s *scenario) deleteLeader(t *testing.T, c *measurement) {
	c.gapLimit = gracefulGap
	leader := s.cluster.mustLeader(t)
	before := s.cluster.mustPodRuns(t)
	c.began = time.Now()
	kubectl(t, "delete", "pod", leader, "-n", namespace)
	s.replaced(t, leader, before)
}

func (s *scenario) forceLeader(t *testing.T, c *measurement) {
	c.gapLimit = forcedGap
	leader := s.cluster.mustLeader(t)
	before := s.cluster.mustPodRuns(t)
	c.began = time.Now()
	kubectl(t, "delete", "pod", leader, "-n", namespace, "--grace-period=0", "--force")
	s.replaced(t, leader, before)
}

// replaced waits until a deleted pod is replaced, and the cluster whole. Its volume is the same, so it is the same
// member, and no other pod was touched.
func (s *scenario) replaced(t *testing.T, pod string, before podRuns) {
	t.Helper()
	old := before[pod]
	await(t, pod+" to be another pod", 2*time.Minute, func(ctx context.Context) error {
		now, err := s.kube.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
		if err == nil && strings.HasPrefix(old, string(now.UID)) {
			err = fmt.Errorf("it is still the same one")
		}
		return err
	})
	s.cluster.awaitHealthy(t, 3*time.Minute)
	others := maps.Clone(before)
	delete(others, pod)
	if err := s.cluster.changed(t.Context(), others); err != nil {
		t.Error(err)
	}
}

func (s *scenario) roll(t *testing.T, c *measurement) {
	c.gapLimit = rollingGap
	began := time.Now()
	s.cluster.patch(t, memory("544Mi"))
	s.cluster.rolled(t, "544Mi", 4*rollingWithin)
	c.reach("three pods", time.Since(began), rollingWithin)
}

// badImage: an image that cannot be pulled takes one pod down, and not one more; its correction brings the pod back
// without manual work (trap 14).
func (s *scenario) badImage(t *testing.T, c *measurement) {
	c.gapLimit = rollingGap
	before := s.cluster.mustPodRuns(t)
	s.cluster.patch(t, map[string]any{"image": raftnodeRepository + ":no-such-tag"})
	var stuck string
	await(t, "a pod that waits for the bad image", 2*time.Minute, func(ctx context.Context) error {
		pods, err := s.cluster.pods(ctx)
		if err != nil {
			return err
		}
		for i := range pods {
			for _, c := range pods[i].Status.ContainerStatuses {
				if w := c.State.Waiting; w != nil && slices.Contains(pullFailures, w.Reason) {
					stuck = pods[i].Name
					return nil
				}
			}
		}
		return fmt.Errorf("no pod fails to pull its image")
	})
	s.cluster.awaitCondition(t, v1alpha1.ConditionDegraded, metav1.ConditionTrue, "", time.Minute, stuck)
	others := maps.Clone(before)
	delete(others, stuck)
	untouched := func(ctx context.Context) error { return s.cluster.changed(ctx, others) }
	stays(t, "only one pod may have the bad image", 20*time.Second, untouched)
	s.cluster.patch(t, map[string]any{"image": raftnodeImage})
	s.cluster.awaitHealthy(t, 3*time.Minute)
	if err := untouched(t.Context()); err != nil {
		t.Errorf("the others had the right image all the time: %v", err)
	}
}

var pullFailures = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}

func (s *scenario) killOperator(t *testing.T, c *measurement) {
	c.gapLimit = rollingGap
	s.operator.noForbidden(t)
	before := s.cluster.mustPodRuns(t)
	operator := s.operator.pod(t)
	s.cluster.patch(t, memory("576Mi"))
	await(t, "the first pod to be down", time.Minute, func(ctx context.Context) error {
		if s.cluster.changed(ctx, before) != nil {
			return nil
		}
		pods, err := s.cluster.pods(ctx)
		if err != nil {
			return err
		}
		for i := range pods {
			if pods[i].DeletionTimestamp != nil {
				return nil
			}
		}
		return fmt.Errorf("nothing happens")
	})
	kubectl(t, "delete", "pod", operator.Name, "-n", operatorNamespace, "--grace-period=0", "--force")
	s.cluster.rolled(t, "576Mi", 4*rollingWithin)
}

// steady: an operator that has nothing to do writes nothing (trap 30). What changes an object changes its resource
// version; a write that changes nothing shows in the operator's own count. A minute with an election does not count.
func (s *scenario) steady(t *testing.T, _ *measurement) {
	pod := s.operator.pod(t).Name
	s.operator.awaitWork(t, pod)
	metrics := s.operator.metrics(t, pod)
	for range 3 {
		s.cluster.awaitHealthy(t, time.Minute)
		before, writes, objects := s.term(t), s.writes(t, metrics), s.versions(t)
		select {
		case <-time.After(time.Minute):
		case <-t.Context().Done():
		}
		after, count, versions := s.term(t), s.writes(t, metrics), s.versions(t)
		if after != before {
			t.Logf("there was an election: term %d, then %d; repeated", before, after)
			continue
		}
		if versions != objects {
			t.Errorf("objects changed in a minute without work; before:\n%safter:\n%s", objects, versions)
		}
		if !maps.Equal(writes, count) {
			t.Errorf("the operator wrote in a minute without work: %v, then %v", writes, count)
		}
		return
	}
	t.Error("there was no minute without an election")
}

func (s *scenario) term(t *testing.T) uint64 {
	t.Helper()
	view, err := s.cluster.view(t.Context(), s.cluster.mustLeader(t))
	if err != nil {
		t.Fatal(err)
	}
	return view.Term
}

// writes counts the operator's requests that change objects: a lease is renewed by PUT, a token reviewed by POST.
func (s *scenario) writes(t *testing.T, metrics func(context.Context) (families, error)) map[string]float64 {
	t.Helper()
	all, err := metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writes := make(map[string]float64)
	for _, method := range []string{"PATCH", "DELETE"} {
		writes[method] = sum(all["rest_client_requests_total"], "method", method)
	}
	return writes
}

// versions lists the resource versions of the cluster, of its objects, and of its events.
func (s *scenario) versions(t *testing.T) string {
	t.Helper()
	columns := "-o=custom-columns=KIND:.kind,NAME:.metadata.name,VERSION:.metadata.resourceVersion"
	return kubectl(t, "get", "-n", namespace, "raftclusters,events", columns, "--no-headers") +
		kubectl(t, "get", "-n", namespace, "statefulsets,services,pdb,pvc,pods,configmaps,secrets,serviceaccounts", columns,
			"--no-headers", "-l", v1alpha1.LabelCluster+"=demo")
}

// upgradeOperator: a new operator replaces only the operator's pod.
func (s *scenario) upgradeOperator(t *testing.T, c *measurement) {
	c.gapLimit = gracefulGap
	s.operator.noForbidden(t)
	before := s.cluster.mustPodRuns(t)
	old := s.operator.pod(t).Name
	helm(t, "upgrade", release, "charts/raft-operator", "-n", operatorNamespace, "--reuse-values", "--wait",
		"--timeout", "3m", "--set", "logLevel=debug", "--set", "resources.requests.cpu=60m")
	now := s.operator.pod(t).Name
	if now == old {
		t.Fatal("the upgrade changed nothing")
	}
	s.operator.awaitWork(t, now)
	stays(t, "an upgrade of the operator restarts no node", 20*time.Second, func(ctx context.Context) error {
		return s.cluster.changed(ctx, before)
	})
	s.cluster.awaitHealthy(t, time.Minute)
}

func (s *scenario) pause(t *testing.T, c *measurement) {
	c.gapLimit = rollingGap
	before := s.cluster.mustPodRuns(t)
	change := memory("608Mi")
	change["paused"] = true
	s.cluster.patch(t, change)
	s.cluster.awaitCondition(t, v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPaused, time.Minute, "wait")
	stays(t, "nothing happens to a paused cluster", 15*time.Second, func(ctx context.Context) error {
		return s.cluster.changed(ctx, before)
	})
	template := kubectl(t, "get", "statefulset", "demo", "-n", namespace,
		"-o=jsonpath={.spec.template.spec.containers[0].resources.limits.memory}")
	if template == "608Mi" {
		t.Error("the StatefulSet was changed despite the pause")
	}
	s.cluster.patch(t, map[string]any{"paused": false})
	s.cluster.rolled(t, "608Mi", 4*rollingWithin)
	s.cluster.awaitCondition(t, v1alpha1.ConditionPaused, metav1.ConditionFalse, "", time.Minute)
}

// adopt: a RaftCluster that was deleted by mistake is the same cluster when it is applied again.
func (s *scenario) adopt(t *testing.T, _ *measurement) {
	cluster, err := s.kube.raftCluster(t.Context(), s.cluster.name)
	if err != nil {
		t.Fatal(err)
	}
	claims := s.cluster.claims(t)
	kubectl(t, "delete", "raftcluster", "demo", "-n", namespace)
	await(t, "the pods to be gone", 3*time.Minute, func(ctx context.Context) error {
		pods, err := s.cluster.pods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d are left", len(pods))
		}
		return err
	})
	if left := s.cluster.claims(t); !maps.Equal(left, claims) {
		t.Fatalf("the claims were %v, and are %v", claims, left)
	}
	apply(t, demo)
	kubectl(t, "wait", "-n", namespace, "--for=condition=Ready", "raftcluster/demo", "--timeout=180s")
	s.cluster.awaitHealthy(t, time.Minute)
	again, err := s.kube.raftCluster(t.Context(), s.cluster.name)
	if err != nil {
		t.Fatal(err)
	}
	if again.UID == cluster.UID || again.Status.ClusterID != cluster.Status.ClusterID {
		t.Errorf("the cluster was %s, and came back as %s", cluster.Status.ClusterID, again.Status.ClusterID)
	}
	if now := s.cluster.claims(t); !maps.Equal(now, claims) {
		t.Errorf("the claims were %v, and are %v", claims, now)
	}
	if got := s.cluster.raftctl(t, "get", keptKey); got != keptValue {
		t.Errorf("read %q, want %q", got, keptValue)
	}
}

func (s *scenario) judge(t *testing.T, _ *measurement) {
	load := s.load
	s.load = nil
	load.finish(t)
}

func (s *scenario) chart(t *testing.T, _ *measurement) {
	helm(t, "install", "second", "charts/raft-cluster", "-n", namespace, "--set", "tests.image="+raftnodeImage,
		"--set", "cluster.storage.size=256Mi", "--set", "cluster.resources.requests.cpu=100m")
	kubectl(t, "wait", "-n", namespace, "--for=condition=Ready", "raftcluster/second", "--timeout=120s")
	t.Log(helm(t, "test", "second", "-n", namespace, "--timeout", "3m"))
}

// emptyDisk: a member whose disk is gone is not that member any more. Its pod comes back with an empty disk, and stays
// out: the operator does not make it a member, and it never votes under its old identity (trap 6, T28).
func (s *scenario) emptyDisk(t *testing.T, c *measurement) {
	second := &raft{kube: s.kube, name: "second"}
	second.awaitHealthy(t, time.Minute)
	load := second.startWorkload(t, s.home)
	began := time.Now()
	lost := second.mustLeader(t)
	claims := second.claims(t)
	claim := "data-" + lost
	kubectl(t, "delete", "pvc", claim, "-n", namespace, "--wait=false")
	kubectl(t, "delete", "pod", lost, "-n", namespace)
	out := func(ctx context.Context) error {
		pod, err := s.kube.CoreV1().Pods(namespace).Get(ctx, lost, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			return fmt.Errorf("its pod is %s", pod.Status.Phase)
		}
		if isReady(pod) {
			return fmt.Errorf("its pod is ready, so that clients are sent there")
		}
		view, err := second.view(ctx, lost)
		if err == nil && (view.State != "empty" || view.NodeID != 0 || len(view.Config.Members) > 0) {
			err = fmt.Errorf("its node is a %s with the id %d", view.State, view.NodeID)
		}
		return err
	}
	await(t, lost+" to be back with an empty disk", 3*time.Minute, out)
	if now := second.claims(t); now[claim] == claims[claim] {
		t.Fatalf("the claim is still %s", now[claim])
	}
	second.awaitCondition(t, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonMemberLost, time.Minute,
		lost, "disk")
	second.awaitCondition(t, v1alpha1.ConditionAvailable, metav1.ConditionTrue, "", time.Minute)
	stays(t, lost+" stays out", 20*time.Second, out)
	operator := s.operator.pod(t).Name
	kubectl(t, "delete", "pod", operator, "-n", operatorNamespace)
	s.operator.awaitWork(t, s.operator.pod(t).Name)
	stays(t, lost+" stays out under another operator, which never observed it before", 10*time.Second, out)
	c.gap, c.plain = load.gaps(t, began, time.Now())
	c.reach("gap", c.gap, gracefulGap)
	load.finish(t)
}

func (s *scenario) judgeOperator(t *testing.T, _ *measurement) {
	s.operator.noForbidden(t)
	s.operator.check(t)
	t.Logf("its log is in %s", filepath.Join(artefacts, "operator.log"))
}
