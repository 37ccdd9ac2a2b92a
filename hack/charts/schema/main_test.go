package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestTheChartHasTheSchemaOfTheCRD(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	crd, err := os.ReadFile(filepath.Join(root, "config", "crd", "raft.kontiki.dev_raftclusters.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "charts", "raft-cluster", "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := insert(crd, got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("make manifests would change the schema (-generated +there):\n%s", diff)
	}
}

func TestStrictKeepsWhatJSONSchemaSupports(t *testing.T) {
	t.Parallel()
	const crd = `
type: object
default: {}
required: [size]
x-kubernetes-validations: [{rule: "true"}]
properties:
  size:
    anyOf: [{type: integer}, {type: string}]
    x-kubernetes-int-or-string: true
    pattern: ^[0-9]+$
  description: {type: string, description: a field of that name}
  labels: {type: object, additionalProperties: {type: string}}
  list:
    type: array
    items: {type: object, properties: {name: {type: string, default: x}}}`
	const want = `{
		"type": "object", "required": ["size"], "additionalProperties": false,
		"properties": {
			"size": {"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^[0-9]+$"},
			"description": {"type": "string", "description": "a field of that name"},
			"labels": {"type": "object", "additionalProperties": {"type": "string"}},
			"list": {"type": "array", "items": {
				"type": "object", "additionalProperties": false, "properties": {"name": {"type": "string"}}}}
		}}`
	var given, wanted map[string]any
	if err := yaml.Unmarshal([]byte(crd), &given); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, strict(given, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInsertReportsErrors(t *testing.T) {
	t.Parallel()
	const good = `spec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {type: object}}}}}]}`
	for name, c := range map[string]struct{ crd, schema string }{
		"not YAML":      {"{", "{}"},
		"no versions":   {"spec: {}", "{}"},
		"no spec":       {"spec: {versions: [{}]}", "{}"},
		"not JSON":      {good, "{"},
		"no properties": {good, "{}"},
	} {
		if _, err := insert([]byte(c.crd), []byte(c.schema)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	got, err := insert([]byte(good), []byte(`{"properties": {"tests": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n \"properties\": {\n  \"cluster\": {\n   \"type\": \"object\"\n  },\n  \"tests\": {}\n }\n}\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
