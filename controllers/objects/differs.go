package objects

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
)

// mergeKeys are the lists, by the name of their field, whose items server-side apply tells apart by keys, as the
// API's schema says (x-kubernetes-list-map-keys). Of all other lists the whole belongs to who applied it.
var mergeKeys = map[string][]string{
	"containers":                {"name"},
	"env":                       {"name"},
	"imagePullSecrets":          {"name"},
	"ownerReferences":           {"uid"},
	"ports":                     {"containerPort", "port", "protocol"}, // of containers and of Services
	"topologySpreadConstraints": {"topologyKey", "whenUnsatisfiable"},
	"volumeMounts":              {"mountPath"},
	"volumes":                   {"name"},
}

// quantities are the fields whose entries are quantities: 1024Mi there is the same as 1Gi.
var quantities = []string{"requests", "limits"}

// Differs tells whether applying a description would change an object: whether a field that it sets is absent from the
// live object, or has another value there. What it does not set counts for nothing: the API server's defaults
// and other people's fields. A live object that is nil differs from everything.
func Differs(desired, live any) bool {
	want, have := fields(desired), fields(live)
	delete(want, "apiVersion") // a client may leave out what kind of object it was asked for
	delete(want, "kind")
	return have == nil || !containsMap(have, want, contains)
}

// fields is a value as generic JSON; nil if it is null.
func fields(value any) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(encode(value), &m); err != nil {
		return nil // no object
	}
	return m
}

// contains tells whether the value of a field contains what is wanted in it.
func contains(have, want any, field string) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if slices.Contains(quantities, field) {
			return ok && containsMap(have, want, sameQuantity)
		}
		return ok && containsMap(have, want, contains)
	case []any:
		have, ok := have.([]any)
		return ok && containsList(have, want, field)
	default:
		return have == want
	}
}

func containsMap(have, want map[string]any, contains func(have, want any, field string) bool) bool {
	for field, value := range want {
		if there, ok := have[field]; !ok || !contains(there, value, field) {
			return false
		}
	}
	return true
}

func containsList(have, want []any, field string) bool {
	keys, byKey := mergeKeys[field]
	if !byKey {
		return slices.EqualFunc(have, want, func(h, w any) bool { return contains(h, w, "") })
	}
	for _, item := range want {
		if !slices.ContainsFunc(have, func(h any) bool { return sameKeys(h, item, keys) && contains(h, item, "") }) {
			return false
		}
	}
	return true
}

// sameKeys tells whether two items of a list are the same one.
func sameKeys(a, b any, keys []string) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return x != nil && y != nil && !slices.ContainsFunc(keys, func(key string) bool { return x[key] != y[key] })
}

// sameQuantity tells whether two values are the same quantity, however it is written.
func sameQuantity(a, b any, _ string) bool {
	p, errA := resource.ParseQuantity(fmt.Sprint(a))
	q, errB := resource.ParseQuantity(fmt.Sprint(b))
	return errA == nil && errB == nil && p.Cmp(q) == 0
}
