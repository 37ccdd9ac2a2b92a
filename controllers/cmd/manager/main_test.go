package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kontiki-dev/kontiki/api/apitest"
)

func TestMain(m *testing.M) { apitest.Main(m) }

func TestFlagsThatCannotBeRightAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		wants []string
	}{
		{"", []string{"--node-image"}},
		{"--node-image x --cluster-domain not_a_domain", []string{"--cluster-domain", "not_a_domain"}},
		{"--node-image x --watch-namespace a --watch-namespace B", []string{"--watch-namespace", "B"}},
		{"--node-image x --metrics-bind-address 8443", []string{"--metrics-bind-address", "8443"}},
		{"--node-image x --health-probe-bind-address here", []string{"--health-probe-bind-address", "here"}},
		{"--node-image x --max-concurrent-reconciles 0", []string{"--max-concurrent-reconciles"}},
		{"--node-image x --log-level loud --log-format xml", []string{"--log-level", "loud", "--log-format", "xml"}},
		{"--node-image x --no-such-flag", []string{"--no-such-flag"}},
		{"--node-image x run", []string{"run"}},
	} {
		var stdout, stderr bytes.Buffer
		if code := execute(t.Context(), strings.Fields(c.args), &stdout, &stderr); code != exitUsage {
			t.Errorf("manager %s: exit code %d", c.args, code)
		}
		for _, want := range append(c.wants, "--help") {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("manager %s: nothing about %s in %q", c.args, want, stderr.String())
			}
		}
	}
}

func TestManagerServesProbesAndGuardedMetricsUntilItIsStopped(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t, apitest.Config(t)))
	health, metrics := address(t), address(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := &lines{}
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{
			"--node-image", "kontiki/raftnode:1.0.0", "--leader-elect=false", "--log-format", "json",
			"--watch-namespace", "default", "--health-probe-bind-address", health, "--metrics-bind-address", metrics,
		}, io.Discard, log)
	}()
	insecure := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the manager signs its own certificate
	}}
	waitFor(t, log, insecure, "http://"+health+"/readyz", http.StatusOK)
	waitFor(t, log, insecure, "http://"+health+"/healthz", http.StatusOK)
	waitFor(t, log, insecure, "https://"+metrics+"/metrics", http.StatusUnauthorized)
	stop()
	if got := <-code; got != exitOK {
		t.Errorf("a manager that is stopped exits with %d", got)
	}
	for line := range strings.Lines(log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("this is no JSON: %s", line)
		}
	}
}

func TestOutsideOfKubernetesItReportsWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := newManager(apitest.Config(t), options{nodeImage: "x", leaderElect: true, metricsAddress: off})
	if err == nil || !strings.Contains(err.Error(), "--leader-elect=false") {
		t.Errorf("a manager that has no namespace for its Lease logs: %v", err)
	}
}

// kubeconfig writes a file that names an API server.
func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "test",
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		Clusters: map[string]*clientcmdapi.Cluster{
			"test": {Server: config.Host, CertificateAuthorityData: config.CAData},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			"test": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData},
		},
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// address returns an address that was free a moment ago.
func address(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func waitFor(t *testing.T, log *lines, client *http.Client, url string, status int) {
	t.Helper()
	var last any
	for patience := time.Now().Add(time.Minute); time.Now().Before(patience); time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			last = err
			continue
		}
		_ = response.Body.Close()
		if last = response.Status; response.StatusCode == status {
			return
		}
	}
	t.Fatalf("%s never returned %d; the last error is %v; the log:\n%s", url, status, last, log)
}

// lines is a log that is written and read by different goroutines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
