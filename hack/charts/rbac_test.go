package charts

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// generated reads the output of make manifests in config/.
func generated(t *testing.T, path string) values {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", path))
	if err != nil {
		t.Fatalf("%v; make manifests writes it", err)
	}
	var object values
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestCRDIsTheGeneratedOne(t *testing.T) {
	t.Parallel()
	want := generated(t, "crd/raft.kontiki.dev_raftclusters.yaml")
	got := render(t, operatorChart, nil).one(t, "CustomResourceDefinition")
	if diff := cmp.Diff(want["spec"], got.Object["spec"]); diff != "" {
		t.Errorf("the CRD of the chart is not that of config/ (-config +chart); make manifests:\n%s", diff)
	}
	if name := want["metadata"].(values)["name"]; got.GetName() != name {
		t.Errorf("the CRD is called %s, not %s", got.GetName(), name)
	}
}

func TestCRDOutlivesTheChart(t *testing.T) { // otherwise helm uninstall would delete every RaftCluster
	t.Parallel()
	for _, keep := range []bool{true, false} {
		crd := render(t, operatorChart, at("crds.keep", keep)).one(t, "CustomResourceDefinition")
		if policy := crd.GetAnnotations()["helm.sh/resource-policy"]; (policy == "keep") != keep {
			t.Errorf("with crds.keep=%t the resource policy of the CRD is %q", keep, policy)
		}
	}
}

func TestRightsAreTheGeneratedOnes(t *testing.T) {
	t.Parallel()
	want := generated(t, "rbac/role.yaml")["rules"]
	everywhere := named(t, render(t, operatorChart, nil), "ClusterRole", "", release+"-raft-operator")
	if diff := cmp.Diff(want, everywhere.Object["rules"]); diff != "" {
		t.Errorf("the ClusterRole of the chart is not that of config/ (-config +chart); make manifests:\n%s", diff)
	}
	inSome := render(t, operatorChart, values{"watchNamespaces": []any{"team-a", "team-b"}})
	for _, namespace := range []string{"team-a", "team-b"} {
		role := named(t, inSome, "Role", namespace, release+"-raft-operator")
		if diff := cmp.Diff(want, role.Object["rules"]); diff != "" {
			t.Errorf("the Role in %s is not that of config/ (-config +chart):\n%s", namespace, diff)
		}
	}
}

func TestWatchedNamespacesBoundTheRights(t *testing.T) {
	t.Parallel()
	r := render(t, operatorChart, values{"watchNamespaces": []any{"team-a"}})
	var names []string
	for _, role := range r.ofKind("ClusterRole") {
		names = append(names, strings.TrimPrefix(role.GetName(), release+"-raft-operator-"))
	}
	if want := []string{"edit", "metrics-auth", "metrics-reader", "view"}; !slices.Equal(sorted(names), want) {
		t.Errorf("cluster-wide roles are %v, want only %v", names, want)
	}
	for _, binding := range r.ofKind("ClusterRoleBinding") {
		if binding.GetName() != release+"-raft-operator-metrics-auth" {
			t.Errorf("the operator has the cluster-wide %s", binding.GetName())
		}
	}
	// A Role cannot grant these.
	for _, rule := range rulesOf(t, named(t, r, "Role", "team-a", release+"-raft-operator")) {
		for _, resource := range append(rule.Resources, rule.NonResourceURLs...) {
			resource, _, _ = strings.Cut(resource, "/")
			if slices.Contains(clusterScoped, resource) || resource == "" {
				t.Errorf("%s is not in any namespace; the operator could not run with watchNamespaces", resource)
			}
		}
	}
}

// clusterScoped are resources that belong to no namespace.
var clusterScoped = []string{
	"clusterrolebindings", "clusterroles", "customresourcedefinitions", "namespaces", "nodes", "persistentvolumes",
	"priorityclasses", "storageclasses", "subjectaccessreviews", "tokenreviews", "volumeattachments",
}

func TestNoRoleHasSecretsOrWildcards(t *testing.T) { // no exec, no list of Secrets
	t.Parallel()
	roles := 0
	eachObject(t, func(name string, object unstructured.Unstructured) {
		if object.GetKind() != "Role" && object.GetKind() != "ClusterRole" {
			return
		}
		roles++
		for _, rule := range rulesOf(t, object) {
			for _, resource := range rule.Resources {
				if slices.Contains([]string{"secrets", "pods/exec", "pods/attach", "pods/portforward"}, resource) {
					t.Errorf("%s grants %s", name, resource)
				}
			}
			for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
				if slices.Contains([]string{"*", "escalate", "bind", "impersonate"}, word) {
					t.Errorf("%s grants %s", name, word)
				}
			}
		}
	})
	if roles == 0 {
		t.Error("no role was checked")
	}
}

func TestEveryBindingJoinsARoleToTheOperator(t *testing.T) {
	t.Parallel()
	for _, given := range []values{
		nil,
		everything[operatorChart],
		at("serviceAccount.name", "raft"),
		{"serviceAccount": values{"create": false, "name": "raft"}},
		{"serviceAccount": values{"create": false}},
	} {
		r := render(t, operatorChart, given)
		deployment, _ := manager(t, r)
		account := deployment.Spec.Template.Spec.ServiceAccountName
		reader := release + "-raft-operator-metrics-reader" // with which the ServiceMonitor scrapes
		for _, binding := range slices.Concat(r.ofKind("RoleBinding"), r.ofKind("ClusterRoleBinding")) {
			typed := convert[rbac.RoleBinding](t, binding)
			named(t, r, typed.RoleRef.Kind, typed.Namespace, typed.RoleRef.Name)
			want := []rbac.Subject{{Kind: "ServiceAccount", Name: account, Namespace: namespace}}
			if typed.Name == reader {
				want[0].Name = reader
			}
			if !reflect.DeepEqual(typed.Subjects, want) {
				t.Errorf("%v: %s is for %v, want %v", given, typed.Name, typed.Subjects, want)
			}
		}
	}
}

func TestNoRoleIsMadeWithoutRBAC(t *testing.T) {
	t.Parallel()
	given := chartWith(everything[operatorChart], at("rbac.create", false))
	for _, object := range render(t, operatorChart, given).objects {
		if object.GroupVersionKind().Group == rbac.GroupName {
			t.Errorf("%s %s with rbac.create=false", object.GetKind(), object.GetName())
		}
	}
}

// named finds an object; an empty namespace is for cluster-scoped ones.
func named(t *testing.T, r rendered, kind, namespace, name string) unstructured.Unstructured {
	t.Helper()
	for _, object := range r.ofKind(kind) {
		if object.GetName() == name && object.GetNamespace() == namespace {
			return object
		}
	}
	t.Fatalf("there is no %s %s/%s", kind, namespace, name)
	return unstructured.Unstructured{}
}

func rulesOf(t *testing.T, role unstructured.Unstructured) []rbac.PolicyRule {
	t.Helper()
	return convert[rbac.Role](t, role).Rules
}

func convert[T any](t *testing.T, object unstructured.Unstructured) T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed); err != nil {
		t.Fatal(err)
	}
	return typed
}

func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }
