package controllers

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// jsonPatch is one operation of RFC 6902.
type jsonPatch struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// mutate installs an admission webhook that patches every object of a resource that is written in the stage's
// namespace. The function receives the object, and returns the patch. Calling the result removes the webhook.
func (s *stage) mutate(group, kind string, patches func(object map[string]any) []jsonPatch) (remove func()) {
	s.Helper()
	return s.mutateOn([]admissionregv1.OperationType{admissionregv1.Create, admissionregv1.Update}, group, kind, patches)
}

// mutateOn is mutate for some operations only.
func (s *stage) mutateOn(
	operations []admissionregv1.OperationType, group, kind string, patches func(object map[string]any) []jsonPatch,
) (remove func()) {
	s.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := admissionv1.AdmissionReview{}
		object := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := json.Unmarshal(review.Request.Object.Raw, &object); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		patch, err := json.Marshal(patches(object))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &kind,
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	s.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := &admissionregv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: s.space},
		Webhooks: []admissionregv1.MutatingWebhook{{
			Name:                    "mutate.example.com",
			ClientConfig:            admissionregv1.WebhookClientConfig{URL: &server.URL, CABundle: authority},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.space}},
			SideEffects:             new(admissionregv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionregv1.RuleWithOperations{{
				Operations: operations,
				Rule: admissionregv1.Rule{
					APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{kind},
				},
			}},
		}},
	}
	s.must(s.kube.Create(s.Context(), config))
	remove = func() { _ = s.kube.Delete(s.Context(), config) }
	return remove
}

// mutating waits until the API server uses a webhook that was just installed, or no longer does: a watch reports it to
// the API server.
func (s *stage) mutating(probe ctrlclient.Object, changed func() bool, want bool) {
	s.Helper()
	for range 2000 {
		copied := probe.DeepCopyObject().(ctrlclient.Object)
		s.must(s.kube.Create(s.Context(), copied, ctrlclient.DryRunAll))
		if changed() == want {
			return
		}
	}
	s.Fatalf("the API server does not apply the change of the webhook: want %t", want)
}

// finish runs the passes that complete the remaining work once a cluster is ready.
func (o *operator) finish(name string) {
	o.Helper()
	for range 10 {
		_ = o.pass(name)
		o.step()
	}
}

func degraded(c *v1alpha1.RaftCluster) metav1.Condition {
	if found := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionDegraded); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// aSet is a StatefulSet for trying admission.
func (s *stage) aSet() *appsv1.StatefulSet {
	labels := map[string]string{"a": "b"}
	return &appsv1.StatefulSet{ObjectMeta: s.named("probe"), Spec: appsv1.StatefulSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
		},
	}}
}

// One policy changes a field that the operator sets, and adds another text in each request.
func TestPolicyThatChangesTheStatefulSetHoldsNothingUp(t *testing.T) { // O30
	t.Parallel()
	s := newStage(t)
	var calls atomic.Int64
	remove := s.mutate("apps", "statefulsets", func(object map[string]any) []jsonPatch {
		n := calls.Add(1)
		template := object["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)
		annotations, _ := template["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
		}
		annotations["policy.example.com/seen"] = fmt.Sprint(n)
		return []jsonPatch{
			{"add", "/spec/template/spec/containers/0/imagePullPolicy", "Always"},
			{"add", "/spec/template/spec/terminationGracePeriodSeconds", 90},
			{"add", "/spec/template/metadata/annotations", annotations},
		}
	})
	s.mutating(s.aSet(), func() bool { return calls.Load() > 0 }, true)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	names := func(c *v1alpha1.RaftCluster) bool {
		message := degraded(c).Message
		return has(c, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonObjectMutated) &&
			strings.Contains(message, `spec.template.spec.containers[raftnode].imagePullPolicy is "Always" instead of `) &&
			strings.Contains(message, "spec.template.spec.terminationGracePeriodSeconds is 90 instead of 60")
	}
	o.until("demo", "it becomes ready, and the fields are named", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && names(c)
	})
	o.finish("demo")
	before, events := s.versions(), len(o.recorder.reasons())
	for range 5 {
		s.must(o.pass("demo"))
		s.step()
	}
	if after := s.versions(); fmt.Sprint(after) != fmt.Sprint(before) || len(o.recorder.reasons()) != events {
		t.Errorf("the same mutation changed objects: %v, then %v; events: %v", before, after, o.recorder.reasons()[events:])
	}
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
	o.until("demo", "an update is rolled out nevertheless", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && names(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
	for name, uids := range s.pods {
		if len(uids) != 2 {
			t.Errorf("%s was created %d times; one roll replaces every pod once", name, len(uids))
		}
	}
	remove()
	was := calls.Load()
	s.mutating(s.aSet(), func() bool { is := calls.Load(); defer func() { was = is }(); return is != was }, false)
	o.until("demo", "without the policy every object is as desired", func(c *v1alpha1.RaftCluster) bool {
		set := &appsv1.StatefulSet{}
		return isReady(c) && degraded(c).Status == metav1.ConditionFalse && s.get("demo", set) &&
			set.Spec.Template.Spec.Containers[0].ImagePullPolicy == corev1.PullIfNotPresent
	})
}

// A field that a policy wrote when the StatefulSet was created cannot be changed any more.
func TestPolicyThatChangedTheClaimTemplateHoldsNoUpdateUp(t *testing.T) { // O11
	t.Parallel()
	for field, patch := range map[string]jsonPatch{
		"": {"add", "/spec/volumeClaimTemplates/0/metadata/labels/policy.example.com~1team", "shop"},
		"spec.volumeClaimTemplates[0].spec.resources.requests.storage": {
			"add", "/spec/volumeClaimTemplates/0/spec/resources/requests/storage", "2Gi",
		},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var calls atomic.Int64
			created := []admissionregv1.OperationType{admissionregv1.Create}
			s.mutateOn(created, "apps", "statefulsets", func(object map[string]any) []jsonPatch {
				calls.Add(1)
				if object["metadata"].(map[string]any)["name"] == "probe" {
					return []jsonPatch{}
				}
				return []jsonPatch{patch}
			})
			s.mutating(s.aSet(), func() bool { return calls.Load() > 0 }, true)
			o := newOperator(s, nil)
			s.apply("demo", nil)
			o.until("demo", "ready", isReady)
			s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
			c := o.until("demo", "an update is rolled out", func(c *v1alpha1.RaftCluster) bool {
				return isReady(c) && s.runs(c, "kontiki/raftnode:1.1.0")
			})
			if is := degraded(c); !strings.Contains(is.Message, field) || (is.Status == metav1.ConditionTrue) != (field != "") {
				t.Errorf("Degraded is %s: %s", is.Status, is.Message)
			}
		})
	}
}

func TestPolicyThatChangesOtherObjectsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		group, kind, path string
		value             any
		probe             func(s *stage) ctrlclient.Object
		names             string
	}{
		{"", "services", "/spec/publishNotReadyAddresses", false, func(s *stage) ctrlclient.Object {
			return &corev1.Service{ObjectMeta: s.named("probe"), Spec: corev1.ServiceSpec{
				Ports: []corev1.ServicePort{{Port: 1}}, PublishNotReadyAddresses: true,
			}}
		}, "Service demo-peers does not keep its applied fields: spec.publishNotReadyAddresses is "},
		{"policy", "poddisruptionbudgets", "/spec/minAvailable", 1, func(s *stage) ctrlclient.Object {
			return &policyv1.PodDisruptionBudget{ObjectMeta: s.named("probe")}
		}, "PodDisruptionBudget demo does not keep its applied fields: spec.minAvailable is 1 instead of 2"},
		{"apps", "statefulsets", "/metadata/annotations", map[string]any{}, func(s *stage) ctrlclient.Object {
			return s.aSet()
		}, "StatefulSet demo does not keep its applied fields: metadata.annotations[raft.kontiki.dev/applied] is absent"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var calls atomic.Int64
			s.mutate(c.group, c.kind, func(map[string]any) []jsonPatch {
				calls.Add(1)
				return []jsonPatch{{"add", c.path, c.value}}
			})
			s.mutating(c.probe(s), func() bool { return calls.Load() > 0 }, true)
			o := newOperator(s, nil)
			s.apply("demo", nil)
			o.until("demo", "it becomes ready, and the field is named", func(r *v1alpha1.RaftCluster) bool {
				return isReady(r) && strings.Contains(degraded(r).Message, c.names)
			})
			o.finish("demo")
			before := s.versions()
			for range 3 {
				s.must(o.pass("demo"))
				s.step()
			}
			if after := s.versions(); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("the same mutation changed objects: %v, then %v", before, after)
			}
		})
	}
}

// Without a mark, a later operator cannot determine what is on a volume, but the nodes need no mark to serve.
func TestPolicyOnClaimsHoldsNothingElseUp(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		patch  jsonPatch
		reason string
		says   string
	}{
		"it removes the mark": {
			patch:  jsonPatch{"add", "/metadata/annotations", map[string]any{}},
			reason: v1alpha1.ReasonObjectMutated, says: v1alpha1.AnnotationClusterID,
		},
		"it makes the mark an invalid one": {
			patch:  jsonPatch{"add", "/metadata/labels", map[string]any{"not a label": "x"}},
			reason: ReasonObjectRejected, says: "marking claim data-demo-2",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var calls atomic.Int64
			remove := s.mutate("", "persistentvolumeclaims", func(object map[string]any) []jsonPatch {
				calls.Add(1)
				annotations, _ := object["metadata"].(map[string]any)["annotations"].(map[string]any)
				if annotations[v1alpha1.AnnotationMemberID] == nil {
					return []jsonPatch{}
				}
				return []jsonPatch{c.patch}
			})
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: s.named("probe"), Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
			}}
			s.mutating(claim, func() bool { return calls.Load() > 0 }, true)
			o := newOperator(s, nil)
			s.apply("demo", nil)
			o.until("demo", "the cluster serves, and the claim is named", func(r *v1alpha1.RaftCluster) bool {
				return meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionAvailable) &&
					meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionBootstrapped) &&
					r.Status.ReadyReplicas == 3 && degraded(r).Reason == c.reason && strings.Contains(degraded(r).Message, c.says)
			})
			s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
			o.until("demo", "an update is rolled out", func(r *v1alpha1.RaftCluster) bool {
				return s.runs(r, "kontiki/raftnode:1.1.0")
			})
			remove()
			was := calls.Load()
			s.mutating(claim, func() bool { is := calls.Load(); defer func() { was = is }(); return is != was }, false)
			o.until("demo", "the claims are marked", isReady)
		})
	}
}

