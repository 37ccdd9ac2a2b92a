package objects_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestMain(m *testing.M) { apitest.Main(m) }

// oddSpecs are specs whose objects the API server stores in a different form, or nearly so.
var oddSpecs = map[string]func(*v1alpha1.RaftClusterSpec){
	"quantities": func(spec *v1alpha1.RaftClusterSpec) {
		spec.Resources.Requests = corev1.ResourceList{
			"cpu": resource.MustParse("0.1"), "memory": resource.MustParse("1500000Ki"),
			"ephemeral-storage": resource.MustParse("0.5Gi"),
		}
		spec.Resources.Limits = corev1.ResourceList{
			"cpu": resource.MustParse("1.50"), "memory": resource.MustParse("2e9"),
			"ephemeral-storage": resource.MustParse("1073741824"), "example.com/device": resource.MustParse("0"),
		}
		spec.Storage.Size = resource.MustParse("1.5Gi")
	},
	"only limits": func(spec *v1alpha1.RaftClusterSpec) {
		spec.Resources = corev1.ResourceRequirements{
			Limits: corev1.ResourceList{"memory": resource.MustParse("1Gi")},
		}
	},
	"empty parts": func(spec *v1alpha1.RaftClusterSpec) {
		spec.Resources = corev1.ResourceRequirements{Limits: corev1.ResourceList{}}
		spec.Pod.Labels, spec.Pod.Annotations = map[string]string{"x": ""}, map[string]string{}
		spec.Pod.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
		spec.Pod.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		spec.Storage.StorageClassName = new("")
	},
}

func TestASteadyClusterMakesNoWrite(t *testing.T) { // O30
	t.Parallel()
	c := apitest.Client(t)
	clusters := map[string]objects.Desired{}
	for _, name := range cases {
		clusters[name] = desired(t, name)
	}
	for name, change := range oddSpecs {
		d := desired(t, "default")
		change(&d.Cluster.Spec)
		clusters[name] = d
	}
	for name, d := range clusters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.Cluster.Namespace = apitest.Namespace(t, c)
			apply(t, c, d)
			for _, object := range objects.All(d) {
				typed, loose := read(t, c, d, object.Ref), &unstructured.Unstructured{}
				loose.SetGroupVersionKind(object.GroupVersionKind)
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(typed), loose); err != nil {
					t.Fatal(err)
				}
				for _, live := range []client.Object{typed, loose} {
					if objects.Differs(object.Config, live) {
						t.Errorf("%s differs from what it was applied to:\n%s", object, asJSON(t, live))
					}
				}
			}
		})
	}
}

