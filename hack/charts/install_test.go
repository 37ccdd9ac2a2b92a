package charts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/kube"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kontiki-dev/kontiki/api/apitest"
	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// startTimeout is the timeout for a program of the control plane to start on a machine that is busy with other tests.
const startTimeout = 2 * time.Minute

// server is an API server without a RaftCluster, and without controllers: what Helm creates there stays as it is.
type server struct {
	kubeconfig string
	client     client.Client
}

// startServer starts one. If its programs are not built the test is skipped, unless CI=1.
func startServer(t *testing.T) *server {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	assets := apitest.Assets(root)
	for _, program := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(assets, program)); errors.Is(err, os.ErrNotExist) && os.Getenv("CI") != "1" {
			t.Skipf("no %s in %s; make test builds it", program, assets)
		}
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: startTimeout,
	}
	config, err := env.Start()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stopping the API server: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	known := runtime.NewScheme()
	if err := errors.Join(apiextensions.AddToScheme(known), v1alpha1.AddToScheme(known)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), client: c}
	if err := os.WriteFile(s.kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// helm returns a Helm without a cache of an earlier state of the server, which acts in a namespace.
func (s *server) helm(t *testing.T, namespace string) *action.Configuration {
	t.Helper()
	settings := cli.New()
	settings.KubeConfig = s.kubeconfig
	settings.SetNamespace(namespace)
	c := new(action.Configuration)
	if err := c.Init(settings.RESTClientGetter(), namespace, "secret", t.Logf); err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *server) install(t *testing.T, name, release, namespace string, given values, own bool) error {
	t.Helper()
	i := action.NewInstall(s.helm(t, namespace))
	i.ReleaseName, i.Namespace, i.CreateNamespace, i.TakeOwnership = release, namespace, true, own
	_, err := i.RunWithContext(t.Context(), load(t, name), given)
	return err
}

func (s *server) upgrade(t *testing.T, name, release, namespace string, given values) error {
	t.Helper()
	u := action.NewUpgrade(s.helm(t, namespace))
	u.Namespace = namespace
	_, err := u.RunWithContext(t.Context(), release, load(t, name), given)
	return err
}

func (s *server) uninstall(t *testing.T, release, namespace string) error {
	t.Helper()
	_, err := action.NewUninstall(s.helm(t, namespace)).Run(release)
	return err
}

// crd waits until the server serves RaftClusters.
func (s *server) crd(t *testing.T) *apiextensions.CustomResourceDefinition {
	t.Helper()
	crd := &apiextensions.CustomResourceDefinition{}
	established := func(ctx context.Context) (bool, error) {
		err := s.client.Get(ctx, client.ObjectKey{Name: "raftclusters.raft.kontiki.dev"}, crd)
		return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensions.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensions.Established && c.Status == apiextensions.ConditionTrue
		}), err
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, startTimeout, true, established); err != nil {
		t.Fatalf("the CRD is not established: %v", err)
	}
	return crd
}

func (s *server) cluster(t *testing.T, namespace, name string) (*v1alpha1.RaftCluster, error) {
	t.Helper()
	c := &v1alpha1.RaftCluster{}
	return c, s.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, c)
}

// The charts, installed in the order of the README, upgraded, removed and installed again.
func TestReleaseIsInstalledAndRemoved(t *testing.T) {
	t.Parallel()
	kube.ManagedFieldsManager = "helm" // otherwise it is the name of the test binary
	s := startServer(t)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	must("installing the operator", s.install(t, operatorChart, "kontiki", "kontiki-system", nil, false))
	s.crd(t)

	must("installing a cluster", s.install(t, clusterChart, "demo", "team", nil, false))
	demo, err := s.cluster(t, "team", "demo")
	must("reading the cluster", err)
	if demo.Spec.Replicas != 3 || demo.Spec.Storage.Size.String() != "1Gi" {
		t.Errorf("the default cluster has %d nodes with %s each", demo.Spec.Replicas, &demo.Spec.Storage.Size)
	}

	typo := values{"cluster": values{"replcas": 5}}
	err = s.install(t, clusterChart, "typo", "team", typo, false)
	if err == nil || !strings.Contains(err.Error(), "replcas") {
		t.Errorf("a field that a RaftCluster does not have: %v", err)
	}
	even := values{"cluster": values{"replicas": 4}}
	err = s.install(t, clusterChart, "even", "team", even, false)
	if err == nil || !strings.Contains(err.Error(), "1, 3, 5 or 7") {
		t.Errorf("four nodes: %v", err)
	}

	must("changing the cluster", s.upgrade(t, clusterChart, "demo", "team", values{"cluster": values{"paused": true}}))
	demo, err = s.cluster(t, "team", "demo")
	must("reading the cluster", err)
	if !demo.Spec.Paused {
		t.Error("the change of the cluster had no effect")
	}

	before := s.crd(t)
	must("upgrading the operator", s.upgrade(t, operatorChart, "kontiki", "kontiki-system", values{"logLevel": "debug"}))
	if after := s.crd(t); after.Generation != before.Generation || after.UID != before.UID {
		t.Errorf("the upgrade changed the CRD: generation %d, then %d", before.Generation, after.Generation)
	}

	must("uninstalling the operator", s.uninstall(t, "kontiki", "kontiki-system"))
	if kept := s.crd(t); kept.UID != before.UID || !kept.DeletionTimestamp.IsZero() {
		t.Error("the CRD was deleted with the operator, and with it every RaftCluster")
	}
	if kept, err := s.cluster(t, "team", "demo"); err != nil || kept.UID != demo.UID {
		t.Errorf("the RaftCluster was deleted with the operator: %v", err)
	}

	must("installing it again", s.install(t, operatorChart, "kontiki", "kontiki-system", nil, false))
	must("uninstalling it again", s.uninstall(t, "kontiki", "kontiki-system"))
	if err := s.install(t, operatorChart, "other", "kontiki-system", nil, false); err == nil {
		t.Error("another release took over the CRD without being configured to")
	}
	must("installing it as another release", s.install(t, operatorChart, "another", "kontiki-system", nil, true))

	must("uninstalling the cluster", s.uninstall(t, "demo", "team"))
	if left, err := s.cluster(t, "team", "demo"); err == nil && left.DeletionTimestamp.IsZero() {
		t.Error("the RaftCluster was not deleted with its release")
	}
}
