package objects_test

import (
	"encoding/json"
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
		{"a field of nobody", `{"spec":{"a":1}}`, `{"spec":{"a":1,"b":2}}`, false},
		{"a field that is absent", `{"spec":{"a":1}}`, `{"spec":{"b":2}}`, true},
		{"another value", `{"a":"x"}`, `{"a":"y"}`, true},
		{"false is not absent", `{"a":false}`, `{}`, true},
		{"another kind of value", `{"a":{"b":1}}`, `{"a":[1]}`, true},
		{"a kind that the client left out", `{"kind":"Service","apiVersion":"v1","a":1}`, `{"a":1}`, false},

		{"a quantity written otherwise", `{"requests":{"memory":"1024Mi"}}`, `{"requests":{"memory":"1Gi"}}`, false},
		{"a quantity as a number", `{"limits":{"cpu":"1"}}`, `{"limits":{"cpu":1}}`, false},
		{"another quantity", `{"requests":{"memory":"1Gi"}}`, `{"requests":{"memory":"1G"}}`, true},
		{"a label that only looks like one", `{"labels":{"requests":"1Gi"}}`, `{"labels":{"requests":"1024Mi"}}`, true},

		{"somebody's container", `{"containers":[{"name":"a"}]}`, `{"containers":[{"name":"b"},{"name":"a"}]}`, false},
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
		{"somebody's item in it", `{"tolerations":[{"key":"a"}]}`, `{"tolerations":[{"key":"a"},{"key":"b"}]}`, true},
		{"a default in its item", `{"claims":[{"a":1}]}`, `{"claims":[{"a":1,"volumeMode":"Filesystem"}]}`, false},
	} {
		desired, live := json.RawMessage(c.desired), json.RawMessage(c.live)
		if got := objects.Differs(desired, live); got != c.want {
			t.Errorf("%s: Differs(%s, %s) = %t", c.name, c.desired, c.live, got)
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
