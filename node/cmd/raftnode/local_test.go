package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/ports"
	"github.com/kontiki-dev/kontiki/node/api"
)

// playground is a local cluster, run by the program itself.
type playground struct {
	t    *testing.T
	base int // port of node 1's API
}

func freePorts(t *testing.T, count int) int {
	t.Helper()
	base, err := ports.Free(count)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func newPlayground(t *testing.T, nodes int) *playground {
	t.Helper()
	base := freePorts(t, 2*nodes)
	ctx, cancel := context.WithCancel(context.Background())
	output := &syncBuffer{}
	ended := make(chan int, 1)
	dir := t.TempDir()
	go func() {
		ended <- run(ctx, []string{
			"local", "--nodes", strconv.Itoa(nodes), "--data-dir", dir, "--listen", fmt.Sprintf("127.0.0.1:%d", base),
			"--peer-port", strconv.Itoa(base + nodes), "--election-timeout", "400ms",
		}, output, output)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("local ended with %d", code)
		}
		if t.Failed() {
			t.Log(output.String())
		}
	})
	return &playground{t, base}
}

// do sends a request to node id and returns the status code and the body; 0 if there is no response.
func (p *playground) do(id int, method, path, body string) (int, []byte) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	url := fmt.Sprintf("http://127.0.0.1:%d%s", p.base+id-1, path)
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, text
}

func (p *playground) until(what string, condition func() bool) {
	p.t.Helper()
	until(p.t, what, condition)
}

// leader waits until node id reports a leader, other than not.
func (p *playground) leader(id, not int) int {
	p.t.Helper()
	leader := 0
	p.until("a leader", func() bool {
		var c api.ClusterView
		code, body := p.do(id, http.MethodGet, "/api/v1/cluster", "")
		if code != http.StatusOK || json.Unmarshal(body, &c) != nil {
			return false
		}
		leader = int(c.LeaderID)
		return leader != 0 && leader != not
	})
	return leader
}

func (p *playground) mustDo(id int, method, path, body string) []byte {
	p.t.Helper()
	code, text := p.do(id, method, path, body)
	if code != http.StatusOK {
		p.t.Fatalf("%s %s at node %d: %d %s", method, path, id, code, text)
	}
	return text
}

func TestStoppedLeaderIsReplacedAndComesBack(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, 3)
	first := p.leader(1, 0)
	other := first%3 + 1
	p.leader(other, 0)
	p.mustDo(other, http.MethodPut, "/api/v1/kv/a", "1")
	p.mustDo(other, http.MethodPost, "/api/v1/chaos/stop", fmt.Sprintf(`{"node":%d}`, first))
	if code, _ := p.do(first, http.MethodGet, "/livez", ""); code != 0 {
		t.Errorf("a stopped node answers %d", code)
	}
	p.leader(other, first)
	p.mustDo(other, http.MethodPut, "/api/v1/kv/b", "2")
	p.mustDo(other, http.MethodPost, "/api/v1/chaos/start", fmt.Sprintf(`{"node":%d}`, first))
	p.until("it catches up", func() bool {
		code, body := p.do(first, http.MethodGet, "/api/v1/kv/b?consistency=stale", "")
		return code == http.StatusOK && string(body) == "2"
	})
}

func TestNodeStopsItself(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, 3)
	p.leader(1, 0)
	body := p.mustDo(1, http.MethodPost, "/api/v1/chaos/stop", `{"node":1}`)
	if !bytes.Contains(body, []byte(`{"id":1,"state":"stopped"}`)) {
		t.Errorf("the answer is %s", body)
	}
	p.until("it is gone", func() bool {
		code, _ := p.do(1, http.MethodGet, "/livez", "")
		return code == 0
	})
	p.mustDo(2, http.MethodPost, "/api/v1/chaos/start", `{"node":1}`)
	p.leader(1, 0)
}

func TestPausedLeaderLosesLeadershipAndResumesAsFollower(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, 3)
	first := p.leader(1, 0)
	other := first%3 + 1
	p.leader(other, 0)
	p.mustDo(other, http.MethodPost, "/api/v1/chaos/pause", fmt.Sprintf(`{"node":%d}`, first))
	second := p.leader(other, first)
	p.mustDo(other, http.MethodPost, "/api/v1/chaos/resume", fmt.Sprintf(`{"node":%d}`, first))
	if got := p.leader(first, first); got != second {
		t.Logf("node %d leads now, after %d", got, second)
	}
}

