package v1alpha1_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

func TestMain(m *testing.M) { apitest.Main(m) }

// The messages of the CRD's rules. Users read them in their terminal, so they are part of the API.
const (
	nameForm = "metadata.name must be at most 40 lower-case letters, digits and dashes, and begin with a letter: pods " +
		"and Services are named after it"
	nameSuffix = "metadata.name must not end in -peers or -dashboard: these are the names of another cluster's Services"
	oddNumber  = "spec.replicas must be 1, 3, 5 or 7: an even number of voters survives no more failures than one voter " +
		"less"
	sameNumber = "spec.replicas cannot be changed after creation: this version of the operator does not change the " +
		"membership of a running cluster"
	timing = "spec.raft.electionTimeoutMilliseconds must be at least ten times heartbeatPeriodMilliseconds, or one slow " +
		"heartbeat costs an election"
	smallDisk = "spec.storage.size must be at least 16Mi: the log of a node needs room before it is compacted"
	sameSize  = "spec.storage.size cannot be changed after creation: this version of the operator does not resize volumes"
	sameClass = "spec.storage.storageClassName cannot be changed after creation: the volumes exist already"
	sameMode  = "spec.storage.accessMode cannot be changed after creation: the volumes exist already"
	noClaims  = "spec.resources.claims cannot be used: the pods have no resource claims to refer to"
)

// refusal is a RaftCluster that the API server must refuse: a creation, or a change if before is set.
type refusal struct {
	title         string
	name          string // "demo" if empty
	before, after string // specs in YAML
	field         string // that the error must name
	rule          string // message of the rule; "" if a plain limit of the schema refuses
	cause         metav1.CauseType
}

const (
	invalid      = metav1.CauseTypeFieldValueInvalid
	notSupported = metav1.CauseTypeFieldValueNotSupported
	duplicate    = metav1.CauseTypeFieldValueDuplicate
	tooLong      = metav1.CauseTypeTooLong
	tooMany      = metav1.CauseTypeTooMany
)

