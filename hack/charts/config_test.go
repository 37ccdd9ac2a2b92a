package charts

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// kustomized returns the input of kustomize in one folder of config/, except for the kustomization itself.
func kustomized(t *testing.T, folder string) []unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in config/%s: %v", folder, err)
	}
	var found []unstructured.Unstructured
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != "kustomization.yaml" {
			found = append(found, parse(t, file, string(text))...)
		}
	}
	return found
}

// Installation with kustomize must grant the same permissions as with Helm.
func TestChartAndKustomizationGiveTheSameRights(t *testing.T) {
	t.Parallel()
	names := map[string]string{ // in config/, and what the chart adds to the name of the release
		"kontiki-operator":                 "",
		"kontiki-operator-leader-election": "-leader-election",
		"kontiki-operator-metrics-auth":    "-metrics-auth",
		"kontiki-operator-metrics-reader":  "-metrics-reader",
		"kontiki-raftcluster-viewer":       "-view",
		"kontiki-raftcluster-editor":       "-edit",
	}
	chart := map[string][]any{}
	for _, object := range render(t, operatorChart, nil).objects {
		if kind := object.GetKind(); kind == "Role" || kind == "ClusterRole" {
			rules, _, err := unstructured.NestedSlice(object.Object, "rules")
			if err != nil {
				t.Fatal(err)
			}
			chart[kind+strings.TrimPrefix(object.GetName(), release+"-raft-operator")] = rules
		}
	}
	config := map[string][]any{}
	for _, object := range kustomized(t, "rbac") {
		if kind := object.GetKind(); kind == "Role" || kind == "ClusterRole" {
			rules, _, err := unstructured.NestedSlice(object.Object, "rules")
			if err != nil {
				t.Fatal(err)
			}
			suffix, isKnown := names[object.GetName()]
			if !isKnown {
				t.Errorf("config/rbac has the role %s, and the chart has no equivalent", object.GetName())
			}
			config[kind+suffix] = rules
		}
	}
	if diff := cmp.Diff(config, chart); diff != "" {
		t.Errorf("the permissions differ (-config +chart):\n%s", diff)
	}
}

func TestChartAndKustomizationRunTheSameContainer(t *testing.T) {
	t.Parallel()
	_, chart := manager(t, render(t, operatorChart, nil))
	var config *corev1.Container
	for _, object := range kustomized(t, "manager") {
		if pod, isOne := podOf(t, object); isOne {
			config = &pod.Spec.Containers[0]
		}
	}
	if config == nil {
		t.Fatal("config/manager has no Deployment")
	}
	if diff := cmp.Diff(flagNames(config.Args), flagNames(chart.Args)); diff != "" {
		t.Errorf("the flags differ (-config +chart):\n%s", diff)
	}
	// kustomize sets the images in another way.
	other := cmpopts.IgnoreFields(corev1.Container{}, "Args", "Env", "Image", "ImagePullPolicy")
	if diff := cmp.Diff(*config, chart, other); diff != "" {
		t.Errorf("the containers differ (-config +chart):\n%s", diff)
	}
}

func TestManagerHasEveryFlag(t *testing.T) {
	t.Parallel()
	help := exec.CommandContext(t.Context(), "go", "run", "./controllers/cmd/manager", "--help")
	help.Dir = filepath.Join("..", "..")
	help.Stderr = os.Stderr
	text, err := help.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, container := manager(t, render(t, operatorChart, everything[operatorChart]))
	for _, flag := range flagNames(container.Args) {
		if !strings.Contains(string(text), flag+" ") {
			t.Errorf("the chart sets %s, but the manager has no such flag:\n%s", flag, text)
		}
	}
}

// flagNames returns the names before each =, without duplicates.
func flagNames(args []string) []string {
	names := map[string]bool{}
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
