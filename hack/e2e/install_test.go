package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// restricted is a namespace with the restricted pod security.
const restricted = `
apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}
`

// metricsAccess lets the test read the operator's metrics by the chart's role for that.
const metricsAccess = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s, namespace: %[2]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[3]s-e2e-metrics, labels: {kontiki-e2e: metrics}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[3]s}
subjects: [{kind: ServiceAccount, name: %[1]s, namespace: %[2]s}]
`

func (s *scenario) install(t *testing.T, _ *measurement) {
	apply(t, fmt.Sprintf(restricted, operatorNamespace))
	t.Log(helm(t, "install", release, "charts/raft-operator", "-n", operatorNamespace, "--wait", "--timeout", "3m",
		"--set", "image.repository="+operatorRepository, "--set", "image.tag="+tag,
		"--set", "nodeImage.repository="+raftnodeRepository, "--set", "nodeImage.tag="+tag,
		"--set", "logFormat=json"))
	roles, err := s.kube.RbacV1().ClusterRoles().List(t.Context(),
		metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles.Items {
		if strings.HasSuffix(role.Name, "-metrics-reader") {
			apply(t, fmt.Sprintf(metricsAccess, metricsReader, operatorNamespace, role.Name))
			return
		}
	}
	t.Error("the chart has no ClusterRole for reading the metrics")
}

// uninstall shows that the clusters run without an operator.
func (s *scenario) uninstall(t *testing.T, _ *measurement) {
	before := s.cluster.mustPodRuns(t)
	helm(t, "uninstall", release, "-n", operatorNamespace, "--wait")
	await(t, "the operator to be gone", time.Minute, func(ctx context.Context) error {
		pods, err := s.operator.pods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d pods are left", len(pods))
		}
		return err
	})
	if err := s.cluster.changed(t.Context(), before); err != nil {
		t.Error(err)
	}
	if got := s.cluster.raftctl(t, "get", keptKey); got != keptValue {
		t.Errorf("without an operator the cluster answers %q, want %q", got, keptValue)
	}
}

// clean removes what this run, or one before it, left in Kubernetes. It removes the CRD, and with it all RaftClusters,
// only if this test's release installed it.
func (s *scenario) clean(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	do := func(name string, arguments ...string) string {
		out, err := command(ctx, "", name, arguments...)
		errs = append(errs, err)
		return out
	}
	crd := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	object, err := s.kube.dynamic.Resource(crd).Get(ctx, "raftclusters.raft.kontiki.dev", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		t.Fatal(err)
	case object.GetAnnotations()["meta.helm.sh/release-namespace"] != operatorNamespace:
		t.Fatalf("this Kubernetes has a CRD raftclusters.raft.kontiki.dev of another owner (%v); "+
			"the end-to-end test must install its own", object.GetAnnotations())
	default:
		do("kubectl", "delete", "crd", object.GetName(), "--wait")
	}
	do("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait")
	var releases []struct{ Name string }
	list := do(root+"/bin/helm", "list", "-n", operatorNamespace, "-a", "-o", "json")
	errs = append(errs, json.Unmarshal([]byte(list), &releases))
	for _, r := range releases {
		do(root+"/bin/helm", "uninstall", r.Name, "-n", operatorNamespace, "--wait", "--timeout", "2m")
	}
	do("kubectl", "delete", "namespace", operatorNamespace, "--ignore-not-found", "--wait")
	do("kubectl", "delete", "clusterrolebinding", "-l", "kontiki-e2e=metrics")
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("cleaning up: %v", err)
	}
}