var refusals = []refusal{
	{title: "long name", name: strings.Repeat("a", 41), field: "<nil>", rule: nameForm, cause: invalid}, // O17
	{title: "digit first", name: "1demo", field: "<nil>", rule: nameForm, cause: invalid},
	{title: "dot in the name", name: "demo.eu", field: "<nil>", rule: nameForm, cause: invalid},
	{title: "upper-case name", name: "Demo", field: "metadata.name", cause: invalid},
	{title: "peers of another", name: "demo-peers", field: "<nil>", rule: nameSuffix, cause: invalid},
	{title: "dashboard of another", name: "demo-dashboard", field: "<nil>", rule: nameSuffix, cause: invalid},

	{title: "none", after: `replicas: 0`, field: "spec.replicas", rule: oddNumber, cause: invalid},
	{title: "two", after: `replicas: 2`, field: "spec.replicas", rule: oddNumber, cause: invalid},
	{title: "four", after: `replicas: 4`, field: "spec.replicas", rule: oddNumber, cause: invalid},
	{title: "nine", after: `replicas: 9`, field: "spec.replicas", rule: oddNumber, cause: invalid},
	{title: "fewer than none", after: `replicas: -3`, field: "spec.replicas", rule: oddNumber, cause: invalid},
	{title: "more", before: `replicas: 3`, after: `replicas: 5`, field: "spec.replicas", rule: sameNumber, cause: invalid},
	{title: "less", before: `replicas: 3`, after: `replicas: 1`, field: "spec.replicas", rule: sameNumber, cause: invalid},
	{
		title: "left out, where it was not the default", before: `replicas: 5`, after: `paused: true`,
		field: "spec.replicas", rule: sameNumber, cause: invalid,
	},

	{
		title: "election timeout of nine heartbeats", after: `raft: {heartbeatPeriodMilliseconds: 112}`,
		field: "spec.raft", rule: timing, cause: invalid,
	},
	{
		title: "election timeout made too short", before: `raft: {heartbeatPeriodMilliseconds: 100}`,
		after: `raft: {electionTimeoutMilliseconds: 999}`, field: "spec.raft", rule: timing, cause: invalid,
	},
	{
		title: "heartbeats too often", after: `raft: {heartbeatPeriodMilliseconds: 49}`,
		field: "spec.raft.heartbeatPeriodMilliseconds", cause: invalid,
	},
	{
		title: "heartbeats too seldom",
		after: `raft: {heartbeatPeriodMilliseconds: 5001, electionTimeoutMilliseconds: 60000}`,
		field: "spec.raft.heartbeatPeriodMilliseconds", cause: invalid,
	},
	{
		title: "elections too soon", after: `raft: {heartbeatPeriodMilliseconds: 50, electionTimeoutMilliseconds: 499}`,
		field: "spec.raft.electionTimeoutMilliseconds", cause: invalid,
	},
	{
		title: "elections too late", after: `raft: {electionTimeoutMilliseconds: 60001}`,
		field: "spec.raft.electionTimeoutMilliseconds", cause: invalid,
	},

	{title: "tiny disk", after: `storage: {size: 15Mi}`, field: "spec.storage.size", rule: smallDisk, cause: invalid},
	{title: "tiny number", after: `storage: {size: 4096}`, field: "spec.storage.size", rule: smallDisk, cause: invalid},
	{title: "negative disk", after: `storage: {size: -1Gi}`, field: "spec.storage.size", rule: smallDisk, cause: invalid},
	{title: "no quantity", after: `storage: {size: big}`, field: "spec.storage.size", cause: invalid},
	{
		title: "larger disk", before: `storage: {size: 1Gi}`, after: `storage: {size: 2Gi}`,
		field: "spec.storage.size", rule: sameSize, cause: invalid,
	},
	{
		title: "smaller disk", before: `storage: {size: 1Gi}`, after: `storage: {size: 1000Mi}`,
		field: "spec.storage.size", rule: sameSize, cause: invalid,
	},
	{
		title: "size left out, where it was not the default", before: `storage: {size: 2Gi}`, after: `storage: {}`,
		field: "spec.storage.size", rule: sameSize, cause: invalid,
	},
	{
		title: "another class", before: `storage: {storageClassName: fast}`, after: `storage: {storageClassName: slow}`,
		field: "spec.storage", rule: sameClass, cause: invalid,
	},
	{
		title: "class added", before: `{}`, after: `storage: {storageClassName: fast}`,
		field: "spec.storage", rule: sameClass, cause: invalid,
	},
	{
		title: "class taken away", before: `storage: {storageClassName: fast}`, after: `{}`,
		field: "spec.storage", rule: sameClass, cause: invalid,
	},
	{
		title: "the empty class is not the default class", before: `storage: {storageClassName: ""}`, after: `{}`,
		field: "spec.storage", rule: sameClass, cause: invalid,
	},
	{
		title: "another access mode", before: `{}`, after: `storage: {accessMode: ReadWriteOncePod}`,
		field: "spec.storage.accessMode", rule: sameMode, cause: invalid,
	},
	{
		title: "shared disk", after: `storage: {accessMode: ReadWriteMany}`,
		field: "spec.storage.accessMode", cause: notSupported,
	},
	{
		title: "retention", after: `storage: {retentionPolicy: {whenDeleted: Keep}}`,
		field: "spec.storage.retentionPolicy.whenDeleted", cause: notSupported,
	},

	{
		title: "resource claims", after: `resources: {claims: [{name: gpu}]}`,
		field: "spec.resources", rule: noClaims, cause: invalid,
	},
	{title: "pull policy", after: `imagePullPolicy: Sometimes`, field: "spec.imagePullPolicy", cause: notSupported},
	{title: "empty image", after: `image: ""`, field: "spec.image", cause: invalid},
	{title: "long image", after: `image: ` + strings.Repeat("i", 513), field: "spec.image", cause: tooLong},
	{
		title: "pull secret twice", after: `imagePullSecrets: [{name: a}, {name: a}]`,
		field: "spec.imagePullSecrets[1]", cause: duplicate,
	},
	{
		title: "pull secrets", after: `imagePullSecrets: [` + letters(17, `{name: %}`) + `]`,
		field: "spec.imagePullSecrets", cause: tooMany,
	},
	{
		title: "tolerations", after: `pod: {tolerations: [` + letters(65, `{key: %}`) + `]}`,
		field: "spec.pod.tolerations", cause: tooMany,
	},
	{title: "labels", after: `pod: {labels: {` + letters(65, `%: x`) + `}}`, field: "spec.pod.labels", cause: tooMany},
	{
		title: "spread", field: "spec.pod.topologySpreadConstraints", cause: tooMany,
		after: `pod: {topologySpreadConstraints: [` +
			letters(17, `{topologyKey: %, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}`) + `]}`,
	},
	{
		title: "no time to stop", after: `pod: {terminationGracePeriodSeconds: 9}`,
		field: "spec.pod.terminationGracePeriodSeconds", cause: invalid,
	},
	{
		title: "too long to stop", after: `pod: {terminationGracePeriodSeconds: 3601}`,
		field: "spec.pod.terminationGracePeriodSeconds", cause: invalid,
	},
	{
		title: "headless client Service", after: `clientService: {type: ExternalName}`,
		field: "spec.clientService.type", cause: notSupported,
	},
	{title: "port", after: `clientService: {port: 65536}`, field: "spec.clientService.port", cause: invalid},
	{title: "dashboard mode", after: `dashboard: {mode: "On"}`, field: "spec.dashboard.mode", cause: notSupported},
	{title: "dashboard type", after: `dashboard: {type: None}`, field: "spec.dashboard.type", cause: notSupported},
	{title: "dashboard port", after: `dashboard: {port: 0}`, field: "spec.dashboard.port", cause: invalid},
}

