package charts

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Helm accepts names of releases that Kubernetes accepts for no object: up to 53 characters, with dots, and with a
// digit first.
func TestNamesThatAReleaseMayHaveFitOrAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chart, release string
		given          values
		refused        string // what the message must contain; "": it is rendered
	}{
		{operatorChart, "kontiki", nil, ""},
		{operatorChart, "team.a", nil, ""},
		{operatorChart, "a.raft-operator.b", nil, ""},
		{operatorChart, "kontiki", values{"nameOverride": "raft"}, ""},
		{operatorChart, "kontiki", values{"nameOverride": strings.Repeat("a", 63)}, ""},
		{operatorChart, "1st", values{"fullnameOverride": "first"}, ""},
		{operatorChart, "1st", nil, "fullnameOverride"},
		{operatorChart, "a234567890-234567890-234567890-234567890-234-6", nil, ""}, // truncated after a dash
		{operatorChart, "a234567890-234567890-234567890-234567890-23--6", nil, ""},
		{clusterChart, "demo", nil, ""},
		{clusterChart, "team.a", nil, "nameOverride"},
		{clusterChart, "1st", nil, "nameOverride"},
		{clusterChart, strings.Repeat("a", 41), nil, "nameOverride"},
		{clusterChart, "demo-peers", nil, "nameOverride"},
		{clusterChart, "demo", values{"nameOverride": "demo-dashboard"}, "nameOverride"},
		{clusterChart, "1st", values{"nameOverride": "first"}, ""},
	} {
		r, err := tryRender(t, c.chart, c.release, chartWith(everything[c.chart], c.given))
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s as %s with %v: %v, want a message that names %s", c.chart, c.release, c.given, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s as %s with %v: %v", c.chart, c.release, c.given, err)
		}
		for _, object := range r.objects {
			if object.GetKind() == "CustomResourceDefinition" {
				continue
			}
			for _, complaint := range validation.IsDNS1035Label(object.GetName()) {
				t.Errorf("%s as %s with %v: %s %s: %s", c.chart, c.release, c.given, object.GetKind(), object.GetName(), complaint)
			}
			for key, value := range object.GetLabels() {
				for _, complaint := range validation.IsValidLabelValue(value) {
					t.Errorf("%s as %s with %v: label %s=%s: %s", c.chart, c.release, c.given, key, value, complaint)
				}
			}
		}
	}
}
