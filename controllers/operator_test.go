package controllers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// operator runs passes one by one, without a cache: it always observes the current state, so its tests need not wait.
type operator struct {
	*stage
	r        *reconciler
	recorder *recorder
	writes   *atomic.Int64 // its requests to the API server that may have changed something
	lastly   reconcile.Result
}

// recorder records the events.
type recorder struct {
	mu     sync.Mutex
	events []decide.Event
}

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, decide.Event{Type: kind, Reason: reason, Message: fmt.Sprintf(note, args...)})
}

func (r *recorder) reasons() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.events {
		all = append(all, e.Reason)
	}
	return all
}

// newOperator returns an operator for a stage. What it writes, to the API server and to the nodes, is subject to the
// faults; nil: there are none.
func newOperator(s *stage, faults *faults) *operator {
	o := &operator{stage: s, recorder: &recorder{}, writes: &atomic.Int64{}}
	config := apitest.Config(s.T)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &counter{next: next, writes: o.writes} })
	plain, err := ctrlclient.NewWithWatch(config, ctrlclient.Options{Scheme: s.kube.Scheme(), Mapper: s.kube.RESTMapper()})
	if err != nil {
		s.Fatal(err)
	}
	var nodes Nodes = s.net.direct(s.T)
	kube := ctrlclient.Client(plain)
	if faults != nil {
		kube, nodes = interceptor.NewClient(plain, faults.funcs()), &faultyNodes{nodes, faults}
	}
	o.r, err = newReconciler(kube, plain, o.recorder, Options{
		NodeImage: goodImage, ClusterDomain: "cluster.local", Nodes: nodes, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		s.Fatal(err)
	}
	return o
}