func TestPartitionCutsTheMinorityOffAndHeals(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, 5)
	leader := p.leader(1, 0)
	friend := leader%5 + 1
	var rest []string
	witness := 0
	for id := 1; id <= 5; id++ {
		if id != leader && id != friend {
			rest = append(rest, strconv.Itoa(id))
			witness = id
		}
	}
	p.leader(witness, 0)
	groups := fmt.Sprintf(`{"groups":[[%d,%d],[%s]]}`, leader, friend, strings.Join(rest, ","))
	p.mustDo(witness, http.MethodPost, "/api/v1/chaos/partition", groups)
	p.leader(witness, leader)
	p.mustDo(witness, http.MethodPut, "/api/v1/kv/side", "majority")
	p.until("the minority refuses", func() bool {
		code, _ := p.do(friend, http.MethodPut, "/api/v1/kv/side", "minority")
		return code == http.StatusServiceUnavailable
	})
	p.mustDo(witness, http.MethodPost, "/api/v1/chaos/heal", "")
	p.until("the minority agrees", func() bool {
		code, body := p.do(leader, http.MethodGet, "/api/v1/kv/side", "")
		return code == http.StatusOK && string(body) == "majority"
	})
}

func TestChaosRefusesNonsense(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, 1)
	p.leader(1, 0)
	for _, order := range []struct{ path, body string }{
		{"stop", `{"node":9}`},
		{"start", `{"node":0}`},
		{"partition", `{"groups":[[1],[1]]}`},
		{"pause", `no json`},
		{"pause", `{"node":9,"node":1}`},
		{"pause", `{"node":1}{"node":9}`},
		{"pause", `{"Node":1}`},
		{"pause?node=2", `{"node":1}`},
	} {
		if code, text := p.do(1, http.MethodPost, "/api/v1/chaos/"+order.path, order.body); code != http.StatusBadRequest {
			t.Errorf("%s %s: %d %s, want 400", order.path, order.body, code, text)
		}
	}
}

func TestFlagsThatCannotWorkAreNamed(t *testing.T) {
	t.Parallel()
	const alone = "serve --data-dir d --id 1 --initial-cluster 1=http://127.0.0.1:7080"
	for _, test := range []struct{ args, names string }{
		{"serve", "--data-dir"},
		{"serve --data-dir d", "--initial-cluster"},
		{"serve --data-dir d --join --id 1", "--id"},
		{"serve --data-dir d --join", "--advertise-peer"},
		{"serve --data-dir d --join --advertise-peer http://a:1 --shutdown-delay -1s", "--shutdown-delay"},
		{"serve --data-dir d --id 4 --initial-cluster 1=http://a:1", "--id 4"},
		{"serve --data-dir d --initial-cluster 1=http://a:1", "--id is missing"},
		{"serve --data-dir d --id 1 --initial-cluster 1=a:1", "--initial-cluster"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1,1=http://b:1", "twice"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1 --advertise-peer http://b:1", "--advertise-peer"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1 --listen-api 8080", "--listen-api"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1 --election-timeout 50ms", "--election-timeout"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1 --log-format xml", "--log-format"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1,2=http://A.:1", "members 1 and 2 have the same address"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://localhost:1,2=http://127.0.0.1:1/", "same address"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://[::1]:1,2=http://[0:0:0:0:0:0:0:1]:1", "same address"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:99999", `member 1: "http://a:99999" has a port`},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:0", "has a port that is not from 1 to 65535"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:", "has a port that is not from 1 to 65535"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a", "has no port"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://:7080", "has no host"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://0.0.0.0:7080", "not be reached"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://[::]:7080", "not be reached"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://10.0.0.256:7080", "not an IP address"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a..b:7080", "neither a DNS name nor an IP address"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a*:7080", "neither a DNS name nor an IP address"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1?x=1", "behind the port"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1#", "behind the port"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1/raft", "behind the port"},
		{"serve --data-dir d --id 1 --initial-cluster 1=https://a:1", "does not begin with http://"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://me:secret@a:1", `"http://me:xxxxx@a:1" has credentials`},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1,", "an entry is empty: a comma too many"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1,a", "should be ID=URL"},
		{"serve --data-dir d --id 1 --initial-cluster 1=http://a:1,2=http://a:01", "a port with a leading zero"},
		{alone + " --listen-api localhost:7080", "--listen-api localhost:7080 and --listen-peer 127.0.0.1:7080 are"},
		{alone + " --listen-api :7080", "--listen-api :7080 and --listen-peer 127.0.0.1:7080 are the same port"},
		{alone + " --listen-api 0.0.0.0:7080", "are the same port"},
		{alone + " --listen-api [::]:7080", "are the same port"},
		{alone + " --listen-peer [::1]:8 --listen-api localhost:8", "are the same port"},
		{alone + " --listen-api 127.0.0.1:07080", "leading zeros"},
		{alone + " --listen-debug localhost:8080", "--listen-api 127.0.0.1:8080 and --listen-debug localhost:8080"},
		{alone + " --listen-debug :7080", "--listen-peer 127.0.0.1:7080 and --listen-debug :7080"},
		{alone + " --request-memory 9999999TiB", `--request-memory "9999999TiB" is too large`},
		{alone + " --request-memory 99999999999TiB", `is too large`},
		{alone + " --request-memory -1MiB", `at least 32MiB`},
		{"serve --id -1", "--id -1: give a whole number from 1, like --id 1"},
		{"serve --id 1.5", "--id 1.5: give a whole number from 1, like --id 1"},
		{"serve --inflight x", "--inflight x: give a whole number, like --inflight 1"},
		{"serve --max-api-connections 1e3", "give a whole number, like --max-api-connections 1000"},
		{"serve --election-timeout 5", "--election-timeout 5: give a duration, like --election-timeout 150ms"},
		{"serve --shutdown-delay x", "--shutdown-delay x: give a duration, like --shutdown-delay 10s"},
		{"serve --join=maybe", "--join=maybe: give true or false, or only --join"},
		{"serve --id", "--id"},
		{"local --nodes x", "--nodes x: give a whole number, like --nodes 5"},
		{"local --nodes 2 --listen 127.0.0.1:22090 --peer-port 22091", "127.0.0.1:22090 and --peer-port 22091 overlap"},
		{"local --nodes 2 --listen :22092 --peer-port 22091", "--listen :22092 and --peer-port 22091 overlap"},
		{"local --nodes 3 --listen 127.0.0.1:65535", "--listen 127.0.0.1:65535: give a port that leaves room"},
		{"serve --data-dir d --join --advertise-peer http://0.0.0.0:7080", "--advertise-peer"},
		{"serve --data-dir d --join --advertise-peer http://a:1 --advertise-api http://a:70000", "--advertise-api"},
		{"serve --data-dir d --join --advertise-peer http://a:1 --listen-api :8 --listen-peer :8", "--listen-peer"},
		{"serve --colour", "--colour"},
		{"local --nodes 0", "--nodes"},
		{"local --nodes 3 --listen nowhere", "--listen"},
		{"local extra", "extra"},
		{"fly", "fly"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var output bytes.Buffer
			code := run(t.Context(), strings.Fields(test.args), &output, &output)
			if code != exitUsage || !strings.Contains(output.String(), test.names) {
				t.Errorf("exit code %d, output %q; want 2 and a message that names %s", code, output.String(), test.names)
			}
		})
	}
}

// A flag with an empty value, as from an unset variable, must not mean its default.
func TestEmptyFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for command, names := range map[string][]string{
		"serve": {
			"data-dir", "listen-api", "listen-peer", "listen-debug", "initial-cluster", "advertise-peer", "advertise-api",
			"allowed-host", "request-memory", "log-format", "log-level", "id", "heartbeat-interval", "join",
		},
		"local": {"data-dir", "listen", "peer-port", "nodes", "request-memory", "log-format", "log-level"},
	} {
		for _, name := range names {
			var output bytes.Buffer
			code := run(t.Context(), []string{command, "--" + name + "="}, &output, &output)
			if code != exitUsage || !strings.Contains(output.String(), "--"+name) {
				t.Errorf("%s --%s=: exit code %d, output %q", command, name, code, output.String())
			}
		}
	}
}

