package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// root is the root of the repository, where every command runs.
var root = func() string {
	path, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return path
}()

// artefacts is the directory for the output of a run.
var artefacts = filepath.Join(root, "bin", "e2e")

// kube is the Kubernetes that KUBECONFIG names.
type kube struct {
	kubernetes.Interface
	dynamic dynamic.Interface
}

func connect(t *testing.T) *kube {
	t.Helper()
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		t.Fatalf("KUBECONFIG must name a Kubernetes: %v", err)
	}
	config.QPS, config.Burst = -1, -1 // the test polls often, and is the only client
	config.WarningHandler = rest.NoWarnings{}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &kube{Interface: clients, dynamic: d}
}

// raftCluster reads a RaftCluster.
func (k *kube) raftCluster(ctx context.Context, name string) (*v1alpha1.RaftCluster, error) {
	resource := v1alpha1.GroupVersion.WithResource("raftclusters")
	object, err := k.dynamic.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var cluster v1alpha1.RaftCluster
	return &cluster, fromUnstructured(object, &cluster)
}

func fromUnstructured(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

// command runs a program at the root of the repository, with input if there is any, and returns its output. Its error
// contains what the program printed on stderr.
func command(ctx context.Context, input, name string, arguments ...string) (string, error) {
	c := exec.CommandContext(ctx, name, arguments...)
	c.Dir = root
	c.Stdin = strings.NewReader(input)
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(arguments, " "), err,
			complaints.String(), out.String())
	}
	return out.String(), nil
}

// patience is the timeout of a user's command.
const patience = 5 * time.Minute

// kubectl runs kubectl like a user, and fails the test if that fails.
func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	return mustRun(t, "", "kubectl", arguments...)
}

// apply applies a manifest.
func apply(t *testing.T, manifest string) {
	t.Helper()
	mustRun(t, manifest, "kubectl", "apply", "-f", "-")
}

// helm runs the helm that make built.
func helm(t *testing.T, arguments ...string) string {
	t.Helper()
	return mustRun(t, "", filepath.Join(root, "bin", "helm"), arguments...)
}

func mustRun(t *testing.T, input, name string, arguments ...string) string {
	t.Helper()
	t.Logf("$ %s %s", filepath.Base(name), strings.Join(arguments, " "))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := command(ctx, input, name, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// look is the polling interval.
const look = 200 * time.Millisecond

// await waits until a condition holds, and fails the test with the last error after a timeout.
func await(t *testing.T, what string, limit time.Duration, missing func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	last := errors.New("no result yet")
	for {
		err := missing(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("timeout after %s, waiting for %s; last: %v", limit, what, last)
		}
	}
}

// stays checks that a condition holds for a while, and fails the test if it does not. The time is the only way to
// check that nothing happens.
func stays(t *testing.T, what string, span time.Duration, broken func(context.Context) error) {
	t.Helper()
	over := time.After(span)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		if err := broken(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-ticker.C:
		case <-over:
			return
		}
	}
}

// forward forwards a local port to a target like svc/demo, until the test ends. kubectl ends when a connection to the
// target fails, as that to a program that does not listen yet, and is then started again.
func forward(t *testing.T, in, target, port string) string {
	t.Helper()
	start := func(local string) (*exec.Cmd, io.Reader, error) {
		c := exec.CommandContext(t.Context(), "kubectl", "port-forward", "-n", in, target, local+":"+port)
		c.Stderr = t.Output()
		out, err := c.StdoutPipe()
		if err != nil {
			return nil, nil, err
		}
		return c, out, c.Start()
	}
	t.Logf("$ kubectl port-forward -n %s %s :%s", in, target, port)
	c, out, err := start("")
	if err != nil {
		t.Fatal(err)
	}
	var local string
	if _, err := fmt.Fscanf(out, "Forwarding from 127.0.0.1:%s -> ", &local); err != nil {
		t.Fatalf("kubectl port-forward printed no port: %v", err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended }) // the test's context is over by then
	go func() {
		defer close(ended)
		for err == nil {
			_, _ = io.Copy(io.Discard, out)
			_ = c.Wait()
			select {
			case <-t.Context().Done():
				return
			case <-time.After(time.Second):
				c, out, err = start(local)
			}
		}
	}()
	return local
}

// save writes an artefact.
func save(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(artefacts, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// toJSON encodes values of a patch or a message.
func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
