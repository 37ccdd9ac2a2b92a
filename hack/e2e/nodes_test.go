package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// lastNode is the Kubernetes node for the workload.
func (s *scenario) lastNode() string {
	nodes, err := s.kube.CoreV1().Nodes().List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for i := range nodes.Items {
		if !nodes.Items[i].Spec.Unschedulable {
			names = append(names, nodes.Items[i].Name)
		}
	}
	if len(names) < replicas {
		s.t.Fatalf("this Kubernetes has %d nodes where pods may run; the test needs %d", len(names), replicas)
	}
	return slices.Max(names)
}

// victim finds a Kubernetes node that runs a pod of the cluster, and neither the workload nor, if required, the
// operator. It returns the node and the pod.
func (s *scenario) victim(t *testing.T, withOperator bool) (node, pod string) {
	t.Helper()
	spared := []string{s.home}
	if !withOperator {
		spared = append(spared, s.operator.pod(t).Spec.NodeName)
	}
	pods, err := s.cluster.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods {
		if name := pods[i].Spec.NodeName; !slices.Contains(spared, name) {
			return name, pods[i].Name
		}
	}
	t.Fatalf("every pod of the cluster is on one of the nodes %v, where the workload and the operator are", spared)
	return "", ""
}

// cutNode partitions the node of the leader from the network, without closing any connection.
func (s *scenario) cutNode(t *testing.T, c *measurement) {
	cut, heal := os.Getenv("CUT_NODE"), os.Getenv("HEAL_NODE")
	if cut == "" || heal == "" {
		t.Skip("CUT_NODE and HEAL_NODE must be commands, like 'cluster cut {number}' and 'cluster heal {number}'")
	}
	c.gapLimit = forcedGap
	node, pod := s.victim(t, false)
	s.cluster.transfer(t, pod)
	before := s.cluster.mustPodRuns(t)
	c.began = time.Now()
	shell(t, cut, node)
	healed := false
	t.Cleanup(func() {
		if !healed {
			shell(t, heal, node)
		}
	})
	s.nodeReady(t, node, corev1.ConditionUnknown)
	s.cluster.awaitCondition(t, v1alpha1.ConditionDegraded, metav1.ConditionTrue, "", time.Minute, pod)
	s.cluster.awaitCondition(t, v1alpha1.ConditionAvailable, metav1.ConditionTrue, "", time.Minute)
	shell(t, heal, node)
	healed = true
	s.nodeReady(t, node, corev1.ConditionTrue)
	s.cluster.awaitHealthy(t, 3*time.Minute)
	if err := s.cluster.changed(t.Context(), before); err != nil {
		t.Errorf("a node that is partitioned for a while must keep its pods: %v", err)
	}
}

// shell runs a command from the environment, with the Kubernetes node's name for {node} and the number at its end for
// {number}. It runs also after the end of the test, which must heal its partition.
func shell(t *testing.T, text, node string) {
	t.Helper()
	number := node[len(strings.TrimRight(node, "0123456789")):]
	text = strings.NewReplacer("{node}", node, "{number}", number).Replace(text)
	t.Logf("$ %s", text)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := command(ctx, "", "sh", "-c", text); err != nil {
		t.Fatal(err)
	}
}

func (s *scenario) nodeReady(t *testing.T, name string, want corev1.ConditionStatus) {
	t.Helper()
	await(t, fmt.Sprintf("%s to be Ready: %s", name, want), 2*time.Minute, func(ctx context.Context) error {
		node, err := s.kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != want {
				return fmt.Errorf("it is %s: %s", c.Status, c.Message)
			}
		}
		return nil
	})
}

// drain evicts the cluster's pod from a Kubernetes node and, perhaps, the operator. It leaves other pods alone: this
// Kubernetes may have other users.
func (s *scenario) drain(t *testing.T, c *measurement) {
	c.gapLimit = gracefulGap
	node, pod := s.victim(t, true)
	s.cluster.transfer(t, pod)
	c.began = time.Now()
	t.Cleanup(func() {
		if _, err := command(context.Background(), "", "kubectl", "uncordon", node); err != nil {
			t.Error(err)
		}
	})
	before := s.cluster.mustPodRuns(t)
	t.Log(kubectl(t, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s",
		"--pod-selector=app.kubernetes.io/instance in ("+s.cluster.name+","+release+")"))
	kubectl(t, "uncordon", node)
	s.replaced(t, pod, before)
}
