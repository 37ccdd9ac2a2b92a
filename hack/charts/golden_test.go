package charts

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/")

// Users see a difference in the operator's golden file when they upgrade; check it before -update.
func TestDefaultsRenderAsGolden(t *testing.T) {
	t.Parallel()
	for _, name := range []string{operatorChart, clusterChart} {
		r := render(t, name, nil)
		for _, object := range r.objects {
			// TestCRDIsTheGeneratedOne and TestRightsAreTheGeneratedOnes compare what is generated.
			switch object.GetKind() + " " + object.GetName() {
			case "CustomResourceDefinition raftclusters.raft.kontiki.dev":
				object.Object["spec"] = "generated"
			case "ClusterRole " + release + "-raft-operator":
				object.Object["rules"] = "generated"
			}
		}
		got := r.text(t) + "---\n" + r.notes
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v; go test -update writes it", err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s renders differently (-golden +now); go test -update if it should:\n%s", name, diff)
		}
	}
}
