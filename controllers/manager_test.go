package controllers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// managerRun is the operator as in production: a manager with its caches and its queue, and only the permissions of
// config/rbac.
type managerRun struct {
	*stage
	registry *prometheus.Registry
	writes   atomic.Int64
	stop     func()

	mu        sync.Mutex
	forbidden []string
}

// startManager starts a manager that works in the namespace of the stage.
func startManager(s *stage) *managerRun {
	s.Helper()
	e := &managerRun{stage: s, registry: prometheus.NewRegistry()}
	config := apitest.Config(s.T)
	config.Impersonate = rest.ImpersonationConfig{UserName: allow(s)}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &auditor{next: next, managerRun: e} })
	cache, err := CacheOptions([]string{s.space})
	if err != nil {
		s.Fatal(err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: s.kube.Scheme(), Cache: cache, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		s.Fatal(err)
	}
	if err := Setup(mgr, Options{
		NodeImage: goodImage, ClusterDomain: "cluster.local", MaxConcurrentReconciles: 2, Nodes: s.net.direct(s.T),
		Registry: e.registry,
	}); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("the manager ended with %v", err)
		}
		e.checkForbidden()
	})
	s.Cleanup(e.stop)
	return e
}

// allow creates a user that has the operator's role in this namespace only, as the chart does with watchNamespaces,
// and returns its name.
func allow(s *stage) string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join("..", "config", "rbac", "role.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		s.Fatal(err)
	}
	user := "operator-of-" + s.space
	s.must(s.kube.Create(s.Context(), role))
	s.must(s.kube.Create(s.Context(), &rbacv1.RoleBinding{
		ObjectMeta: s.named("operator"),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
	return user
}

// auditor counts writes, and records what was forbidden.
type auditor struct {
	next       http.RoundTripper
	managerRun *managerRun
}

func (a *auditor) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		a.managerRun.writes.Add(1)
	}
	response, err := a.next.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusForbidden {
		a.managerRun.mu.Lock()
		defer a.managerRun.mu.Unlock()
		a.managerRun.forbidden = append(a.managerRun.forbidden, r.Method+" "+r.URL.Path)
	}
	return response, err
}

func (e *managerRun) checkForbidden() {
	e.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.forbidden) > 0 {
		e.Errorf("the operator's role lacks permissions: %v", e.forbidden)
	}
}