// foreign are changes by another client.
var foreign = []struct {
	name   string
	object string
	change func(client.Object)
}{
	{"label", "Service demo-peers", func(o client.Object) { o.GetLabels()[v1alpha1.LabelCluster] = "x" }},
	{"label gone", "PodDisruptionBudget demo", func(o client.Object) { o.SetLabels(nil) }},
	{"owner gone", "StatefulSet demo", func(o client.Object) { o.SetOwnerReferences(nil) }},
	{"digest", "StatefulSet demo", func(o client.Object) { o.SetAnnotations(map[string]string{}) }},
	{"type", "Service demo", func(o client.Object) { serviceOf(o).Type = "NodePort" }},
	{"target", "Service demo", func(o client.Object) { serviceOf(o).Ports[0].TargetPort = intstr.FromInt32(1) }},
	{"selector", "Service demo", func(o client.Object) { serviceOf(o).Selector = map[string]string{"a": "b"} }},
	{"only ready ones", "Service demo-peers", func(o client.Object) { serviceOf(o).PublishNotReadyAddresses = false }},
	{"annotation", "Service demo-dashboard", func(o client.Object) { o.GetAnnotations()["a"] = "y" }},
	{"budget", "PodDisruptionBudget demo", func(o client.Object) {
		o.(*policyv1.PodDisruptionBudget).Spec.MinAvailable = new(intstr.FromInt32(0))
	}},
	{"eviction", "PodDisruptionBudget demo", func(o client.Object) {
		o.(*policyv1.PodDisruptionBudget).Spec.UnhealthyPodEvictionPolicy = new(policyv1.AlwaysAllow)
	}},
	{"replicas", "StatefulSet demo", func(o client.Object) { setOf(o).Replicas = new(int32(0)) }},
	{"strategy", "StatefulSet demo", func(o client.Object) { setOf(o).UpdateStrategy.Type = "RollingUpdate" }},
	{"retention", "StatefulSet demo", func(o client.Object) {
		setOf(o).PersistentVolumeClaimRetentionPolicy.WhenScaled = "Delete"
	}},
	{"image", "StatefulSet demo", func(o client.Object) { containerOf(o).Image = "x" }},
	{"arguments", "StatefulSet demo", func(o client.Object) { containerOf(o).Args = containerOf(o).Args[1:] }},
	{"more arguments", "StatefulSet demo", func(o client.Object) {
		containerOf(o).Args = append(containerOf(o).Args, "--x")
	}},
	{"variable", "StatefulSet demo", func(o client.Object) { containerOf(o).Env[2].Value = "x" }},
	{"memory", "StatefulSet demo", func(o client.Object) {
		containerOf(o).Resources.Limits["memory"] = resource.MustParse("513Mi")
	}},
	{"probe", "StatefulSet demo", func(o client.Object) { containerOf(o).LivenessProbe.FailureThreshold = 1 }},
	{"capability", "StatefulSet demo", func(o client.Object) {
		containerOf(o).SecurityContext.Capabilities.Drop = []corev1.Capability{"KILL"}
	}},
	{"read-only root", "StatefulSet demo", func(o client.Object) {
		containerOf(o).SecurityContext.ReadOnlyRootFilesystem = new(false)
	}},
	{"user", "StatefulSet demo", func(o client.Object) { podOf(o).SecurityContext.RunAsUser = new(int64(1)) }},
	{"token", "StatefulSet demo", func(o client.Object) { podOf(o).AutomountServiceAccountToken = nil }},
	{"grace", "StatefulSet demo", func(o client.Object) { podOf(o).TerminationGracePeriodSeconds = new(int64(0)) }},
	{"toleration", "StatefulSet demo", func(o client.Object) {
		podOf(o).Tolerations = append(podOf(o).Tolerations, corev1.Toleration{Key: "x", Operator: "Exists"})
	}},
	{"affinity", "StatefulSet demo", func(o client.Object) { podOf(o).Affinity = nil }},
	{"spread", "StatefulSet demo", func(o client.Object) { podOf(o).TopologySpreadConstraints[0].MaxSkew = 3 }},
	{"node selector", "StatefulSet demo", func(o client.Object) { podOf(o).NodeSelector["a"] = "z" }},
	{"pull secret", "StatefulSet demo", func(o client.Object) { podOf(o).ImagePullSecrets = nil }},
	{"temporary files", "StatefulSet demo", func(o client.Object) {
		podOf(o).Volumes[0].EmptyDir.SizeLimit = new(resource.MustParse("65Mi"))
	}},
}

func TestAChangeOfAnotherWriterIsSeenAndPutRight(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	d := desired(t, "default")
	d.Cluster.Spec.Dashboard.Annotations = map[string]string{"a": "x"}
	d.Cluster.Spec.Pod.NodeSelector = map[string]string{"a": "x"}
	d.Cluster.Spec.Pod.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Exists"}}
	d.Cluster.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "a"}}
	d.Cluster.Namespace = apitest.Namespace(t, c)
	apply(t, c, d)
	for _, f := range foreign {
		i := slices.Index(namesOf(objects.All(d)), f.object)
		if i < 0 {
			t.Fatalf("there is no %s", f.object)
		}
		object := objects.All(d)[i]
		live := read(t, c, d, object.Ref)
		f.change(live)
		if err := c.Update(t.Context(), live, client.FieldOwner("another")); err != nil {
			t.Fatalf("%s of %s: %v", f.name, object, err)
		}
		if !objects.Differs(object.Config, read(t, c, d, object.Ref)) {
			t.Errorf("%s of %s: the change is not seen", f.name, object)
		}
		apply(t, c, d)
		if live := read(t, c, d, object.Ref); objects.Differs(object.Config, live) {
			t.Errorf("%s of %s: it still differs after it was put right:\n%s", f.name, object, asJSON(t, live))
		}
	}
}

