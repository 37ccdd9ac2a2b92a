package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// nodesFunc is a Nodes that answers every request with a function.
type nodesFunc struct {
	Nodes
	mu    sync.Mutex
	asked []string
	view  func(ctx context.Context, endpoint string) (api.ClusterView, error)
}

func (a *nodesFunc) View(ctx context.Context, endpoint string) (api.ClusterView, error) {
	a.mu.Lock()
	a.asked = append(a.asked, endpoint)
	a.mu.Unlock()
	return a.view(ctx, endpoint)
}

var demo = types.NamespacedName{Namespace: "space", Name: "demo"}

// readyObjects returns the objects of a cluster of three whose pods run.
func readyObjects() []ctrlclient.Object {
	cluster := &v1alpha1.RaftCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: demo.Namespace, Name: demo.Name, UID: "the cluster", Generation: 1},
		Spec:       v1alpha1.RaftClusterSpec{Replicas: 3},
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: demo.Namespace, Name: name, UID: types.UID("uid of " + name), Labels: objects.Labels(demo.Name),
		}
	}
	set := &appsv1.StatefulSet{ObjectMeta: meta(demo.Name), Spec: appsv1.StatefulSetSpec{Replicas: new(int32(3))}}
	set.OwnerReferences = []metav1.OwnerReference{
		*metav1.NewControllerRef(cluster, v1alpha1.GroupVersion.WithKind("RaftCluster")),
	}
	all := []ctrlclient.Object{cluster, set}
	for ordinal := range int32(3) {
		all = append(all,
			&corev1.PersistentVolumeClaim{ObjectMeta: meta(objects.ClaimName(demo.Name, ordinal))},
			&corev1.Pod{
				ObjectMeta: meta(objects.PodName(demo.Name, ordinal)),
				Status: corev1.PodStatus{
					PodIP: fmt.Sprintf("10.0.0.%d", ordinal+1),
					ContainerStatuses: []corev1.ContainerStatus{{
						Name: objects.ContainerNode, ContainerID: "first",
						State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
					}},
				},
			})
	}
	return all
}

func inMemory(t *testing.T, all []ctrlclient.Object, funcs interceptor.Funcs) ctrlclient.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(all...).WithInterceptorFuncs(funcs).
		WithStatusSubresource(&v1alpha1.RaftCluster{}).Build()
}

func emptyView(context.Context, string) (api.ClusterView, error) {
	return api.ClusterView{State: api.StateEmpty}, nil
}

func TestFailedReadFailsThePassAndChangesNothing(t *testing.T) { // O4
	t.Parallel()
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("paused=%t", paused), func(t *testing.T) {
			t.Parallel()
			failEachRead(t, paused)
		})
	}
}

func failEachRead(t *testing.T, paused bool) {
	for k := 1; ; k++ {
		reads, writes := 0, 0
		read := func() error {
			if reads++; reads == k {
				return errors.New("the API server is overloaded")
			}
			return nil
		}
		all := readyObjects()
		all[0].(*v1alpha1.RaftCluster).Spec.Paused = paused
		all = all[:len(all)-2] // the claim and the pod of demo-2 are missing, which takes another read to determine
		kube := inMemory(t, all, interceptor.Funcs{
			Get: func(ctx context.Context, c ctrlclient.WithWatch, key ctrlclient.ObjectKey, o ctrlclient.Object,
				opts ...ctrlclient.GetOption,
			) error {
				if err := read(); err != nil {
					return err
				}
				return c.Get(ctx, key, o, opts...)
			},
			List: func(ctx context.Context, c ctrlclient.WithWatch, l ctrlclient.ObjectList,
				opts ...ctrlclient.ListOption,
			) error {
				if err := read(); err != nil {
					return err
				}
				return c.List(ctx, l, opts...)
			},
			SubResourceUpdate: func(ctx context.Context, c ctrlclient.Client, name string, o ctrlclient.Object,
				opts ...ctrlclient.SubResourceUpdateOption,
			) error {
				writes++
				return c.SubResource(name).Update(ctx, o, opts...)
			},
		})
		o := observer{cached: kube, live: kube, nodes: &nodesFunc{view: emptyView}}
		_, err := o.observe(t.Context(), demo)
		if reads < k {
			if reads < 7 {
				t.Fatalf("only %d reads: some do not go through the faults", reads)
			}
			return
		}
		if err == nil {
			t.Errorf("read %d failed, and the pass went on", k)
		}
		reads = 0
		r, err := newReconciler(kube, kube, &recorder{}, Options{Nodes: o.nodes, Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: demo}); err == nil || writes > 0 {
			t.Errorf("read %d failed: the pass returned the error %v and made %d writes", k, err, writes)
		}
	}
}