// wait runs Kubernetes until a condition holds.
func (s *stage) wait(what string, holds func() bool) {
	s.Helper()
	patience := time.Now().Add(2 * time.Minute)
	for time.Now().Before(patience) {
		s.step()
		s.checkFaults()
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	var all v1alpha1.RaftClusterList
	s.list(&all)
	for i := range all.Items {
		s.Log(all.Items[i].Name, describe(&all.Items[i]))
	}
	s.Fatalf("timeout waiting until %s", what)
}

func (s *stage) waitReady(names ...string) {
	s.Helper()
	s.wait(fmt.Sprint(names, " are ready"), func() bool {
		for _, name := range names {
			if !isReady(s.cluster(name)) {
				return false
			}
		}
		return true
	})
}

func TestManagerMakesAndRollsTwoClustersWithItsRoleOnly(t *testing.T) { // O32
	t.Parallel()
	s := newStage(t)
	e := startManager(s)
	s.apply("demo", nil)
	s.apply("other", func(spec *v1alpha1.RaftClusterSpec) { spec.Replicas = 1 })
	s.waitReady("demo", "other")
	if a, b := s.cluster("demo").Status.ClusterID, s.cluster("other").Status.ClusterID; a == b || a == "" || b == "" {
		t.Fatalf("two clusters have the ids %q and %q", a, b)
	}
	for _, name := range []string{"demo", "other"} {
		s.edit(name, func(spec *v1alpha1.RaftClusterSpec) {
			spec.Image, spec.Dashboard.Mode = "kontiki/raftnode:1.1.0", v1alpha1.DashboardDisabled
		})
	}
	s.wait("both clusters run the new image", func() bool {
		demo, other := s.cluster("demo"), s.cluster("other")
		return isReady(demo) && isReady(other) &&
			s.runs(demo, "kontiki/raftnode:1.1.0") && s.runs(other, "kontiki/raftnode:1.1.0")
	})
	for name, uids := range s.pods {
		if len(uids) != 2 {
			t.Errorf("%s was created %d times; a roll replaces every pod once", name, len(uids))
		}
	}
	if s.get("demo-dashboard", &corev1.Service{}) {
		t.Error("the dashboard's Service is still there, though it is disabled")
	}
	s.wait("each eviction, and each condition, has an event of its own", func() bool {
		var events eventsv1.EventList
		s.list(&events)
		evicted, begun := map[string]bool{}, map[string]bool{}
		for i := range events.Items {
			switch e := &events.Items[i]; {
			case e.Reason == "PodEvicted":
				evicted[e.Related.Name] = true
			case e.Reason == v1alpha1.ReasonBootstrapping && e.Regarding.Name == "demo":
				condition, _, _ := strings.Cut(e.Note, ":")
				begun[condition] = true
			}
		}
		return len(evicted) == 4 && begun[v1alpha1.ConditionBootstrapped] && begun[v1alpha1.ConditionProgressing]
	})
	e.checkForbidden()
}

func TestManagerWritesNothingForASteadyCluster(t *testing.T) { // O30
	t.Parallel()
	s := newStage(t)
	e := startManager(s)
	s.apply("demo", nil)
	s.waitReady("demo")
	s.passes(3)
	before, versions := e.writes.Load(), s.versions()
	s.passes(5)
	if n := e.writes.Load() - before; n != 0 {
		t.Errorf("a steady cluster made %d writes", n)
	}
	after := s.versions()
	for name, version := range versions {
		if after[name] != version && name != "*v1.Pod demo-0" { // which the test itself changes
			t.Errorf("%s of a steady cluster changed", name)
		}
	}
}

// passes wakes the operator several times by an irrelevant change, and waits until it has observed it.
func (s *stage) passes(n int) {
	s.Helper()
	for i := range n {
		s.net.mu.Lock()
		asked := s.net.asked
		s.net.mu.Unlock()
		s.must(s.kube.Patch(s.Context(), &corev1.Pod{ObjectMeta: s.named("demo-0")}, ctrlclient.RawPatch(
			types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"woken":"%d, %d"}}}`, n, i))))
		s.wait("the operator observes again", func() bool {
			s.net.mu.Lock()
			defer s.net.mu.Unlock()
			return s.net.asked >= asked+3
		})
	}
}

func TestManagerThatIsReplacedInMidRollGoesOn(t *testing.T) { // O32
	t.Parallel()
	s := newStage(t)
	first := startManager(s)
	s.apply("demo", nil)
	s.waitReady("demo")
	s.edit("demo", func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki/raftnode:1.1.0" })
	s.wait("the first pod is replaced", func() bool {
		return s.countPods(func(p *corev1.Pod) bool { return p.Spec.Containers[0].Image != goodImage }) > 0
	})
	first.stop()
	startManager(s)
	s.wait("the next operator rolls the rest", func() bool {
		c := s.cluster("demo")
		return isReady(c) && s.runs(c, "kontiki/raftnode:1.1.0")
	})
	for name, uids := range s.pods {
		if len(uids) != 2 {
			t.Errorf("%s was created %d times; a roll replaces every pod once", name, len(uids))
		}
	}
}

func TestMetricsOfADeletedClusterGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	e := startManager(s)
	c := s.apply("demo", nil)
	s.waitReady("demo")
	s.wait("the metrics show three healthy members", func() bool {
		n, err := testutil.GatherAndCount(e.registry, "kontiki_cluster_members", "kontiki_cluster_available")
		return err == nil && n == len(healths)+1
	})
	s.must(s.kube.Delete(t.Context(), c))
	s.wait("the metrics are removed with the cluster", func() bool {
		n, err := testutil.GatherAndCount(e.registry)
		return err == nil && n == 0
	})
	s.wait("so do its objects, and the volumes stay", func() bool {
		var claims corev1.PersistentVolumeClaimList
		s.list(&claims)
		return !s.get("demo", &appsv1.StatefulSet{}) && !s.get("demo", &policyv1.PodDisruptionBudget{}) &&
			!s.get("demo", &corev1.Service{}) && len(claims.Items) == 3
	})
}
