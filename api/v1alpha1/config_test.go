package v1alpha1_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kontiki-dev/kontiki/api/apitest"
)

// asApplied are the options of a dry-run server-side apply, which only validates.
var asApplied = []client.ApplyOption{client.DryRunAll, client.ForceOwnership, client.FieldOwner("config-test")}

func TestEveryKustomizationCanBeApplied(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	root := repository(t)
	folders, err := filepath.Glob(filepath.Join(root, "config", "*", "kustomization.yaml"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no kustomization below %s: %v", root, err)
	}
	for _, file := range folders {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			objects := render(t, folder)
			namespaces := map[string]string{} // a namespace for each namespaced object
			for _, object := range objects {
				namespaced, err := c.IsObjectNamespaced(object)
				if err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
					continue
				}
				if namespaced {
					asked := object.GetNamespace()
					if namespaces[asked] == "" {
						namespaces[asked] = apitest.Namespace(t, c)
					}
					object.SetNamespace(namespaces[asked])
				}
				if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), asApplied...); err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
				}
			}
		})
	}
}

func TestEverySampleIsRendered(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(repository(t), "config", "samples")
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, file := range files {
		if filepath.Base(file) != "kustomization.yaml" {
			want = append(want, names(readObjects(t, file))...)
		}
	}
	got = names(render(t, folder))
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("the kustomization of the samples renders %v, the files hold %v", got, want)
	}
}

func TestTheOperatorMayRunWherePodSecurityIsRestricted(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	objects := render(t, filepath.Join(repository(t), "config", "default"))

	var namespace corev1.Namespace
	decode(t, find(t, objects, "Namespace", "kontiki-system"), &namespace)
	if level := namespace.Labels["pod-security.kubernetes.io/enforce"]; level != "restricted" {
		t.Errorf("kontiki-system enforces %q, want restricted", level)
	}
	namespace.Name, namespace.GenerateName = "", "restricted-"
	delete(namespace.Labels, corev1.LabelMetadataName)
	if err := c.Create(t.Context(), &namespace); err != nil {
		t.Fatal(err)
	}

	var deployment appsv1.Deployment
	decode(t, find(t, objects, "Deployment", "kontiki-operator"), &deployment)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "operator-", Namespace: namespace.Name},
		Spec:       deployment.Spec.Template.Spec,
	}
	if err := c.Create(t.Context(), pod.DeepCopy(), client.DryRunAll); err != nil {
		t.Errorf("the operator's pod: %v", err)
	}

	pod.Spec.SecurityContext.RunAsNonRoot = nil // otherwise the namespace would admit anything
	if err := c.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("a pod that may run as root: got %v, want it forbidden", err)
	}
}

func TestOpenShiftAssignsTheOperatorsUser(t *testing.T) { // it refuses a user outside of the namespace's range
	t.Parallel()
	objects := render(t, filepath.Join(repository(t), "config", "openshift"))
	var deployment appsv1.Deployment
	decode(t, find(t, objects, "Deployment", "kontiki-operator"), &deployment)
	pod := deployment.Spec.Template.Spec
	if s := pod.SecurityContext; s.RunAsUser != nil || s.RunAsGroup != nil || !*s.RunAsNonRoot {
		t.Errorf("the pod asks for a user or group: %+v", *s)
	}
	if s := pod.Containers[0].SecurityContext; s.RunAsUser != nil {
		t.Errorf("the container asks for a user: %+v", *s)
	}
}

func TestBindingsReferToWhatIsThere(t *testing.T) { // kubectl apply accepts those that do not
	t.Parallel()
	objects := render(t, filepath.Join(repository(t), "config", "default"))
	bindings := 0
	for _, object := range objects {
		kind := object.GetKind()
		if kind != "ClusterRoleBinding" && kind != "RoleBinding" {
			continue
		}
		bindings++
		var binding rbacv1.RoleBinding // ClusterRoleBinding has the same fields
		decode(t, object, &binding)
		find(t, objects, binding.RoleRef.Kind, binding.RoleRef.Name)
		for _, subject := range binding.Subjects {
			account := find(t, objects, subject.Kind, subject.Name)
			if account.GetNamespace() != subject.Namespace {
				t.Errorf("%s %s binds %s in the namespace %s; it is in %s",
					kind, binding.Name, subject.Name, subject.Namespace, account.GetNamespace())
			}
		}
	}
	if bindings == 0 {
		t.Error("no bindings")
	}
}

func TestImagesHaveTheVersionOfTheChart(t *testing.T) {
	t.Parallel()
	objects := render(t, filepath.Join(repository(t), "config", "default"))
	var deployment appsv1.Deployment
	decode(t, find(t, objects, "Deployment", "kontiki-operator"), &deployment)
	manager := deployment.Spec.Template.Spec.Containers[0]
	images := []string{manager.Image}
	for _, variable := range manager.Env {
		if variable.Name == "NODE_IMAGE" {
			images = append(images, variable.Value)
		}
	}
	if len(images) != 2 || !slices.Contains(manager.Args, "--node-image=$(NODE_IMAGE)") {
		t.Fatalf("the images %v and the arguments %v, want one for the manager and one that it gives to nodes",
			images, manager.Args)
	}
	production := find(t, render(t, filepath.Join(repository(t), "config", "samples")), "RaftCluster", "production")
	image, _, _ := unstructured.NestedString(production.Object, "spec", "image")
	for _, image := range append(images, image) {
		if _, tag, _ := strings.Cut(image, ":"); tag != chartVersion(t) {
			t.Errorf("config/ has the image %s, the chart the version %s; they are released together", image, chartVersion(t))
		}
	}
}

// chartVersion returns the version of the images in the chart.
func chartVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "charts", "raft-operator", "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var chart struct{ AppVersion string }
	if err := yaml.Unmarshal(text, &chart); err != nil {
		t.Fatal(err)
	}
	return chart.AppVersion
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := apitest.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// render returns the output of `kubectl kustomize` for a folder. Without kubectl the test is skipped; under CI=1 it
// fails.
func render(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	kubectl := filepath.Join(apitest.Assets(repository(t)), "kubectl")
	if _, err := os.Stat(kubectl); err != nil {
		if kubectl, err = exec.LookPath("kubectl"); err != nil {
			if os.Getenv("CI") == "1" {
				t.Fatal("no kubectl in KUBEBUILDER_ASSETS or PATH, and CI=1 wants the manifests rendered; `make test` builds it")
			}
			t.Skip("no kubectl in KUBEBUILDER_ASSETS or PATH; `make test` builds it")
		}
	}
	readManifests(t)
	command := exec.CommandContext(t.Context(), kubectl, "kustomize", folder)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("kubectl kustomize %s: %v\n%s", folder, err, &complaints)
	}
	return parseObjects(t, out)
}

// readManifests reads everything below config. The go command reruns a test that passed only if a file changed that
// the test itself read, and it does not see what kubectl reads.
func readManifests(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(repository(t), "config"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		_, err = os.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readObjects(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parseObjects(t, text)
}

// parseObjects reads the objects of a file of many YAML documents.
func parseObjects(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}

func names(objects []*unstructured.Unstructured) []string {
	var names []string
	for _, object := range objects {
		names = append(names, object.GetKind()+" "+object.GetName())
	}
	return names
}

func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	t.Fatalf("no %s %s among %v", kind, name, names(objects))
	return nil
}

func decode(t *testing.T, object *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
		t.Fatal(err)
	}
}
