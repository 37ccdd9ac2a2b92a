// Package apitest provides tests with a real Kubernetes API server, with etcd, that has the CRD RaftCluster. It runs
// no controller, scheduler or kubelet, so namespaces are never emptied and pods never run.
package apitest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// startTimeout is how long each program may take to start on a busy machine.
const startTimeout = 2 * time.Minute

// server is the API server of this test binary. All its tests share it, each in its own namespace.
var server struct {
	once   sync.Once
	env    *envtest.Environment
	config *rest.Config
	err    error
}

// Main runs the tests of a package, stops the API server if one of them started it, and exits. A package whose tests
// call Config needs it: func TestMain(m *testing.M) { apitest.Main(m) }.
func Main(m *testing.M) {
	code := m.Run()
	if server.env != nil {
		if err := server.env.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "apitest: stopping the API server: %v\n", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Config returns the configuration of an administrator's client. The first call starts the API server. Its programs,
// etcd and kube-apiserver, are in the folder KUBEBUILDER_ASSETS, or in bin/k8s, where `make test` builds them.
// Without them the test is skipped; under CI=1 it fails.
func Config(t testing.TB) *rest.Config {
	t.Helper()
	server.once.Do(func() { server.config, server.err = start() })
	var missing *missingError
	if errors.As(server.err, &missing) && os.Getenv("CI") != "1" {
		t.Skip(server.err)
	}
	if server.err != nil {
		t.Fatal(server.err)
	}
	return rest.CopyConfig(server.config)
}

// Client returns an administrator's client for RaftCluster and all types of client-go. Like Config it skips the test
// without an API server. Unknown fields are refused, not dropped.
func Client(t testing.TB) client.Client {
	t.Helper()
	config := Config(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(c, metav1.FieldValidationStrict)
}

// Namespace creates a namespace for one test, named after the test.
func Namespace(t testing.TB, c client.Client) string {
	t.Helper()
	prefix := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, t.Name())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix[:min(len(prefix), 50)] + "-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// Assets returns the folder with the programs of the control plane: KUBEBUILDER_ASSETS, else bin/k8s of the
// repository.
func Assets(root string) string {
	if folder := os.Getenv("KUBEBUILDER_ASSETS"); folder != "" {
		return folder
	}
	return filepath.Join(root, "bin", "k8s")
}

// Root returns the root folder of the repository, found from the working directory of the test upwards.
func Root() (string, error) {
	working, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for folder := working; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("no go.mod in %s or above it", working)
		}
	}
}

// missingError reports a missing program.
type missingError struct{ program string }

func (e *missingError) Error() string {
	return fmt.Sprintf("no program %s; `make test` builds it, or set KUBEBUILDER_ASSETS to a folder with etcd and "+
		"kube-apiserver", e.program)
}

// start starts etcd and the API server and installs the CRD.
func start() (*rest.Config, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	assets := Assets(root)
	for _, name := range []string{"etcd", "kube-apiserver"} {
		program := filepath.Join(assets, name)
		if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
			return nil, &missingError{program}
		}
	}
	server.env = &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	config, err := server.env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server of %s: %w", assets, err)
	}
	return config, nil
}