func TestWriterThatFightsHoldsNothingUpAndIsNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	fight := func() {
		set := &appsv1.StatefulSet{}
		if s.get("demo", set) {
			s.must(s.kube.Patch(s.Context(), set,
				ctrlclient.RawPatch(types.MergePatchType, []byte(`{"spec":{"revisionHistoryLimit":7}}`))))
		}
	}
	for range 40 {
		s.must(o.pass("demo"))
		fight()
		s.step()
	}
	c := s.cluster("demo")
	if !isReady(c) || !strings.Contains(degraded(c).Message, "spec.revisionHistoryLimit is 7 instead of 2") ||
		!strings.Contains(degraded(c).Message, "Another client") ||
		count(o.recorder.reasons(), v1alpha1.ReasonObjectMutated) != 1 {
		t.Errorf("another client changes one field after each pass:\n%s", describe(c))
	}
}

func TestOneEditOfAPersonIsNoFight(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	o.until("demo", "ready", isReady)
	s.must(s.kube.Patch(t.Context(), &appsv1.StatefulSet{ObjectMeta: s.named("demo")},
		ctrlclient.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))))
	for range 5 {
		s.must(o.pass("demo"))
		s.step()
	}
	if reasons := o.recorder.reasons(); slices.Contains(reasons, v1alpha1.ReasonObjectMutated) {
		t.Errorf("one edit that was restored made the event of a conflict: %v", reasons)
	}
	o.until("demo", "ready", isReady)
}

// quota lets a namespace have only some Services. No controller counts here; the admission of the API server does.
func (s *stage) quota(services string) {
	s.Helper()
	hard := corev1.ResourceList{corev1.ResourceServices: resource.MustParse(services)}
	q := &corev1.ResourceQuota{ObjectMeta: s.named("few"), Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	if !s.get("few", &corev1.ResourceQuota{}) {
		s.must(s.kube.Create(s.Context(), q))
	}
	s.get("few", q)
	var there corev1.ServiceList
	s.list(&there)
	q.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{
		corev1.ResourceServices: *resource.NewQuantity(int64(len(there.Items)), resource.DecimalSI),
	}}
	s.must(s.kube.Status().Update(s.Context(), q))
	for range 2000 { // the admission reads a cache
		probe := &corev1.Service{ObjectMeta: s.named("probe")}
		probe.Spec.Ports = []corev1.ServicePort{{Port: 1}}
		err := s.kube.Create(s.Context(), probe, ctrlclient.DryRunAll)
		most := hard[corev1.ResourceServices]
		if over := int64(len(there.Items)) >= most.Value(); (err != nil) == over {
			return
		}
	}
	s.Fatal("the API server does not enforce the quota")
}

func TestDashboardServiceOverQuotaHoldsNothingElseUp(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.quota("2")
	s.apply("demo", nil)
	serves := func(c *v1alpha1.RaftCluster) bool {
		return meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAvailable) && c.Status.ReadyReplicas == 3
	}
	c := o.until("demo", "the cluster serves", serves)
	message := degraded(c).Message
	if !has(c, v1alpha1.ConditionDegraded, metav1.ConditionTrue, ReasonObjectRejected) ||
		!strings.Contains(message, "Service demo-dashboard") || !strings.Contains(message, "quota") || isReady(c) {
		t.Errorf("the Service of the dashboard is refused:\n%s", describe(c))
	}
	if !s.get("demo", &policyv1.PodDisruptionBudget{}) {
		t.Error("the PodDisruptionBudget was not created")
	}
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
	o.until("demo", "an update is rolled out", func(c *v1alpha1.RaftCluster) bool {
		return serves(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
	s.quota("9")
	o.until("demo", "the quota was raised", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && s.get("demo-dashboard", &corev1.Service{})
	})
}

func TestStatefulSetWaitsForThePeerService(t *testing.T) { // O20
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.quota("0")
	s.apply("demo", nil)
	c := o.until("demo", "it reports what is refused", func(c *v1alpha1.RaftCluster) bool {
		return strings.Contains(degraded(c).Message, "Service demo-peers")
	})
	for _, name := range []string{"Service demo:", "Service demo-dashboard:"} {
		if !strings.Contains(degraded(c).Message, name) {
			t.Errorf("%s is refused too, and Degraded is %q", name, degraded(c).Message)
		}
	}
	if s.get("demo", &appsv1.StatefulSet{}) {
		t.Error("pods are created whose names cannot be resolved")
	}
	if !s.get("demo", &policyv1.PodDisruptionBudget{}) {
		t.Error("the PodDisruptionBudget needs no Service, and was not created")
	}
	s.quota("9")
	o.until("demo", "ready", isReady)
}
