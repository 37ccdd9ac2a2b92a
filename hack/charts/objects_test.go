package charts

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/scheme"
	policyapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// everything enables every object that a chart can create.
var everything = map[string]values{
	operatorChart: {
		"watchNamespaces":     []any{"team-a", "team-b"},
		"podDisruptionBudget": values{"enabled": true},
		"networkPolicy":       values{"enabled": true},
		"imagePullSecrets":    []any{values{"name": "mirror"}},
		"priorityClassName":   "system-cluster-critical",
		"tolerations":         []any{values{"operator": "Exists"}},
		"metrics":             values{"serviceMonitor": values{"enabled": true, "labels": values{"release": "prometheus"}}},
		"commonLabels":        values{"team": "storage"},
		"commonAnnotations":   values{"example.com/owner": "storage"},
	},
	clusterChart: {
		"monitoring": values{"podMonitor": values{"enabled": true}},
		"cluster": values{
			"replicas": 5, "image": "registry.example.com/raftnode:1", "imagePullPolicy": "Always",
			"imagePullSecrets": []any{values{"name": "mirror"}},
			"raft":             values{"electionTimeoutMilliseconds": 2000},
			"storage":          values{"size": "8Gi", "storageClassName": "fast"},
			"clientService":    values{"port": 80},
		},
		"commonLabels":      values{"team": "storage"},
		"commonAnnotations": values{"example.com/owner": "storage"},
	},
}

// eachObject calls f for what both charts render by default and with everything.
func eachObject(t *testing.T, f func(name string, object unstructured.Unstructured)) {
	t.Helper()
	for _, name := range []string{operatorChart, clusterChart} {
		for _, given := range []values{nil, everything[name]} {
			for _, object := range render(t, name, given).objects {
				f(name+" "+object.GetKind()+" "+object.GetName(), object)
			}
		}
	}
}

// monitors are kinds that are not part of Kubernetes, and whose fields this module does not define.
var monitors = map[string]bool{"ServiceMonitor": true, "PodMonitor": true}

// decode decodes a typed object; an unknown field is an error.
func decode(object unstructured.Unstructured) (runtime.Object, error) {
	known := runtime.NewScheme()
	groups := []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensions.AddToScheme, v1alpha1.AddToScheme}
	for _, add := range groups {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	typed, err := known.New(object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return typed, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true)
}

func TestEveryFieldIsAFieldOfKubernetes(t *testing.T) {
	t.Parallel()
	eachObject(t, func(name string, object unstructured.Unstructured) {
		if monitors[object.GetKind()] {
			return
		}
		if _, err := decode(object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
}

func TestEveryLabelIsOne(t *testing.T) {
	t.Parallel()
	eachObject(t, func(name string, object unstructured.Unstructured) {
		if len(object.GetLabels()) == 0 {
			t.Errorf("%s has no labels", name)
		}
		for key, value := range object.GetLabels() {
			for _, complaint := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
				t.Errorf("%s: label %s=%s: %s", name, key, value, complaint)
			}
		}
	})
}

func TestLongReleaseNamesFit(t *testing.T) { // Helm allows 53 characters, a Service's name 63
	t.Parallel()
	long := "a-release-name-that-is-as-long-as-helm-lets-it-be-53c"
	r, err := tryRender(t, operatorChart, long, everything[operatorChart])
	if err != nil || len(long) != 53 {
		t.Fatal(len(long), err)
	}
	for _, object := range r.objects {
		if object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		for _, complaint := range validation.IsDNS1123Label(object.GetName()) {
			t.Errorf("%s %s: %s", object.GetKind(), object.GetName(), complaint)
		}
	}
}

// podOf returns the pod that an object creates, if it creates one.
func podOf(t *testing.T, object unstructured.Unstructured) (*corev1.PodTemplateSpec, bool) {
	t.Helper()
	from := object.Object
	switch object.GetKind() {
	case "Pod":
	case "Deployment":
		template, found, err := unstructured.NestedMap(object.Object, "spec", "template")
		if err != nil || !found {
			t.Fatalf("a Deployment without a template: %v", err)
		}
		from = template
	default:
		return nil, false
	}
	var pod corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from, &pod); err != nil {
		t.Fatal(err)
	}
	return &pod, true
}

func TestPodsPassRestrictedPodSecurity(t *testing.T) {
	t.Parallel()
	version := policyapi.MajorMinorVersion(1, 34)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), &version)
	if err != nil {
		t.Fatal(err)
	}
	pods := 0
	eachObject(t, func(name string, object unstructured.Unstructured) {
		pod, isOne := podOf(t, object)
		if !isOne {
			return
		}
		pods++
		restricted := policyapi.LevelVersion{Level: policyapi.LevelRestricted, Version: version}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			t.Errorf("%s: %s: %s", name, result.ForbiddenReason(), result.ForbiddenDetail())
		}
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			if s := container.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("%s: container %s can write to its image", name, container.Name)
			}
		}
	})
	if pods != 4 {
		t.Errorf("checked %d pods, want the operator and the test, each twice", pods)
	}
}