func TestAllowedHostsMustBeHosts(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{
		"", "*", "*.example.com", "http://h:1", "a b", "h/path", "h:", "h:0", "h:99999", "h:x", "a,,b", "a, b", "[h", "[::1",
		"10.0.0.256", "me@h",
	} {
		for _, more := range [][]string{nil, {"--allowed-host", "good.example"}} {
			var output bytes.Buffer
			args := append([]string{"serve"}, append(more, "--allowed-host", wrong)...)
			code := run(t.Context(), args, &output, &output)
			if code != exitUsage || !strings.Contains(output.String(), "--allowed-host") ||
				!strings.Contains(output.String(), "a DNS name or an IP address") && !strings.Contains(output.String(), "a port") {
				t.Errorf("%q: exit code %d, output %q", args, code, output.String())
			}
		}
	}
	var hosts hostList
	err := hosts.Set("node1,node1.example.com.:8080,10.0.0.1,10.0.0.1:80,::1,[::1],[fd00::1]:8080,a_b")
	if err != nil || len(hosts) != 8 {
		t.Errorf("%v, %v", hosts, err)
	}
}

func TestThePageIsNamedWhereABrowserFindsIt(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"[::]:8080": "localhost:8080", "0.0.0.0:8080": "localhost:8080", ":8080": "localhost:8080",
		"127.0.0.1:8080": "127.0.0.1:8080", "[::1]:8080": "[::1]:8080", "host:8080": "host:8080",
	} {
		if got := pageHost(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}

func TestLocalRefusesAnotherNumberOfNodesOnTheSameData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base := freePorts(t, 10)
	start := func(ctx context.Context, nodes int, output io.Writer) int {
		return run(ctx, []string{
			"local", "--nodes", strconv.Itoa(nodes), "--data-dir", dir, "--listen", fmt.Sprintf("127.0.0.1:%d", base),
			"--peer-port", strconv.Itoa(base + 5),
		}, output, output)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- start(ctx, 1, io.Discard) }()
	p := &playground{t, base}
	p.leader(1, 0)
	cancel()
	if code := <-ended; code != exitOK {
		t.Fatalf("the first run ended with %d", code)
	}
	var output bytes.Buffer
	if code := start(t.Context(), 3, &output); code != exitFailed || !strings.Contains(output.String(), "--nodes 1") {
		t.Errorf("exit code %d, output %q; want a refusal that names --nodes 1", code, output.String())
	}
}