func TestCanceledPassTakesNoNodeForSilent(t *testing.T) { // O4
	t.Parallel()
	kube := inMemory(t, readyObjects(), interceptor.Funcs{
		SubResourceUpdate: func(context.Context, ctrlclient.Client, string, ctrlclient.Object,
			...ctrlclient.SubResourceUpdateOption,
		) error {
			t.Error("a status was written")
			return nil
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	nodes := &nodesFunc{view: func(ctx context.Context, _ string) (api.ClusterView, error) {
		stop() // the operator is stopped
		<-ctx.Done()
		return api.ClusterView{}, ctx.Err()
	}}
	r, err := newReconciler(kube, kube, &recorder{}, Options{Nodes: nodes, Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.observer.observe(ctx, demo); err == nil {
		t.Error("a World was built although the answers were not complete")
	}
	if _, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: demo}); err != nil {
		t.Errorf("the end of the process was logged as a failure: %v", err)
	}
}

func TestSilentNodesHoldUpAPassByTwoSecondsAltogether(t *testing.T) { // O31
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kube := inMemory(t, readyObjects(), interceptor.Funcs{})
		hangs := &nodesFunc{view: func(ctx context.Context, _ string) (api.ClusterView, error) {
			<-ctx.Done()
			return api.ClusterView{}, ctx.Err()
		}}
		o := observer{cached: kube, live: kube, nodes: hangs}
		began := time.Now()
		w, err := o.observe(t.Context(), demo)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != viewTimeout {
			t.Errorf("three nodes that do not answer took %s of fake time", took)
		}
		for _, seat := range w.Seats {
			if seat.View != nil || seat.Silence == "" {
				t.Errorf("seat %d: a node that did not answer has the view %v, and the reason %q", seat.Ordinal, seat.View,
					seat.Silence)
			}
		}
	})
}

func TestAnswerCountsOnlyForThePodThatWasAsked(t *testing.T) { // O20
	t.Parallel()
	replaced := func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].ContainerID = "second" }
	moved := func(pod *corev1.Pod) { pod.Status.PodIP = "10.0.0.99" }
	for name, change := range map[string]func(*corev1.Pod){
		"the container was restarted": replaced, "the address is another": moved,
		"the pod is another": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kube := inMemory(t, readyObjects(), interceptor.Funcs{})
			nodes := &nodesFunc{view: func(ctx context.Context, endpoint string) (api.ClusterView, error) {
				pod := &corev1.Pod{}
				if strings.Contains(endpoint, "10.0.0.2") {
					key := types.NamespacedName{Namespace: demo.Namespace, Name: "demo-1"}
					if err := kube.Get(ctx, key, pod); err != nil {
						return api.ClusterView{}, err
					}
					if err := disturb(ctx, kube, pod, change); err != nil {
						return api.ClusterView{}, err
					}
				}
				return emptyView(ctx, endpoint)
			}}
			o := observer{cached: kube, live: kube, nodes: nodes}
			w, err := o.observe(t.Context(), demo)
			if err != nil {
				t.Fatal(err)
			}
			if w.Seats[0].View == nil || w.Seats[1].View != nil || w.Seats[1].Silence == "" || w.Seats[2].View == nil {
				t.Errorf("only the answer of demo-1 should be dropped; the reasons are %q, %q and %q",
					w.Seats[0].Silence, w.Seats[1].Silence, w.Seats[2].Silence)
			}
		})
	}
}

// disturb changes a pod, or, without a change, replaces it by another one.
func disturb(ctx context.Context, kube ctrlclient.Client, pod *corev1.Pod, change func(*corev1.Pod)) error {
	if change != nil {
		change(pod)
		return kube.Status().Update(ctx, pod)
	}
	another := pod.DeepCopy()
	another.UID, another.ResourceVersion = "another", ""
	return errors.Join(kube.Delete(ctx, pod), kube.Create(ctx, another))
}

func TestOnlyContainersThatRunAreAsked(t *testing.T) {
	t.Parallel()
	all := readyObjects()
	for _, object := range all {
		pod, ok := object.(*corev1.Pod)
		switch {
		case ok && pod.Name == "demo-0":
			pod.Status.PodIP = ""
		case ok && pod.Name == "demo-1":
			pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
		case ok:
			pod.Status.PodIP = "fd00::7"
		}
	}
	kube := inMemory(t, all, interceptor.Funcs{})
	nodes := &nodesFunc{view: emptyView}
	w, err := (&observer{cached: kube, live: kube, nodes: nodes}).observe(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.asked) != 1 || nodes.asked[0] != "http://[fd00::7]:8080" {
		t.Errorf("the nodes asked were %v", nodes.asked)
	}
	if w.Seats[0].Silence == "" || w.Seats[1].Silence == "" || w.Seats[2].View == nil {
		t.Errorf("the reasons are %q, %q and %q", w.Seats[0].Silence, w.Seats[1].Silence, w.Seats[2].Silence)
	}
}

func TestEveryOrdinalThatHasOrHadSomethingHasASeat(t *testing.T) { // O18
	t.Parallel()
	extra := readyObjects()
	members := extra[0].(*v1alpha1.RaftCluster)
	members.Status.Members = []v1alpha1.MemberStatus{{MemberID: 5, PodName: "demo-4"}}
	claim := extra[2].DeepCopyObject().(*corev1.PersistentVolumeClaim)
	claim.Name, claim.Labels = "data-demo-6", objects.Selector(demo.Name)
	garbage := claim.DeepCopy()
	garbage.Name = "data-demo-2000000000"
	unlabelled := extra[len(extra)-1].(*corev1.Pod)
	unlabelled.Labels = nil
	for _, c := range []struct {
		what    string
		objects []ctrlclient.Object
		seats   int
	}{
		{"the spec", readyObjects(), 3},
		{"a member with a higher ordinal", extra, 5},
		{"a claim with a higher one yet, and one without an owner", append(extra, claim, garbage), 7},
	} {
		kube := inMemory(t, c.objects, interceptor.Funcs{})
		w, err := (&observer{cached: kube, live: kube, nodes: &nodesFunc{view: emptyView}}).observe(t.Context(), demo)
		if err != nil {
			t.Fatal(err)
		}
		if len(w.Seats) != c.seats {
			t.Errorf("%s: %d seats, not %d", c.what, len(w.Seats), c.seats)
		}
		if w.Seats[2].Pod == nil {
			t.Errorf("%s: a pod without the label has the name of a seat, and is missed", c.what)
		}
	}
}
