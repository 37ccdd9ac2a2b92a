package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

const (
	goodImage = "kontiki/raftnode:1.0.0"
	badImage  = "kontiki/raftnode:bad" // cannot be pulled
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	apitest.Main(m)
}

// stage is one namespace of a real API server, in which the test does the work of the rest of Kubernetes: the
// controllers of StatefulSets and PodDisruptionBudgets, the garbage collector, and the kubelets, whose containers are
// fake nodes. Each step does everything that is to be done.
type stage struct {
	*testing.T
	kube  ctrlclient.Client // an administrator's
	space string
	net   *fakeNetwork
	disks map[types.UID]*fakeDisk // by their claims
	pods  map[string][]types.UID  // every pod that ever existed, by name
	ips   int

	founded bool // from now on at most one pod may be down at a time
}

func newStage(t *testing.T) *stage {
	kube := apitest.Client(t)
	return &stage{
		T: t, kube: kube, space: apitest.Namespace(t, kube), net: newFakeNetwork(t),
		disks: map[types.UID]*fakeDisk{}, pods: map[string][]types.UID{},
	}
}

// must ends the test on an error. An object that is gone already, or changed concurrently, is handled in the next
// step.
func (s *stage) must(err error) {
	s.Helper()
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		if s.Context().Err() != nil {
			return // the test is over
		}
		s.Fatal(err)
	}
}

func (s *stage) list(into ctrlclient.ObjectList) {
	s.Helper()
	s.must(s.kube.List(s.Context(), into, ctrlclient.InNamespace(s.space)))
}

func (s *stage) get(name string, into ctrlclient.Object) bool {
	s.Helper()
	err := s.kube.Get(s.Context(), types.NamespacedName{Namespace: s.space, Name: name}, into)
	s.must(err)
	return err == nil
}

// step runs one step of Kubernetes.
func (s *stage) step() {
	s.Helper()
	var clusters v1alpha1.RaftClusterList
	var sets appsv1.StatefulSetList
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	var budgets policyv1.PodDisruptionBudgetList
	for _, list := range []ctrlclient.ObjectList{&clusters, &sets, &pods, &claims, &budgets} {
		s.list(list)
	}
	s.collectGarbage(clusters.Items, sets.Items, pods.Items, budgets.Items)
	for i := range pods.Items {
		s.kubelet(&pods.Items[i], claims.Items)
	}
	for i := range claims.Items {
		s.protect(&claims.Items[i], pods.Items)
	}
	for i := range sets.Items {
		s.control(&sets.Items[i], pods.Items, claims.Items)
	}
	for i := range budgets.Items {
		s.budget(&budgets.Items[i], pods.Items)
	}
}

// collectGarbage deletes the objects whose owner is gone.
func (s *stage) collectGarbage(
	clusters []v1alpha1.RaftCluster, sets []appsv1.StatefulSet, pods []corev1.Pod, budgets []policyv1.PodDisruptionBudget,
) {
	var owners []types.UID
	var owned []ctrlclient.Object
	for i := range clusters {
		owners = append(owners, clusters[i].UID)
	}
	for i := range sets {
		owners = append(owners, sets[i].UID)
		owned = append(owned, &sets[i])
	}
	for i := range pods {
		owned = append(owned, &pods[i])
	}
	for i := range budgets {
		owned = append(owned, &budgets[i])
	}
	var services corev1.ServiceList
	s.list(&services)
	for i := range services.Items {
		owned = append(owned, &services.Items[i])
	}
	for _, object := range owned {
		owner := metav1.GetControllerOf(object)
		if owner == nil || slices.Contains(owners, owner.UID) || object.GetDeletionTimestamp() != nil {
			continue
		}
		s.must(s.kube.Delete(s.Context(), object))
	}
}

// control is the StatefulSet controller, for Parallel and OnDelete.
func (s *stage) control(set *appsv1.StatefulSet, pods []corev1.Pod, claims []corev1.PersistentVolumeClaim) {
	if set.DeletionTimestamp != nil || metav1.GetControllerOf(set) == nil {
		return
	}
	revision := revisionOf(set)
	status := appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, UpdateRevision: revision}
	for ordinal := range *set.Spec.Replicas {
		name, claimName := objects.PodName(set.Name, ordinal), objects.ClaimName(set.Name, ordinal)
		status.Replicas++
		if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == name }); i >= 0 {
			if decide.Ready(&pods[i]) {
				status.ReadyReplicas++
			}
			continue
		}
		if !slices.ContainsFunc(claims, func(c corev1.PersistentVolumeClaim) bool { return c.Name == claimName }) {
			s.makeClaim(set, claimName)
		}
		s.makePod(set, name, claimName, revision)
	}
	if !slices.Equal([]any{status.ObservedGeneration, status.UpdateRevision, status.Replicas, status.ReadyReplicas},
		[]any{
			set.Status.ObservedGeneration, set.Status.UpdateRevision, set.Status.Replicas, set.Status.ReadyReplicas,
		}) {
		set.Status = status
		s.must(s.kube.Status().Update(s.Context(), set))
	}
}

func revisionOf(set *appsv1.StatefulSet) string {
	text, _ := json.Marshal(set.Spec.Template) // an API type always has JSON
	sum := sha256.Sum256(text)
	return set.Name + "-" + hex.EncodeToString(sum[:5])
}

