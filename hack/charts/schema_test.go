package charts

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSchemaRefusesWhatIsWrongAndNamesIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chart string
		given values
		names string // what the message must name
	}{
		{operatorChart, values{"replcas": 2}, "replcas"},
		{operatorChart, at("image.tga", "1"), "tga"},
		{operatorChart, at("nodeImage.pullPolicy", "Always"), "pullPolicy"},
		{operatorChart, at("metrics.serviceMonitor.enable", true), "enable"},
		{operatorChart, at("leaderElection.leaseName", "x"), "leaseName"},
		{operatorChart, values{"replicas": "two"}, "replicas"},
		{operatorChart, values{"replicas": 1.5}, "replicas"},
		{operatorChart, values{"watchNamespaces": "team-a"}, "watchNamespaces"},
		{operatorChart, values{"watchNamespaces": []any{"Team A"}}, "watchNamespaces"},
		{operatorChart, values{"watchNamespaces": []any{"a", "a"}}, "watchNamespaces"},
		{operatorChart, values{"leaderElection": false}, "leaderElection"},
		{operatorChart, at("rbac.create", "yes"), "rbac/create"},
		{operatorChart, at("crds.keep", "true"), "crds/keep"},
		{operatorChart, at("image.digest", "0a0a"), "image/digest"},
		{operatorChart, at("image.pullPolicy", "Sometimes"), "image/pullPolicy"},
		{operatorChart, values{"logLevel": "verbose"}, "logLevel"},
		{operatorChart, values{"logFormat": "xml"}, "logFormat"},
		{operatorChart, values{"maxConcurrentReconciles": 0}, "maxConcurrentReconciles"},
		{operatorChart, values{"imagePullSecrets": []any{"mirror"}}, "imagePullSecrets"},
		{operatorChart, values{"commonLabels": values{"a": 1}}, "commonLabels"},
		{operatorChart, values{"tolerations": values{}}, "tolerations"},
		{operatorChart, values{"nameOverride": "Raft"}, "nameOverride"},
		{operatorChart, values{"nameOverride": "raft_operator"}, "nameOverride"},
		{operatorChart, values{"nameOverride": "1raft"}, "nameOverride"},
		{operatorChart, values{"nameOverride": "raft-"}, "nameOverride"},
		{operatorChart, values{"nameOverride": "raft.operator"}, "nameOverride"},
		{operatorChart, values{"fullnameOverride": "Raft"}, "fullnameOverride"},
		{operatorChart, values{"fullnameOverride": "-raft"}, "fullnameOverride"},
		{operatorChart, at("serviceAccount.name", "Raft Operator"), "serviceAccount/name"},
		{operatorChart, at("metrics.serviceMonitor.tokenSecret.name", "a/b"), "tokenSecret/name"},
		{operatorChart, at("metrics.serviceMonitor.tokenSecret.key", ""), "tokenSecret/key"},
		{clusterChart, values{"replicas": 5}, "replicas"},
		{clusterChart, values{"cluster": []any{}}, "cluster"},
		{clusterChart, at("cluster.replcas", 5), "replcas"},
		{clusterChart, at("cluster.replicas", "five"), "cluster/replicas"},
		{clusterChart, at("cluster.storage.retentionPolicy.whendeleted", "Retain"), "whendeleted"},
		{clusterChart, at("cluster.storage.retentionPolicy.whenDeleted", "Keep"), "whenDeleted"},
		{clusterChart, at("cluster.storage.size", "much"), "storage/size"},
		{clusterChart, at("cluster.pod.affinity.nodeAffinty", values{}), "nodeAffinty"},
		{clusterChart, at("cluster.raft.heartbeatPeriodMilliseconds", 1), "heartbeatPeriodMilliseconds"},
		{clusterChart, values{"nameOverride": "Demo"}, "nameOverride"},
		{clusterChart, values{"nameOverride": strings.Repeat("a", 41)}, "nameOverride"},
		{clusterChart, at("monitoring.podMonitor.enabled", 1), "monitoring/podMonitor/enabled"},
		{clusterChart, at("tests.img", "x"), "img"},
	} {
		_, err := tryRender(t, c.chart, release, c.given)
		if err == nil {
			t.Errorf("%s takes %v", c.chart, c.given)
		} else if !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s with %v: the message does not name %s: %v", c.chart, c.given, c.names, err)
		}
	}
}

func TestTheSamplesCanBeInstalledByTheChart(t *testing.T) { // so that none of their fields is missing from the schema
	t.Parallel()
	samples := 0
	for _, sample := range kustomized(t, "samples") {
		if sample.GetKind() != "RaftCluster" {
			continue
		}
		samples++
		spec := sample.Object["spec"].(values)
		got := render(t, clusterChart, values{"cluster": spec}).one(t, "RaftCluster")
		if diff := cmp.Diff(plain(spec), plain(got.Object["spec"])); diff != "" {
			t.Errorf("%s (-sample +chart):\n%s", sample.GetName(), diff)
		}
	}
	if samples == 0 {
		t.Error("there is no sample")
	}
}

func TestChartsCanBeSubcharts(t *testing.T) { // Helm passes global to each
	t.Parallel()
	for _, name := range []string{operatorChart, clusterChart} {
		render(t, name, values{"global": values{"of": "the parent"}})
	}
}

func TestSchemaAndValuesHaveTheSameKeys(t *testing.T) {
	t.Parallel()
	for _, name := range []string{operatorChart, clusterChart} {
		text, err := os.ReadFile(filepath.Join(chartDir(name), "values.schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		var schema values
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		definitions := schema["$defs"].(values)
		delete(schema["properties"].(values), "global")
		sameKeys(t, "", schema, load(t, name).Values, definitions)
	}
}

// sameKeys compares a part of the schema with the part of the values that it describes.
func sameKeys(t *testing.T, path string, schema, given, definitions values) {
	t.Helper()
	properties, _ := schema["properties"].(values)
	if schema["additionalProperties"] != false {
		t.Errorf("the schema accepts every typo in %q", path)
	}
	want, got := slices.Sorted(maps.Keys(given)), slices.Sorted(maps.Keys(properties))
	if !slices.Equal(want, got) {
		t.Errorf("%q: values.yaml has %v, the schema %v", path, want, got)
	}
	for key, value := range given {
		inner, isMap := value.(values)
		below, isSchema := properties[key].(values)
		if reference, ok := below["$ref"].(string); ok {
			below = definitions[strings.TrimPrefix(reference, "#/$defs/")].(values)
		}
		if _, isObject := below["properties"]; isMap && isSchema && isObject && !slices.Contains(whole, path+key) {
			sameKeys(t, path+key+".", below, inner, definitions)
		}
	}
}
