package objects_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestDiffers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, desired, live string
		want                bool
	}{
		{"a field without an owner", `{"spec":{"a":1}}`, `{"spec":{"a":1,"b":2}}`, false},
		{"a field that is absent", `{"spec":{"a":1}}`, `{"spec":{"b":2}}`, true},
		{"another value", `{"a":"x"}`, `{"a":"y"}`, true},
		{"false is not absent", `{"a":false}`, `{}`, true},
		{"another kind of value", `{"a":{"b":1}}`, `{"a":[1]}`, true},
		{"a kind that the client left out", `{"kind":"Service","apiVersion":"v1","a":1}`, `{"a":1}`, false},

		{"a quantity written otherwise", `{"requests":{"memory":"1024Mi"}}`, `{"requests":{"memory":"1Gi"}}`, false},
		{"a quantity as a number", `{"limits":{"cpu":"1"}}`, `{"limits":{"cpu":1}}`, false},
		{"another quantity", `{"requests":{"memory":"1Gi"}}`, `{"requests":{"memory":"1G"}}`, true},
		{"a label that only looks like one", `{"labels":{"requests":"1Gi"}}`, `{"labels":{"requests":"1024Mi"}}`, true},

		{"another client's container", `{"containers":[{"name":"a"}]}`, `{"containers":[{"name":"b"},{"name":"a"}]}`, false},
		{"a container that is gone", `{"containers":[{"name":"a"}]}`, `{"containers":[{"name":"b"}]}`, true},
		{
			"a container that changed", `{"containers":[{"name":"a","image":"x"}]}`,
			`{"containers":[{"name":"a","image":"y"}]}`, true,
		},
		{
			"the same port twice", `{"ports":[{"port":53,"protocol":"UDP"}]}`,
			`{"ports":[{"port":53,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}`, false,
		},
		{"another port", `{"ports":[{"port":53,"protocol":"UDP"}]}`, `{"ports":[{"port":53,"protocol":"TCP"}]}`, true},

		{"a list that is ours as a whole", `{"args":["a","b"]}`, `{"args":["a","b"]}`, false},
		{"its order", `{"args":["a","b"]}`, `{"args":["b","a"]}`, true},
		{"another client's item in it", `{"tolerations":[{"key":"a"}]}`, `{"tolerations":[{"key":"a"},{"key":"b"}]}`, true},
		{"a default in its item", `{"claims":[{"a":1}]}`, `{"claims":[{"a":1,"volumeMode":"Filesystem"}]}`, false},
	} {
		desired, live := json.RawMessage(c.desired), json.RawMessage(c.live)
		if got := objects.Differs(desired, live); got != c.want {
			t.Errorf("%s: Differs(%s, %s) = %t", c.name, c.desired, c.live, got)
		}
	}
}

func TestDifferencesNameTheField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ desired, live, want string }{
		{`{"spec":{"a":1}}`, `{"spec":{"a":2}}`, `[spec.a is 2 instead of 1]`},
		{`{"spec":{"a":1}}`, `{"spec":{}}`, `[spec.a is absent instead of 1]`},
		{`{"spec":{"a":{"b":1}}}`, `{"spec":{"a":[1]}}`, `[spec.a is [1] instead of {"b":1}]`},
		{
			`{"metadata":{"labels":{"a.b/c":"x"}}}`, `{"metadata":{"labels":{}}}`,
			`[metadata.labels[a.b/c] is absent instead of "x"]`,
		},
		{
			`{"containers":[{"name":"a","image":"x"}]}`, `{"containers":[{"name":"b"},{"name":"a","image":"y"}]}`,
			`[containers[a].image is "y" instead of "x"]`,
		},
		{
			`{"ports":[{"port":53,"protocol":"UDP"}]}`, `{"ports":[]}`,
			`[ports[53 UDP] is absent instead of {"port":53,"protocol":"UDP"}]`,
		},
		{`{"args":["a","b"]}`, `{"args":["a","c"]}`, `[args[1] is "c" instead of "b"]`},
		{`{"args":["a"]}`, `{"args":["a","c"]}`, `[args is ["a","c"] instead of ["a"]]`},
		{`{"limits":{"cpu":"1"}}`, `{"limits":{"cpu":"2"}}`, `[limits.cpu is "2" instead of "1"]`},
		{`{"a":{"b":{"c":1,"d":2}}}`, `{}`, `[a.b.c is absent instead of 1 a.b.d is absent instead of 2]`},
		{`{"a":{}}`, `{}`, `[a is absent instead of {}]`},
		{`{"b":1,"a":1}`, `{"b":2,"a":2}`, `[a is 2 instead of 1 b is 2 instead of 1]`},
		{
			`{"a":"x"}`, `{"a":"` + strings.Repeat("y", 1000) + `"}`,
			`[a is "` + strings.Repeat("y", 79) + `... instead of "x"]`,
		},
	} {
		got := fmt.Sprint(objects.Differences(json.RawMessage(c.desired), json.RawMessage(c.live)))
		if got != c.want {
			t.Errorf("of %s the object %s has\n%s, want\n%s", c.desired, c.live, got, c.want)
		}
	}
}

func TestWhatDoesNotExistDiffers(t *testing.T) {
	t.Parallel()
	service := objects.PeerService(desired(t, "default"))
	var noService *corev1.Service
	for name, live := range map[string]any{
		"nil": nil, "a nil Service": noService, "an empty Service": &corev1.Service{},
		"an empty object": &unstructured.Unstructured{},
	} {
		if !objects.Differs(service, live) {
			t.Errorf("a description does not differ from %s", name)
		}
	}
}

func TestAFieldThatIsNotMentionedAnyMoreDiffers(t *testing.T) {
	t.Parallel()
	d := desired(t, "full")
	live := &appsv1.StatefulSet{}
	before := objects.All(d)
	if err := json.Unmarshal(asJSON(t, before[len(before)-1].Config), live); err != nil {
		t.Fatal(err)
	}
	d.Cluster.Spec.Pod.Tolerations = nil
	for _, object := range objects.All(d) {
		if object.Kind == "StatefulSet" && !objects.Differs(object.Config, live) {
			t.Error("a StatefulSet without tolerations does not differ from the one with them")
		}
	}
	if objects.Differs(objects.StatefulSet(d), live) {
		t.Error("it differs without the digest, too: this test shows nothing")
	}
}

func asJSON(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