type counter struct {
	next   http.RoundTripper
	writes *atomic.Int64
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

// pass runs one pass over a cluster.
func (o *operator) pass(name string) error {
	var err error
	o.lastly, err = o.r.Reconcile(o.Context(), reconcile.Request{
		NamespacedName: types.NamespacedName{Namespace: o.space, Name: name},
	})
	return err
}

// until runs passes, with a step of Kubernetes after each, until a condition holds.
func (o *operator) until(name, what string, holds func(c *v1alpha1.RaftCluster) bool) *v1alpha1.RaftCluster {
	o.Helper()
	var last error
	for range 80 {
		last = o.pass(name)
		o.step()
		o.checkFaults()
		if c := o.cluster(name); holds(c) {
			return c
		}
	}
	c := o.cluster(name)
	o.Fatalf("never: %s; the last error is %v, the status:\n%s\nthe events: %v", what, last, describe(c),
		o.recorder.events)
	return nil
}

// settle runs passes until one writes nothing.
func (o *operator) settle(name string) {
	o.Helper()
	for range 80 {
		before := o.writes.Load()
		o.must(o.pass(name))
		o.step()
		if o.writes.Load() == before {
			return
		}
	}
	o.Fatalf("the operator never stops writing; the events: %v", o.recorder.events)
}

func (s *stage) cluster(name string) *v1alpha1.RaftCluster {
	s.Helper()
	c := &v1alpha1.RaftCluster{}
	if !s.get(name, c) {
		s.Fatalf("there is no RaftCluster %s", name)
	}
	return c
}

func (s *stage) checkFaults() {
	s.Helper()
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	if len(s.net.faults) > 0 {
		s.Fatalf("violations: %v", s.net.faults)
	}
}

func describe(c *v1alpha1.RaftCluster) string {
	text := fmt.Sprintf("generation %d, observed %d, members %+v\n", c.Generation, c.Status.ObservedGeneration,
		c.Status.Members)
	for _, condition := range c.Status.Conditions {
		text += fmt.Sprintf("%s=%s %s: %s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return text
}

// apply creates a RaftCluster.
func (s *stage) apply(name string, change func(*v1alpha1.RaftClusterSpec)) *v1alpha1.RaftCluster {
	s.Helper()
	c := &v1alpha1.RaftCluster{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.space}}
	if change != nil {
		change(&c.Spec)
	}
	s.must(s.kube.Create(s.Context(), c))
	return c
}

// edit changes the spec of a RaftCluster.
func (s *stage) edit(name string, change func(*v1alpha1.RaftClusterSpec)) {
	s.Helper()
	c := s.cluster(name)
	before := c.DeepCopy()
	change(&c.Spec)
	s.must(s.kube.Patch(s.Context(), c, ctrlclient.MergeFrom(before)))
}

func isReady(c *v1alpha1.RaftCluster) bool {
	condition := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	return condition != nil && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == c.Generation
}

// has reports whether a condition has a status and reason.
func has(c *v1alpha1.RaftCluster, kind string, status metav1.ConditionStatus, reason string) bool {
	condition := meta.FindStatusCondition(c.Status.Conditions, kind)
	return condition != nil && condition.Status == status && condition.Reason == reason
}

// runs reports whether all pods of a cluster run an image.
func (s *stage) runs(c *v1alpha1.RaftCluster, image string) bool {
	for ordinal := range c.Spec.Replicas {
		pod := &corev1.Pod{}
		if !s.get(objects.PodName(c.Name, ordinal), pod) || pod.Spec.Containers[0].Image != image || !decide.Ready(pod) {
			return false
		}
	}
	return true
}

// versions lists the resource version of everything that belongs to clusters in the namespace.
func (s *stage) versions() map[string]string {
	s.Helper()
	all := map[string]string{}
	for _, list := range []ctrlclient.ObjectList{
		&v1alpha1.RaftClusterList{}, &corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &corev1.ServiceList{},
	} {
		s.list(list)
		items, err := meta.ExtractList(list)
		if err != nil {
			s.Fatal(err)
		}
		for _, item := range items {
			object := item.(ctrlclient.Object)
			all[fmt.Sprintf("%T %s", object, object.GetName())] = object.GetResourceVersion()
		}
	}
	return all
}

var (
	errCrash = errors.New("the operator's process ended here")
	errLost  = errors.New("the connection broke before the response arrived")
)

// faults are faults of the operator's writes. The first ones succeed, as many as the field at. After them the process
// has ended, and makes no more writes; or, if lost is set, only the response to the last of them was lost.
type faults struct {
	mu     sync.Mutex
	writes int
	at     int
	lost   bool
}

const never = math.MaxInt

func (f *faults) String() string { return fmt.Sprintf("write %d, answer lost: %t", f.at, f.lost) }

func (f *faults) write(do func() error) error {
	f.mu.Lock()
	f.writes++
	n := f.writes
	f.mu.Unlock()
	if n > f.at && !f.lost {
		return errCrash
	}
	err := do()
	if n == f.at && f.lost && err == nil {
		return errLost
	}
	return err
}

// ended reports whether the process has ended.
func (f *faults) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes > f.at && !f.lost
}

func (f *faults) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Apply: func(ctx context.Context, c ctrlclient.WithWatch, o runtime.ApplyConfiguration,
			opts ...ctrlclient.ApplyOption,
		) error {
			return f.write(func() error { return c.Apply(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c ctrlclient.WithWatch, o ctrlclient.Object,
			opts ...ctrlclient.DeleteOption,
		) error {
			return f.write(func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c ctrlclient.WithWatch, o ctrlclient.Object, p ctrlclient.Patch,
			opts ...ctrlclient.PatchOption,
		) error {
			return f.write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourceCreate: func(ctx context.Context, c ctrlclient.Client, name string, o, sub ctrlclient.Object,
			opts ...ctrlclient.SubResourceCreateOption,
		) error {
			return f.write(func() error { return c.SubResource(name).Create(ctx, o, sub, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c ctrlclient.Client, name string, o ctrlclient.Object,
			opts ...ctrlclient.SubResourceUpdateOption,
		) error {
			return f.write(func() error { return c.SubResource(name).Update(ctx, o, opts...) })
		},
	}
}

type faultyNodes struct {
	Nodes
	f *faults
}

func (n *faultyNodes) Bootstrap(
	ctx context.Context, endpoint string, r api.BootstrapRequest,
) (view api.ClusterView, err error) {
	err = n.f.write(func() error { view, err = n.Nodes.Bootstrap(ctx, endpoint, r); return err })
	return view, err
}

func (n *faultyNodes) Transfer(
	ctx context.Context, endpoint string, request api.TransferRequest,
) (response api.TransferResponse, err error) {
	err = n.f.write(func() error { response, err = n.Nodes.Transfer(ctx, endpoint, request); return err })
	return response, err
}

func TestClusterBecomesReadyAndStaysUntouched(t *testing.T) { // O30
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	c := o.until("demo", "a new cluster becomes ready", isReady)
	if len(c.Status.Members) != 3 || c.Status.Leader == nil || c.Status.ClusterID == "" || c.Status.Version != "1.0.0" {
		t.Errorf("the status of a ready cluster is incomplete:\n%s", describe(c))
	}
	for range 3 { // only Kubernetes has these left to report
		if err := o.pass("demo"); err != nil {
			t.Fatal(err)
		}
		s.step()
	}
	before, events, versions := o.writes.Load(), len(o.recorder.reasons()), s.versions()
	for range 10 {
		if err := o.pass("demo"); err != nil {
			t.Fatal(err)
		}
		s.step()
	}
	if n := o.writes.Load() - before; n != 0 {
		t.Errorf("a steady cluster made %d writes in ten passes", n)
	}
	if all := o.recorder.reasons(); len(all) != events {
		t.Errorf("a steady cluster made events: %v", all[events:])
	}
	if after := s.versions(); fmt.Sprint(after) != fmt.Sprint(versions) {
		t.Errorf("objects of a steady cluster changed: %v, then %v", versions, after)
	}
}

func TestRollReplacesTheLeaderLast(t *testing.T) { // O14, O15
	t.Parallel()
	s := newStage(t)
	o := newOperator(s, nil)
	s.apply("demo", nil)
	leader := o.until("demo", "ready", isReady).Status.Leader.PodName
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
	o.until("demo", "every pod runs the new image", func(c *v1alpha1.RaftCluster) bool {
		return isReady(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
	var replaced []string
	for _, e := range o.recorder.events {
		if e.Reason == "PodEvicted" {
			replaced = append(replaced, e.Message[len("evict "):len("evict demo-0")])
		}
	}
	slices.Sort(replaced[:len(replaced)-1])
	if len(replaced) != 3 || replaced[2] != leader {
		t.Errorf("the pods were replaced in the order %v, and %s was the leader", replaced, leader)
	}
	if reasons := o.recorder.reasons(); !slices.Contains(reasons, "LeadershipTransferred") {
		t.Errorf("the leader was not asked to transfer leadership: %v", reasons)
	}
	c := o.until("demo", "the image is latched", func(c *v1alpha1.RaftCluster) bool {
		return c.Status.Image == "kontiki/raftnode:1.1.0"
	})
	if c.Status.Version != "1.1.0" {
		t.Errorf("the status has version %s", c.Status.Version)
	}
	for name, uids := range s.pods {
		if len(uids) != 2 {
			t.Errorf("%s was created %d times; a roll replaces every pod once", name, len(uids))
		}
	}
}
