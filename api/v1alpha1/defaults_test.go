package v1alpha1_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// defaults are the defaults of an empty spec. They include no image: the operator records its choice in the status,
// and never writes into a spec, which belongs to the client that applied it.
const defaults = `
replicas: 3
imagePullPolicy: IfNotPresent
raft: {heartbeatPeriodMilliseconds: 100, electionTimeoutMilliseconds: 1000}
storage: {size: 1Gi, accessMode: ReadWriteOnce, retentionPolicy: {whenDeleted: Retain}}
resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 512Mi}}
pod: {terminationGracePeriodSeconds: 60}
clientService: {type: ClusterIP, port: 8080}
dashboard: {mode: Enabled, type: ClusterIP, port: 8080}
`

func TestDefaults(t *testing.T) { // O12: the volumes are kept
	t.Parallel()
	c := apitest.Client(t)
	var want map[string]any
	if err := yaml.Unmarshal([]byte(defaults), &want); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []struct{ title, spec string }{
		{"no spec", ``},
		{"an empty spec", `{}`},
		{"empty parts", `{raft: {}, storage: {retentionPolicy: {}}, pod: {}, clientService: {}, dashboard: {}}`},
		{"nulls", `{replicas: null, raft: null, storage: {size: null}, resources: null, pod: null}`},
		{"half the timing", `raft: {electionTimeoutMilliseconds: 1000}`},
		{"half the storage", `storage: {accessMode: ReadWriteOnce}`},
	} {
		t.Run(asked.title, func(t *testing.T) {
			t.Parallel()
			object := cluster(t, apitest.Namespace(t, c), "demo", asked.spec)
			if err := c.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asJSON(t, want), asJSON(t, object.Object["spec"])); diff != "" {
				t.Errorf("the spec that was stored (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsReachAGoClientToo(t *testing.T) { // unset fields must not be sent as zeros
	t.Parallel()
	c := apitest.Client(t)
	object := &v1alpha1.RaftCluster{ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: apitest.Namespace(t, c)}}
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	var want v1alpha1.RaftClusterSpec
	if err := yaml.UnmarshalStrict([]byte(defaults), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, object.Spec); diff != "" {
		t.Errorf("the spec that was stored (-want +got):\n%s", diff)
	}
}

func TestAnUnknownFieldIsRefusedOrDropped(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	namespace := apitest.Namespace(t, c)

	err := c.Create(t.Context(), cluster(t, namespace, "demo", `replica: 5`)) // as kubectl does by default
	if !apierrors.IsBadRequest(err) {
		t.Errorf("a field that does not exist: got %v, want a bad request", err)
	}

	dropped := cluster(t, namespace, "demo", `replica: 5`)
	if err := c.Create(t.Context(), dropped, client.FieldValidation(metav1.FieldValidationIgnore)); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := unstructured.NestedFieldNoCopy(dropped.Object, "spec", "replica"); found {
		t.Error("a field that does not exist was stored")
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	object := newCluster(t, c)
	object.Status = v1alpha1.RaftClusterStatus{Replicas: 2, Selector: "raft.kontiki.dev/cluster=demo"}
	if err := c.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}

	scale := &autoscalingv1.Scale{}
	if err := c.SubResource("scale").Get(t.Context(), object, scale); err != nil {
		t.Fatal(err)
	}
	want := autoscalingv1.ScaleStatus{Replicas: 2, Selector: "raft.kontiki.dev/cluster=demo"}
	if scale.Spec.Replicas != 3 || scale.Status != want {
		t.Errorf("the scale is %+v, want 3 replicas and %+v", scale, want)
	}

	if err := c.SubResource("scale").Update(t.Context(), object, client.WithSubResourceBody(scale)); err != nil {
		t.Errorf("scaling to what it is: %v", err)
	}
	scale.Spec.Replicas = 5
	err := c.SubResource("scale").Update(t.Context(), object, client.WithSubResourceBody(scale))
	mustRefuse(t, err, "spec.replicas", sameNumber, invalid)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	condition := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllMembersHealthy,
		LastTransitionTime: metav1.Now(),
	}
	member := v1alpha1.MemberStatus{
		MemberID: 1, PodName: "demo-0", Role: v1alpha1.RoleLeader, Health: v1alpha1.HealthHealthy,
	}
	for _, wrong := range []struct {
		title, field string
		cause        metav1.CauseType
		status       v1alpha1.RaftClusterStatus
	}{
		{
			"a member twice", "status.members[1]", duplicate,
			v1alpha1.RaftClusterStatus{Members: []v1alpha1.MemberStatus{member, member}},
		},
		{
			"a condition twice", "status.conditions[1]", duplicate,
			v1alpha1.RaftClusterStatus{Conditions: []metav1.Condition{condition, condition}},
		},
		{
			"a role that is none", "status.members[0].role", notSupported,
			v1alpha1.RaftClusterStatus{Members: []v1alpha1.MemberStatus{{MemberID: 1, PodName: "demo-0", Role: "King"}}},
		},
		{
			"a health that is none", "status.members[0].health", notSupported,
			v1alpha1.RaftClusterStatus{Members: []v1alpha1.MemberStatus{{MemberID: 1, PodName: "demo-0", Health: "Fine"}}},
		},
	} {
		t.Run(wrong.title, func(t *testing.T) {
			t.Parallel()
			object := newCluster(t, c)
			object.Status = wrong.status
			mustRefuse(t, c.Status().Update(t.Context(), object), wrong.field, "", wrong.cause)
		})
	}

	t.Run("is not written with the spec", func(t *testing.T) {
		t.Parallel()
		object := newCluster(t, c)
		object.Status.ClusterID = "of another"
		if err := c.Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if object.Status.ClusterID != "" {
			t.Error("a change of the spec wrote the status")
		}
	})
}

func TestWhatKubectlShows(t *testing.T) {
	t.Parallel()
	c, config := apitest.Client(t), apitest.Config(t)
	object := newCluster(t, c)
	meta.SetStatusCondition(&object.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonQuorumAvailable,
	})
	meta.SetStatusCondition(&object.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRollingUpdate,
	})
	object.Status.ReadyReplicas, object.Status.Version = 2, "v0.1.0"
	object.Status.Leader = &v1alpha1.LeaderStatus{PodName: "demo-1", MemberID: 2}
	if err := c.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}

	table := getTable(t, config, "/apis/raft.kontiki.dev/v1alpha1/namespaces/"+object.Namespace+"/raftclusters")
	var columns []string
	for _, column := range table.ColumnDefinitions {
		columns = append(columns, column.Name)
	}
	want := []string{"Name", "Replicas", "Ready", "Leader", "Available", "Reason", "Version", "Age"}
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%d rows, want 1", len(table.Rows))
	}
	cells := table.Rows[0].Cells
	wantCells := []any{"demo", float64(3), float64(2), "demo-1", "True", "RollingUpdate", "v0.1.0"}
	if diff := cmp.Diff(wantCells, cells[:len(cells)-1]); diff != "" { // the age depends on the current time
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestShortName(t *testing.T) {
	t.Parallel()
	client, err := discovery.NewDiscoveryClientForConfig(apitest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, resource := range list.APIResources {
		names[resource.Name] = resource.ShortNames
	}
	if !slices.Contains(names["raftclusters"], "rft") {
		t.Errorf("raftclusters are also called %v, want rft", names["raftclusters"])
	}
	for _, subresource := range []string{"raftclusters/status", "raftclusters/scale"} {
		if _, ok := names[subresource]; !ok {
			t.Errorf("there is no subresource %s", subresource)
		}
	}
}

// newCluster creates a RaftCluster "demo" with an empty spec.
func newCluster(t *testing.T, c client.Client) *v1alpha1.RaftCluster {
	t.Helper()
	object := &v1alpha1.RaftCluster{ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: apitest.Namespace(t, c)}}
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// getTable requests a list as a table, as kubectl does.
func getTable(t *testing.T, config *rest.Config, path string) *metav1.Table {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.JoinPath(config.Host, path)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %v", path, response.Status, body, err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(body, table); err != nil {
		t.Fatal(err)
	}
	return table
}

// asJSON converts values that were parsed in different ways to one form.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