func TestWhatIsRefused(t *testing.T) { // O33: without a webhook
	t.Parallel()
	c := apitest.Client(t)
	for _, r := range refusals {
		t.Run(r.title, func(t *testing.T) {
			t.Parallel()
			namespace := apitest.Namespace(t, c)
			name := r.name
			if name == "" {
				name = "demo"
			}
			var err error
			if r.before == "" {
				err = c.Create(t.Context(), cluster(t, namespace, name, r.after))
			} else {
				err = change(t, c, namespace, r.before, r.after)
			}
			mustRefuse(t, err, r.field, r.rule, r.cause)
		})
	}
}

func TestEveryRuleIsTested(t *testing.T) {
	t.Parallel()
	var tested []string
	for _, r := range refusals {
		tested = append(tested, r.rule)
	}
	found := rules(*readCRD(t).Spec.Versions[0].Schema.OpenAPIV3Schema)
	if len(found) == 0 {
		t.Fatal("found no rule in the CRD")
	}
	for _, rule := range found {
		if !slices.Contains(tested, rule.Message) {
			t.Errorf("no refusal for the rule %q, whose message is %q", rule.Rule, rule.Message)
		}
	}
}

func TestWhatMayChange(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	for _, allowed := range []struct{ title, before, after string }{
		{"nothing", `{replicas: 5, storage: {storageClassName: fast}}`, `{replicas: 5, storage: {storageClassName: fast}}`},
		{"the default written out", `{}`, `{replicas: 3, storage: {size: 1Gi, accessMode: ReadWriteOnce}}`},
		{"the default left out again", `{replicas: 3, storage: {size: 1Gi}}`, `{}`},
		{"the unit of the size", `storage: {size: 1Gi}`, `storage: {size: 1024Mi}`},
		{"the size as a number", `storage: {size: 1Gi}`, `storage: {size: 1073741824}`},
		{"what becomes of the volumes", `{}`, `storage: {retentionPolicy: {whenDeleted: Delete}}`},
		{"the image", `image: node:1`, `image: node:2`},
		{"the image, back to the default", `image: node:1`, `{}`},
		{"the timing", `{}`, `raft: {heartbeatPeriodMilliseconds: 200, electionTimeoutMilliseconds: 2000}`},
		{"the resources", `{}`, `resources: {requests: {cpu: 2, memory: 1Gi}}`},
		{"the pods", `{}`, `pod: {nodeSelector: {disk: ssd}, tolerations: [{key: raft}], priorityClassName: high}`},
		{"the Services", `{}`, `{clientService: {type: LoadBalancer, port: 80}, dashboard: {mode: Disabled}}`},
		{"a pause", `{}`, `paused: true`},
		{"the end of a pause", `paused: true`, `{}`},
	} {
		t.Run(allowed.title, func(t *testing.T) {
			t.Parallel()
			if err := change(t, c, apitest.Namespace(t, c), allowed.before, allowed.after); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNamesThatAreTaken(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	namespace := apitest.Namespace(t, c)
	for _, name := range []string{"a", "demo", "demo-0", "peers", "a1-b2", strings.Repeat("a", 40)} {
		if err := c.Create(t.Context(), cluster(t, namespace, name, `{}`)); err != nil {
			t.Errorf("name %s: %v", name, err)
		}
	}
}

// cluster returns a RaftCluster with a spec in YAML.
func cluster(t *testing.T, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RaftCluster"))
	object.SetNamespace(namespace)
	object.SetName(name)
	if spec != "" {
		setSpec(t, object, spec)
	}
	return object
}

func setSpec(t *testing.T, object *unstructured.Unstructured, spec string) {
	t.Helper()
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(spec), &parsed); err != nil {
		t.Fatalf("spec %s: %v", spec, err)
	}
	object.Object["spec"] = parsed
}

// change creates a cluster, replaces its spec, and returns the error of the replacement.
func change(t *testing.T, c client.Client, namespace, before, after string) error {
	t.Helper()
	object := cluster(t, namespace, "demo", before)
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatalf("the creation, which should be allowed: %v", err)
	}
	setSpec(t, object, after)
	return c.Update(t.Context(), object)
}

// mustRefuse checks that an error names the field, the kind of error and, if a rule is given, its message.
func mustRefuse(t *testing.T, err error, field, rule string, kind metav1.CauseType) {
	t.Helper()
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil {
		t.Fatalf("got the error %v, want a refusal of %s", err, field)
	}
	if !apierrors.IsInvalid(err) {
		t.Errorf("refused for the reason %s, want Invalid", apierrors.ReasonForError(err))
	}
	causes := status.ErrStatus.Details.Causes
	if !slices.ContainsFunc(causes, func(c metav1.StatusCause) bool {
		return c.Field == field && c.Type == kind && strings.HasSuffix(c.Message, rule)
	}) {
		t.Errorf("refused because of\n%+v\nwant %s of %s, with the message %q", causes, kind, field, rule)
	}
}

// readCRD reads the installed CRD.
func readCRD(t *testing.T) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	root, err := apitest.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "config", "crd", "raft.kontiki.dev_raftclusters.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// rules lists the CEL rules of a schema and its parts.
func rules(schema apiextensionsv1.JSONSchemaProps) []apiextensionsv1.ValidationRule {
	found := slices.Clone(schema.XValidations)
	for _, property := range schema.Properties {
		found = append(found, rules(property)...)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		found = append(found, rules(*schema.Items.Schema)...)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		found = append(found, rules(*schema.AdditionalProperties.Schema)...)
	}
	return found
}

// letters repeats an item n times, with another name for each %.
func letters(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = strings.ReplaceAll(item, "%", "n"+strings.Repeat("x", i))
	}
	return strings.Join(items, ", ")
}
