package charts

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

// whole are values that are passed on unchanged, so that the chart does not define their fields.
var whole = []string{"cluster", "resources", "podSecurityContext", "containerSecurityContext"}

// change is another value for one path in values.yaml, and the other values that it needs to take effect.
type change struct {
	to   any
	with values
}

var changes = map[string]map[string]change{
	operatorChart: {
		"image.repository":               {to: "mirror.example.com/operator"},
		"image.tag":                      {to: "2.0.0"},
		"image.digest":                   {to: "sha256:" + strings.Repeat("0a", 32)},
		"image.pullPolicy":               {to: "Always"},
		"nodeImage.repository":           {to: "mirror.example.com/raftnode"},
		"nodeImage.tag":                  {to: "2.0.0"},
		"nodeImage.digest":               {to: "sha256:" + strings.Repeat("0a", 32)},
		"imagePullSecrets":               {to: []any{values{"name": "mirror"}}},
		"nameOverride":                   {to: "raft"},
		"fullnameOverride":               {to: "raft"},
		"commonLabels":                   {to: values{"team": "storage"}},
		"commonAnnotations":              {to: values{"example.com/owner": "storage"}},
		"replicas":                       {to: 2},
		"leaderElection.enabled":         {to: false},
		"watchNamespaces":                {to: []any{"team-a"}},
		"crds.enabled":                   {to: false},
		"crds.keep":                      {to: false},
		"rbac.create":                    {to: false},
		"rbac.aggregateRoles":            {to: false},
		"serviceAccount.create":          {to: false},
		"serviceAccount.name":            {to: "raft"},
		"serviceAccount.annotations":     {to: values{"example.com/owner": "storage"}},
		"clusterDomain":                  {to: "example.com"},
		"logLevel":                       {to: "debug"},
		"logFormat":                      {to: "json"},
		"maxConcurrentReconciles":        {to: 1},
		"metrics.enabled":                {to: false},
		"metrics.secure":                 {to: false},
		"metrics.serviceMonitor.enabled": {to: true},
		"metrics.serviceMonitor.labels": {
			to:   values{"release": "prometheus"},
			with: values{"metrics": values{"serviceMonitor": values{"enabled": true}}},
		},
		"metrics.serviceMonitor.tokenSecret.name": {
			to:   "scraper",
			with: values{"metrics": values{"serviceMonitor": values{"enabled": true}}},
		},
		"metrics.serviceMonitor.tokenSecret.key": {
			to:   "bearer",
			with: values{"metrics": values{"serviceMonitor": values{"enabled": true}}},
		},
		"podDisruptionBudget.enabled": {to: true},
		"networkPolicy.enabled":       {to: true},
		"resources":                   {to: values{"limits": values{"memory": "1Gi"}}},
		"nodeSelector":                {to: values{"kubernetes.io/arch": "arm64"}},
		"tolerations":                 {to: []any{values{"operator": "Exists"}}},
		"affinity":                    {to: values{"nodeAffinity": values{}}},
		"priorityClassName":           {to: "system-cluster-critical"},
		"podSecurityContext":          {to: values{"runAsUser": 1000}},
		"containerSecurityContext":    {to: values{"readOnlyRootFilesystem": false}},
	},
	clusterChart: {
		"nameOverride":                  {to: "demo"},
		"commonLabels":                  {to: values{"team": "storage"}},
		"commonAnnotations":             {to: values{"example.com/owner": "storage"}},
		"cluster":                       {to: values{"replicas": 5}},
		"monitoring.podMonitor.enabled": {to: true},
		"monitoring.podMonitor.labels": {
			to:   values{"release": "prometheus"},
			with: values{"monitoring": values{"podMonitor": values{"enabled": true}}},
		},
		"tests.enabled": {to: false},
		"tests.image":   {to: "mirror.example.com/raftnode:1"},
	},
}

// leaves returns the paths in values.yaml that can be set: those that are no map, an empty one, or passed on whole.
func leaves(v values, below string) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(v)) {
		path := below + key
		inner, isMap := v[key].(map[string]any)
		if isMap && len(inner) > 0 && !slices.Contains(whole, path) {
			found = append(found, leaves(inner, path+".")...)
			continue
		}
		found = append(found, path)
	}
	return found
}

// at returns values with one value at one path.
func at(path string, value any) values {
	keys := strings.Split(path, ".")
	for _, key := range slices.Backward(keys) {
		value = values{key: value}
	}
	return value.(values)
}

func TestEveryValueChangesSomething(t *testing.T) { // and the templates use no name that values.yaml lacks
	t.Parallel()
	for _, name := range []string{operatorChart, clusterChart} {
		for _, path := range leaves(load(t, name).Values, "") {
			c, isKnown := changes[name][path]
			if !isKnown {
				t.Errorf("%s: %s is in values.yaml, but not in this test's table", name, path)
				continue
			}
			before := render(t, name, c.with).text(t)
			after := render(t, name, chartutil.CoalesceTables(at(path, c.to), chartutil.CoalesceTables(values{}, c.with)))
			if after.text(t) == before {
				t.Errorf("%s: %s=%v changes nothing", name, path, c.to)
			}
		}
	}
}

func TestReadmeListsEveryValue(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|")
	for _, name := range []string{operatorChart, clusterChart} {
		text, err := os.ReadFile(filepath.Join(chartDir(name), "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, match := range row.FindAllStringSubmatch(string(text), -1) {
			listed = append(listed, match[1])
		}
		wanted := leaves(load(t, name).Values, "")
		for _, path := range wanted {
			if !slices.Contains(listed, path) {
				t.Errorf("the README of %s does not list %s", name, path)
			}
		}
		for _, path := range listed {
			if !slices.Contains(wanted, path) {
				t.Errorf("the README of %s lists %s, which values.yaml does not have", name, path)
			}
		}
	}
}