// Server-side apply identifies a port by its number, and two ports cannot have one name. So this change is detected,
// but only a user can undo it, and the error states where.
func TestAPortThatAnotherWriterRenumberedIsSeen(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	d := desired(t, "default")
	d.Cluster.Namespace = apitest.Namespace(t, c)
	apply(t, c, d)
	object := objects.All(d)[slices.Index(namesOf(objects.All(d)), "Service demo")]
	live := read(t, c, d, object.Ref)
	serviceOf(live).Ports[0].Port = 81
	if err := c.Update(t.Context(), live, client.FieldOwner("another")); err != nil {
		t.Fatal(err)
	}
	if !objects.Differs(object.Config, read(t, c, d, object.Ref)) {
		t.Error("the change is not seen")
	}
	err := c.Apply(t.Context(), object.Config, client.FieldOwner("kontiki-operator"), client.ForceOwnership)
	if !apierrors.IsInvalid(err) {
		t.Errorf("applying the Service: %v; if it can be put right now, it belongs to the changes that are", err)
	}
}

// Fields that the operator does not set are ignored, and cause no write.
func TestWhatOthersAddIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	d := desired(t, "default")
	d.Cluster.Namespace = apitest.Namespace(t, c)
	apply(t, c, d)
	for _, object := range objects.All(d) {
		live := read(t, c, d, object.Ref)
		live.GetLabels()["theirs"], live.GetAnnotations()["theirs"] = "x", "x"
		switch live := live.(type) {
		case *appsv1.StatefulSet:
			pod := podOf(live)
			pod.Containers = append([]corev1.Container{{Name: "sidecar", Image: "x"}}, pod.Containers...)
			pod.Containers[1].Env = append(pod.Containers[1].Env, corev1.EnvVar{Name: "THEIRS"})
		case *corev1.Service:
			live.Spec.Ports = append(live.Spec.Ports, corev1.ServicePort{Name: "theirs", Port: 9})
		}
		if err := c.Update(t.Context(), live, client.FieldOwner("another")); err != nil {
			t.Fatal(err)
		}
		if live := read(t, c, d, object.Ref); objects.Differs(object.Config, live) {
			t.Errorf("%s differs because of what another client added:\n%s", object, asJSON(t, live))
		}
	}
}

// removals are changes of the spec after which the objects have fewer fields than before.
var removals = map[string]func(*v1alpha1.RaftClusterSpec){
	"label":           func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Labels = nil },
	"annotation":      func(spec *v1alpha1.RaftClusterSpec) { delete(spec.Pod.Annotations, "empty") },
	"toleration":      func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Tolerations = spec.Pod.Tolerations[1:] },
	"all tolerations": func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Tolerations = nil },
	"node selector":   func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.NodeSelector = nil },
	"affinity":        func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Affinity = nil },
	"node affinity":   func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.Affinity.NodeAffinity = nil },
	"one constraint": func(spec *v1alpha1.RaftClusterSpec) {
		spec.Pod.TopologySpreadConstraints = spec.Pod.TopologySpreadConstraints[1:]
	},
	"its domains": func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.TopologySpreadConstraints[0].MinDomains = nil },
	"CPU limit":   func(spec *v1alpha1.RaftClusterSpec) { delete(spec.Resources.Limits, "cpu") },
	"all limits":  func(spec *v1alpha1.RaftClusterSpec) { spec.Resources.Limits = nil },
	"priority":    func(spec *v1alpha1.RaftClusterSpec) { spec.Pod.PriorityClassName = "" },
	"pull secret": func(spec *v1alpha1.RaftClusterSpec) { spec.ImagePullSecrets = spec.ImagePullSecrets[:1] },
	"client's annotation": func(spec *v1alpha1.RaftClusterSpec) {
		spec.ClientService.Annotations = nil
	},
	"load balancer": func(spec *v1alpha1.RaftClusterSpec) { spec.ClientService.Type = "ClusterIP" },
	"node port":     func(spec *v1alpha1.RaftClusterSpec) { spec.Dashboard.Type = "ClusterIP" },
	"port":          func(spec *v1alpha1.RaftClusterSpec) { spec.Dashboard.Port = 8082 },
}