func (s *stage) makeClaim(set *appsv1.StatefulSet, name string) {
	template := set.Spec.VolumeClaimTemplates[0]
	s.must(s.kube.Create(s.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.space, Labels: set.Spec.Selector.MatchLabels},
		Spec:       template.Spec,
	}))
}

func (s *stage) makePod(set *appsv1.StatefulSet, name, claim, revision string) {
	template := set.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name, pod.Namespace = name, s.space
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set,
		appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	pod.Spec.NodeName = "node-of-" + name // or the API server deletes it at once, like a pod without a Kubernetes node
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		},
	})
	err := s.kube.Create(s.Context(), pod)
	s.must(err)
	if err == nil {
		s.pods[name] = append(s.pods[name], pod.UID)
	}
}

// protect removes a deleted claim once no pod uses it.
func (s *stage) protect(claim *corev1.PersistentVolumeClaim, pods []corev1.Pod) {
	used := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return "data-"+p.Name == claim.Name })
	if claim.DeletionTimestamp != nil && !used {
		claim.Finalizers = nil
		s.must(s.kube.Update(s.Context(), claim))
		delete(s.disks, claim.UID)
	}
}

// kubelet runs a pod: ends it, starts it, or reports on it.
func (s *stage) kubelet(pod *corev1.Pod, claims []corev1.PersistentVolumeClaim) {
	if pod.DeletionTimestamp != nil {
		s.net.stop(pod.Status.PodIP)
		s.must(s.kube.Delete(s.Context(), pod, ctrlclient.GracePeriodSeconds(0)))
		return
	}
	before := pod.Status.DeepCopy()
	container := &pod.Spec.Containers[0]
	status := corev1.ContainerStatus{Name: container.Name, Image: container.Image}
	i := slices.IndexFunc(claims, func(c corev1.PersistentVolumeClaim) bool { return c.Name == "data-"+pod.Name })
	switch {
	case i < 0:
		return // its volume does not exist yet
	case container.Image == badImage:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
		pod.Status.Phase = corev1.PodPending
	default:
		if pod.Status.PodIP == "" {
			s.run(pod, &claims[i])
		}
		status.State.Running = &corev1.ContainerStateRunning{}
		status.ContainerID, status.Started = "containerd://"+string(pod.UID), new(true)
		status.Ready = s.net.isReady(pod.Status.PodIP)
		pod.Status.Phase = corev1.PodRunning
	}
	is := corev1.ConditionFalse
	if status.Ready {
		is = corev1.ConditionTrue
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: is}}
	if sameStatus(before, &pod.Status) {
		return
	}
	s.must(s.kube.Status().Update(s.Context(), pod))
}

func sameStatus(a, b *corev1.PodStatus) bool {
	brief := func(p *corev1.PodStatus) string {
		var text strings.Builder
		fmt.Fprint(&text, p.PodIP, p.Phase)
		for _, c := range p.ContainerStatuses {
			fmt.Fprint(&text, c.ContainerID, c.Ready, c.State.Waiting != nil)
		}
		for _, c := range p.Conditions {
			fmt.Fprint(&text, c.Type, c.Status)
		}
		return text.String()
	}
	return brief(a) == brief(b)
}

// run starts the fake node of a pod on the disk of its claim. Every other pod has an IPv6 address.
func (s *stage) run(pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) {
	s.ips++
	pod.Status.PodIP = fmt.Sprintf("10.1.%d.%d", s.ips/250, s.ips%250+1)
	if s.ips%2 == 0 {
		pod.Status.PodIP = fmt.Sprintf("fd00::%x", s.ips)
	}
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	disk := s.disks[claim.UID]
	if disk == nil {
		disk = &fakeDisk{}
		s.disks[claim.UID] = disk
	}
	version := pod.Spec.Containers[0].Image[strings.LastIndex(pod.Spec.Containers[0].Image, ":")+1:]
	s.net.start(pod.Status.PodIP, flagOf(pod, "--advertise-peer"), version, disk)
}

// flagOf returns the value of a flag of the node, with the pod's name filled in, as the kubelet does it.
func flagOf(pod *corev1.Pod, flag string) string {
	args := pod.Spec.Containers[0].Args
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return strings.ReplaceAll(value, "$(POD_NAME)", pod.Name)
		}
		if arg == flag && i+1 < len(args) {
			return strings.ReplaceAll(args[i+1], "$(POD_NAME)", pod.Name)
		}
	}
	return ""
}

// budget is the controller of PodDisruptionBudgets.
func (s *stage) budget(b *policyv1.PodDisruptionBudget, pods []corev1.Pod) {
	healthy, all := int32(0), int32(0)
	for i := range pods {
		if pods[i].Labels[v1alpha1.LabelCluster] != b.Spec.Selector.MatchLabels[v1alpha1.LabelCluster] {
			continue
		}
		all++
		if decide.Ready(&pods[i]) && pods[i].DeletionTimestamp == nil {
			healthy++
		}
	}
	want := b.Spec.MinAvailable.IntVal
	status := policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: b.Generation, CurrentHealthy: healthy, DesiredHealthy: want, ExpectedPods: all,
		DisruptionsAllowed: max(0, healthy-want),
	}
	was := b.Status
	if was.ObservedGeneration == status.ObservedGeneration && was.CurrentHealthy == healthy && was.ExpectedPods == all &&
		was.DisruptionsAllowed == status.DisruptionsAllowed && was.DesiredHealthy == want && len(was.DisruptedPods) == 0 {
		return
	}
	b.Status = status
	s.must(s.kube.Status().Update(s.Context(), b))
}
