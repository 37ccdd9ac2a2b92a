package objects_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cases are the folders of testdata. Each holds a RaftCluster, as a user writes it, and all its objects.
var cases = []string{"default", "full", "single"}

// TestGolden compares each object with its reviewed version.
//
// The pod template in a golden StatefulSet is revision 1, which runs with images of the first release: a change of it
// restarts the pods of every cluster when only the operator was upgraded, and may give its image a flag that it does
// not have. A change of the template is an amendment instead, see objects.Templates. A change of
// volumeClaimTemplates, selector or serviceName means that the release cannot be applied to any existing cluster.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join("testdata", name)
			expected := []string{"cluster.yaml"}
			for _, object := range objects.All(desired(t, name)) {
				file := strings.ToLower(object.Kind) + "-" + object.Name + ".yaml"
				expected = append(expected, file)
				golden(t, filepath.Join(folder, file), object.Config)
			}
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if !slices.Contains(expected, entry.Name()) {
					t.Errorf("%s is the golden file of an object that is not made any more: remove it", entry.Name())
				}
			}
		})
	}
}

func golden(t *testing.T, file string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; make it with -update, and read it", err)
	}
	if bytes.Equal(got, want) {
		return
	}
	t.Errorf("%s differs (-golden +made now); if that is wanted, write it anew with -update:\n%s", file,
		cmp.Diff(string(want), string(got)))
	if template(t, got) != template(t, want) {
		t.Error("revision 1 of the pod template differs: add an amendment to ReleasedTemplates instead")
	}
}

// template returns the pod template of an object in YAML, if it has one.
func template(t *testing.T, text []byte) string {
	t.Helper()
	var object struct {
		Spec struct {
			Template any `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	part, err := yaml.Marshal(object.Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	return string(part)
}

// desired returns the Desired of a case as the operator would get it.
func desired(t *testing.T, name string) objects.Desired {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name, "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := defaulted(t, text)
	cluster.UID = "7d0f1f6e-5a0b-4c3c-9f57-4b1f7c1d2a10"
	image := cluster.Spec.Image
	if image == "" {
		image = "ghcr.io/kontiki-dev/raftnode:v0.0.0"
	}
	return objects.Desired{
		Cluster: cluster, Image: image, Replicas: cluster.Spec.Replicas, Quorum: cluster.Spec.Replicas/2 + 1,
		ClusterDomain: "cluster.local", Templates: objects.ReleasedTemplates(), Template: 1,
	}
}

// defaulted returns a RaftCluster with the defaults of the CRD, set by the code that the API server uses.
func defaulted(t *testing.T, text []byte) *v1alpha1.RaftCluster {
	t.Helper()
	var manifest map[string]any
	if err := yaml.UnmarshalStrict(text, &manifest); err != nil {
		t.Fatal(err)
	}
	defaulting.Default(manifest, crdSchema(t))
	cluster := &v1alpha1.RaftCluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(manifest, cluster, true); err != nil {
		t.Fatal(err)
	}
	return cluster
}

func crdSchema(t *testing.T) *schema.Structural {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/raft.kontiki.dev_raftclusters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd, internal := apiextv1.CustomResourceDefinition{}, apiext.JSONSchemaProps{}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	external := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(external, &internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		t.Fatal(err)
	}
	return structural
}
