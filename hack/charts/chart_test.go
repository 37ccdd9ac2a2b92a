package charts

import (
	"maps"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The two charts, and where they are installed in these tests.
const (
	operatorChart = "raft-operator"
	clusterChart  = "raft-cluster"
	release       = "kontiki"
	namespace     = "kontiki-system"
)

// kubernetes is the version for which the charts are rendered.
var kubernetes = chartutil.KubeVersion{Version: "v1.34.4", Major: "1", Minor: "34"}

// values are those of a chart, or of a part of it.
type values = map[string]any

// rendered is a chart with its values filled in.
type rendered struct {
	objects []unstructured.Unstructured // in the order of their templates' names
	notes   string
}

func chartDir(name string) string { return filepath.Join("..", "..", "charts", name) }

func load(t *testing.T, name string) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryRender renders like `helm template`, with given values over those of the chart.
func tryRender(t *testing.T, name, release string, given values) (rendered, error) {
	t.Helper()
	c := load(t, name)
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = kubernetes
	all, err := chartutil.ToRenderValues(c, given, options, capabilities)
	if err != nil {
		return rendered{}, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return rendered{}, err
	}
	var r rendered
	for _, file := range slices.Sorted(maps.Keys(files)) {
		switch {
		case strings.HasSuffix(file, "NOTES.txt"):
			r.notes = files[file]
		case strings.HasSuffix(file, ".yaml"):
			r.objects = append(r.objects, parse(t, file, files[file])...)
		}
	}
	return r, nil
}

// render is tryRender for values that must work, in the release of most tests.
func render(t *testing.T, name string, given values) rendered {
	t.Helper()
	r, err := tryRender(t, name, release, given)
	if err != nil {
		t.Fatalf("%s with %v: %v", name, given, err)
	}
	return r
}

func parse(t *testing.T, file, text string) []unstructured.Unstructured {
	t.Helper()
	documents := releaseutil.SplitManifests(text)
	names := slices.Collect(maps.Keys(documents))
	sort.Sort(releaseutil.BySplitManifestsOrder(names))
	var objects []unstructured.Unstructured
	for _, name := range names {
		object := map[string]any{}
		if err := yaml.UnmarshalStrict([]byte(documents[name]), &object); err != nil {
			t.Fatalf("%s is not YAML: %v\n%s", file, err, documents[name])
		}
		if len(object) > 0 {
			objects = append(objects, unstructured.Unstructured{Object: object})
		}
	}
	return objects
}

// ofKind returns the objects of one kind.
func (r rendered) ofKind(kind string) []unstructured.Unstructured {
	var found []unstructured.Unstructured
	for _, object := range r.objects {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	return found
}

// one returns the only object of a kind.
func (r rendered) one(t *testing.T, kind string) unstructured.Unstructured {
	t.Helper()
	found := r.ofKind(kind)
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

// text is the objects as YAML, for comparison and search.
func (r rendered) text(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, object := range r.objects {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	return b.String()
}

func TestHelmLintFindsNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{operatorChart, clusterChart} {
		for _, m := range lint.AllWithKubeVersion(chartDir(name), values{}, namespace, &kubernetes).Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestBothChartsAreOneRelease(t *testing.T) { // the cluster's chart takes raftctl from the image of its own version
	t.Parallel()
	operator, cluster := load(t, operatorChart).Metadata, load(t, clusterChart).Metadata
	if operator.Version != cluster.Version || operator.AppVersion != cluster.AppVersion {
		t.Errorf("%s is %s of %s, %s is %s of %s; release them together", operator.Name, operator.Version,
			operator.AppVersion, cluster.Name, cluster.Version, cluster.AppVersion)
	}
}