func TestObjectsThatTheSpecDisablesAreRemoved(t *testing.T) {
	t.Parallel()
	c := apitest.Client(t)
	for name, remove := range removals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := desired(t, "full")
			d.Cluster.Namespace = apitest.Namespace(t, c)
			apply(t, c, d)
			remove(&d.Cluster.Spec)
			if changed := different(t, c, d); len(changed) != 1 {
				t.Errorf("it changes %v, want exactly one object", changed)
			}
			apply(t, c, d)
			if changed := different(t, c, d); len(changed) != 0 {
				t.Errorf("after it was applied, %v still differ", changed)
			}
			fresh := d // the same spec in another namespace, where no more was ever set
			fresh.Cluster = d.Cluster.DeepCopy()
			fresh.Cluster.Namespace = apitest.Namespace(t, c)
			apply(t, c, fresh)
			for _, object := range objects.All(d) {
				was, is := specOf(t, read(t, c, fresh, object.Ref), fresh), specOf(t, read(t, c, d, object.Ref), d)
				if was != is {
					t.Errorf("%s keeps something of the old spec:\n%s\ncreated anew it is\n%s", object, is, was)
				}
			}
		})
	}
}

// apply applies all objects, as the operator does.
func apply(t *testing.T, c client.Client, d objects.Desired) {
	t.Helper()
	for _, object := range objects.All(d) {
		err := c.Apply(t.Context(), object.Config, client.FieldOwner("kontiki-operator"), client.ForceOwnership)
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
	}
}

func read(t *testing.T, c client.Client, d objects.Desired, ref objects.Ref) client.Object {
	t.Helper()
	made, err := c.Scheme().New(ref.GroupVersionKind)
	if err != nil {
		t.Fatal(err)
	}
	live := made.(client.Object)
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: d.Cluster.Namespace, Name: ref.Name}, live); err != nil {
		t.Fatal(err)
	}
	return live
}

// different names the objects that applying would change.
func different(t *testing.T, c client.Client, d objects.Desired) []string {
	t.Helper()
	var names []string
	for _, object := range objects.All(d) {
		if objects.Differs(object.Config, read(t, c, d, object.Ref)) {
			names = append(names, object.String())
		}
	}
	return names
}

// specOf returns the spec of an object without what the API server sets per object, for comparison.
func specOf(t *testing.T, live client.Object, d objects.Desired) string {
	t.Helper()
	if service, ok := live.(*corev1.Service); ok {
		if service.Spec.ClusterIP != corev1.ClusterIPNone {
			service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
		}
		if service.Spec.Type != corev1.ServiceTypeClusterIP {
			for i := range service.Spec.Ports {
				service.Spec.Ports[i].NodePort = 0
			}
		}
	}
	text, err := json.Marshal(live)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(object.Spec), d.Cluster.Namespace, "NAMESPACE")
}

func serviceOf(o client.Object) *corev1.ServiceSpec { return &o.(*corev1.Service).Spec }

func setOf(o client.Object) *appsv1.StatefulSetSpec { return &o.(*appsv1.StatefulSet).Spec }

func podOf(o client.Object) *corev1.PodSpec { return &setOf(o).Template.Spec }

func containerOf(o client.Object) *corev1.Container { return &podOf(o).Containers[0] }
