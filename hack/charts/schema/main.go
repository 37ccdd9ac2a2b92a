// Command schema writes the schema of a RaftCluster's spec into the values.schema.json of the chart raft-cluster, as
// the schema of its value cluster. Without it, a misspelled field would be dropped with only a warning: unlike
// kubectl, Helm does not ask Kubernetes to reject unknown fields.
//
//	schema CRD VALUES-SCHEMA
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// described is the depth of fields with a description: those of RaftClusterSpec and one level below. Kubernetes' own
// types are below, whose descriptions are longer than all the rest.
const described = 2

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: schema CRD VALUES-SCHEMA")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

// run rewrites the file of the values' schema.
func run(crdFile, schemaFile string) error {
	crd, err := os.ReadFile(crdFile)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(schemaFile)
	if err != nil {
		return err
	}
	after, err := insert(crd, before)
	if err != nil {
		return err
	}
	return os.WriteFile(schemaFile, after, 0o644)
}

// insert returns the schema of the values with that of the CRD's spec in it.
func insert(crd, valuesSchema []byte) ([]byte, error) {
	spec, err := specOf(crd)
	if err != nil {
		return nil, err
	}
	var schema map[string]any
	if err := json.Unmarshal(valuesSchema, &schema); err != nil {
		return nil, fmt.Errorf("the schema of the values is not JSON: %w", err)
	}
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return nil, errors.New("the schema of the values has no properties")
	}
	properties["cluster"] = strict(spec, 0)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err = encoder.Encode(schema)
	return text.Bytes(), err
}

// specOf returns the schema of spec in the only version of a CRD.
func specOf(text []byte) (map[string]any, error) {
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]map[string]any `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("decoding the CRD: %w", err)
	}
	if n := len(crd.Spec.Versions); n != 1 {
		return nil, fmt.Errorf("the CRD has %d versions; want one", n)
	}
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	if spec == nil {
		return nil, errors.New("the CRD has no schema for spec")
	}
	return spec, nil
}

// strict converts a part of a CRD's structural schema to JSON Schema. It drops Kubernetes' extensions, including CEL
// rules, and allows no unknown fields.
func strict(schema map[string]any, depth int) map[string]any {
	kept := map[string]any{}
	for key, value := range schema {
		switch {
		case strings.HasPrefix(key, "x-kubernetes-"), key == "default":
		case key == "description" && depth > described:
		case key == "properties":
			fields := map[string]any{}
			for name, field := range value.(map[string]any) {
				fields[name] = strict(field.(map[string]any), depth+1)
			}
			kept[key] = fields
			kept["additionalProperties"] = false
		default:
			if inner, isSchema := value.(map[string]any); isSchema {
				value = strict(inner, depth+1) // items, additionalProperties
			}
			kept[key] = value
		}
	}
	return kept
}
