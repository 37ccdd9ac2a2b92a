package browser

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/process"
	"github.com/kontiki-dev/kontiki/hack/ports"
)

// program builds raftnode once for all tests.
var program = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "kontiki-raftnode-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(directory, "raftnode")
	build := exec.Command("go", "build", "-o", binary, "./node/cmd/raftnode")
	build.Dir = "../.."
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building raftnode: %w\n%s", err, output)
	}
	return binary, nil
})

// realCluster is a raftnode local of five nodes.
type realCluster struct {
	port int
}

// startReal starts a cluster on free ports and waits until it has a leader.
func startReal(t *testing.T) *realCluster {
	t.Helper()
	chromium(t)
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := &realCluster{port: freePorts(t, 10)}
	run(t, exec.Command(binary, "local", "--nodes", "5", "--data-dir", t.TempDir(),
		"--listen", "127.0.0.1:"+strconv.Itoa(c.port), "--peer-port", strconv.Itoa(c.port+5)))
	c.awaitLeader(t)
	return c
}

// run runs a raftnode until the test ends.
func run(t *testing.T, command *exec.Cmd) {
	t.Helper()
	p, err := process.Start("raftnode", command, filepath.Join(t.TempDir(), "log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Log(err)
		}
		if t.Failed() {
			t.Logf("the log of raftnode:\n%s", p.LogEnd(64<<10))
		}
	})
}

func freePorts(t *testing.T, count int) int {
	t.Helper()
	base, err := ports.Free(count)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// origin is the origin of the API of a node.
func (c *realCluster) origin(id int) string { return fmt.Sprintf("http://127.0.0.1:%d", c.port+id-1) }

func (c *realCluster) origins() []string {
	var all []string
	for id := 1; id <= 5; id++ {
		all = append(all, c.origin(id))
	}
	return all
}

func (c *realCluster) awaitLeader(t *testing.T) {
	t.Helper()
	awaitAnswer(t, "a leader", c.origin(1)+"/readyz")
}

// awaitListener waits until a node answers at all.
func awaitListener(t *testing.T, origin string) {
	t.Helper()
	awaitAnswer(t, "the node", origin+"/livez")
}

// awaitAnswer waits until a probe succeeds.
func awaitAnswer(t *testing.T, what, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("timeout waiting for %s at %s", what, address)
}
