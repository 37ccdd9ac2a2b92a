package objects

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// mergeKeys are the lists, by the name of their field, whose items server-side apply identifies by keys, as in the
// API's schema (x-kubernetes-list-map-keys). All other lists are owned as a whole.
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

// absent is the value of a missing field.
const absent = "absent"

// Difference is a field whose value in a live object differs from the description.
type Difference struct {
	Field string // its path, such as spec.template.spec.containers[raftnode].image
	Want  string
	Have  string
}

// String returns the difference for messages: "spec.replicas is 1 instead of 3".
func (d Difference) String() string {
	return fmt.Sprintf("%s is %s instead of %s", d.Field, d.Have, d.Want)
}

// Differs reports whether applying a description would change an object: whether a field that it sets is absent from
// the live object, or has another value there. Fields that it does not set are ignored: defaults of the API server
// and fields of other clients. A nil live object always differs.
func Differs(desired, live any) bool { return len(Differences(desired, live)) > 0 }

// Differences lists the fields that make Differs true, in the order of their paths.
func Differences(desired, live any) []Difference {
	want, have := fields(desired), fields(live)
	delete(want, "apiVersion") // a client may omit the kind that it requested
	delete(want, "kind")
	if have == nil {
		return []Difference{{Field: "the object", Want: "present", Have: absent}}
	}
	all := compareMaps("", have, want, compare)
	slices.SortFunc(all, func(a, b Difference) int { return strings.Compare(a.Field, b.Field) })
	return all
}

// Applied reports whether a live object carries the digest of a description: then the API server accepted that
// description, whatever was changed in its fields afterwards.
func Applied(desired, live any) bool {
	digest := func(object any) any {
		metadata, _ := fields(object)["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		return annotations[AnnotationApplied]
	}
	want := digest(desired)
	return want != nil && want == digest(live)
}

// fields returns a value as generic JSON; nil if it is null.
func fields(value any) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(encode(value), &m); err != nil {
		return nil // no object
	}
	return m
}

// comparison lists the differences of one field, given its path and name.
type comparison func(path, field string, have, want any) []Difference

// compare lists the differences between a field's value and the wanted one.
func compare(path, field string, have, want any) []Difference {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		switch {
		case !ok:
		case slices.Contains(quantities, field):
			return compareMaps(path, have, want, compareQuantities)
		default:
			return compareMaps(path, have, want, compare)
		}
	case []any:
		if have, ok := have.([]any); ok {
			return compareLists(path, field, have, want)
		}
	default:
		if have == want {
			return nil
		}
	}
	return []Difference{different(path, have, want)}
}

func compareMaps(path string, have, want map[string]any, each comparison) []Difference {
	var all []Difference
	for field, value := range want {
		at := below(path, field)
		there, ok := have[field]
		inner, isMap := value.(map[string]any)
		switch {
		case ok:
			all = append(all, each(at, field, there, value)...)
		case isMap && len(inner) > 0: // each of its fields is named
			all = append(all, compareMaps(at, nil, inner, compare)...)
		default:
			all = append(all, different(at, nil, value))
		}
	}
	return all
}

func compareLists(path, field string, have, want []any) []Difference {
	keys, byKey := mergeKeys[field]
	if !byKey && len(have) != len(want) {
		return []Difference{different(path, have, want)}
	}
	var all []Difference
	for i, item := range want {
		at, name := i, fmt.Sprint(i)
		if byKey {
			at, name = slices.IndexFunc(have, func(h any) bool { return sameKeys(h, item, keys) }), keyOf(item, keys)
		}
		if itemPath := fmt.Sprintf("%s[%s]", path, name); at < 0 {
			all = append(all, different(itemPath, nil, item))
		} else {
			all = append(all, compare(itemPath, "", have[at], item)...)
		}
	}
	return all
}

// compareQuantities compares two quantities by value.
func compareQuantities(path, _ string, have, want any) []Difference {
	p, errA := resource.ParseQuantity(fmt.Sprint(have))
	q, errB := resource.ParseQuantity(fmt.Sprint(want))
	if errA == nil && errB == nil && p.Cmp(q) == 0 {
		return nil
	}
	return []Difference{different(path, have, want)}
}

// sameKeys reports whether two items of a list have the same keys.
func sameKeys(a, b any, keys []string) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return x != nil && y != nil && !slices.ContainsFunc(keys, func(key string) bool { return x[key] != y[key] })
}

// keyOf returns the keys of an item of a list.
func keyOf(item any, keys []string) string {
	m, _ := item.(map[string]any)
	var values []string
	for _, key := range keys {
		if value, ok := m[key]; ok {
			values = append(values, fmt.Sprint(value))
		}
	}
	return strings.Join(values, " ")
}

// below returns the path of a field of a map. A field that is no plain name is put into brackets.
func below(path, field string) string {
	switch {
	case path == "":
		return field
	case strings.ContainsAny(field, "./"):
		return path + "[" + field + "]"
	}
	return path + "." + field
}

func different(path string, have, want any) Difference {
	return Difference{Field: path, Want: brief(want), Have: brief(have)}
}

// brief returns a value for a message.
func brief(value any) string {
	const longest = 80
	if value == nil {
		return absent
	}
	text := string(encode(value))
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}
