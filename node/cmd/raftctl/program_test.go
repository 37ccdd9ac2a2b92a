package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// result of one run of raftctl.
type result struct {
	code           int
	stdout, stderr string
}

// raftctl runs one command line against a cluster.
func raftctl(t *testing.T, cluster *clienttest.Cluster, stdin string, args ...string) result {
	t.Helper()
	env := map[string]string{"RAFTCTL_ENDPOINTS": strings.Join(cluster.URLs(), ",")}
	return raftctlIn(t.Context(), env, stdin, args...)
}

func raftctlIn(ctx context.Context, env map[string]string, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	p := &program{
		ctx: ctx, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
		getenv: func(name string) string { return env[name] },
	}
	code := p.run(args)
	return result{code, stdout.String(), stderr.String()}
}

func (r result) want(t *testing.T, code int, stdout string, inStderr ...string) {
	t.Helper()
	if r.code != code || r.stdout != stdout {
		t.Errorf("exit code %d, want %d; stdout %q, want %q; stderr:\n%s", r.code, code, r.stdout, stdout, r.stderr)
	}
	for _, text := range inStderr {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("stderr does not contain %q:\n%s", text, r.stderr)
		}
	}
	if code == 0 && len(inStderr) == 0 && r.stderr != "" {
		t.Errorf("stderr of a success: %s", r.stderr)
	}
}

func TestPutGetDel(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	raftctl(t, cluster, "", "put", "cfg/x", "7").want(t, 0, "revision 1, created\n")
	raftctl(t, cluster, "", "put", "cfg/x", "8", "-o", "raw").want(t, 0, "2\n")
	raftctl(t, cluster, "", "put", "cfg/x", "9", "-o", "ndjson").want(t, 0, `{"revision":3,"created":false}`+"\n")
	raftctl(t, cluster, "", "get", "cfg/x").want(t, 0, "9\n")
	raftctl(t, cluster, "", "get", "cfg/x", "-o", "raw").want(t, 0, "9")
	raftctl(t, cluster, "", "get", "cfg/x", "--consistency", "stale").want(t, 0, "9\n")
	raftctl(t, cluster, "", "get", "cfg/x", "-o", "ndjson").want(t, 0,
		`{"key":"cfg/x","value":"9","content_type":"text/plain","create_revision":1,"mod_revision":3,"version":3,`+
			modified(cluster, 3))
	raftctl(t, cluster, "a\x00\xffb\n", "put", "bin", "-").want(t, 0, "revision 4, created\n")
	raftctl(t, cluster, "", "get", "bin", "-o", "raw").want(t, 0, "a\x00\xffb\n")
	raftctl(t, cluster, "", "get", "bin", "-o", "ndjson").want(t, 0, `{"key":"bin","value":"YQD/Ygo=",`+
		`"encoding":"base64","content_type":"application/octet-stream",`+
		`"create_revision":4,"mod_revision":4,"version":1,`+modified(cluster, 4))
	raftctl(t, cluster, "", "del", "bin").want(t, 0, "revision 5, deleted\n")
	raftctl(t, cluster, "", "del", "bin").want(t, 3, "", "error: there is no key bin")
	raftctl(t, cluster, "", "get", "bin").want(t, 3, "", "error: there is no key bin")
}

// modified returns the end of the record that a revision made, as JSON.
func modified(cluster *clienttest.Cluster, revision int) string {
	at := float64(cluster.Log()[revision-1].Timestamp) / 1e6
	text, _ := json.Marshal(at) // a number can always be encoded
	return fmt.Sprintf(`"revision":%d,"modified":%s}`+"\n", revision, text)
}

func TestConditionsExplainThemselves(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, "", "put", "k", "1", "--if-absent").want(t, 0, "revision 1, created\n")
	raftctl(t, cluster, "", "put", "k", "2", "--if-absent").want(t, 4, "", "k exists already, at revision 1",
		"raftctl put k 2 --if-revision 1")
	raftctl(t, cluster, "", "put", "k", "it's", "--if-revision", "42").want(t, 4, "",
		"error: k is at revision 1, not 42; nothing was written",
		`read it: raftctl get k    write anyway: raftctl put k 'it'\''s' --if-revision 1`)
	raftctl(t, cluster, "", "put", "k", "2", "--if-revision", "1").want(t, 0, "revision 4\n")
	raftctl(t, cluster, "", "del", "none", "--if-revision=5").want(t, 4, "", "none does not exist")
	raftctl(t, cluster, "", "put", "k", "2", "--if-revision", "1", "--if-absent").want(t, 2, "",
		"error: --if-revision and --if-absent exclude each other")
}

func TestNumbersAndCas(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, "", "incr", "n").want(t, 0, "1\n")
	raftctl(t, cluster, "", "incr", "n", "--by", "-5", "-o", "ndjson").want(t, 0, `{"value":-4,"revision":2}`+"\n")
	raftctl(t, cluster, "", "cas", "n", "-4", "10").want(t, 2, "", "unknown shorthand flag", "raftctl cas n -- -4 10")
	raftctl(t, cluster, "", "cas", "n", "--", "-4", "10").want(t, 0, "revision 3, swapped\n")
	raftctl(t, cluster, "", "cas", "n", "1", "2").want(t, 4, "", "n holds 10, not 1; nothing was written")
	raftctl(t, cluster, "", "cas", "n", "one", "2").want(t, 2, "",
		"EXPECTED is not JSON: one", `a string needs quotes: '"one"'`)
	raftctl(t, cluster, "", "put", "text", "x").want(t, 0, "revision 5, created\n")
	raftctl(t, cluster, "", "incr", "text").want(t, 4, "", `key "text" holds "x"`)
}

func TestWrongUsageNamesTheFlagAndTheFix(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	for want, args := range map[string][]string{
		"--output is \"yaml\"; it must be table, json, ndjson or raw": {"status", "-o", "yaml"},
		"raftctl get needs KEY; 0 were given":                         {"get"},
		"raftctl put needs KEY VALUE; 1 was given":                    {"put", "k"},
		"raftctl get needs KEY; the key is empty":                     {"get", ""},
		"unknown command \"gte\"":                                     {"gte", "k"},
		"unknown flag: --endpoint":                                    {"get", "k", "--endpoint", "x"},
		"--consistency is \"strong\"":                                 {"get", "k", "--consistency", "strong"},
		"--timeout is 0s; it must be more than 0":                     {"get", "k", "--timeout", "0s"},
		"--if-revision is -5; it must be a revision like 42":          {"put", "k", "v", "--if-revision", "-5"},
		"--endpoints: endpoint \"ftp://x\" must be a URL like":        {"get", "k", "--endpoints", "ftp://x"},
		"ID is \"two\"; it must be the id of a member":                {"leader", "transfer", "two"},
		"--limit is 0; it must be from 1 to 1000":                     {"log", "--limit", "0"},
		"--clients is 0; it must be from 1":                           {"bench", "--clients", "0"},
		"--verify reads writes back, so it goes with put":             {"bench", "get", "--verify"},
		"--curl shows one request, and a bench makes many":            {"bench", "--curl"},
	} {
		raftctl(t, cluster, "", args...).want(t, 2, "", want)
	}
}

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	p := &program{ctx: t.Context(), getenv: func(string) string { return "" }}
	for _, c := range p.root().Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.Long == "" || !strings.Contains(c.Example, "raftctl "+c.Name()) {
			t.Errorf("%s has no long help, or no example", c.Name())
		}
	}
	r := raftctlIn(t.Context(), nil, "")
	if r.code != 0 || !strings.Contains(r.stdout, "Exit codes") {
		t.Errorf("raftctl alone: %+v", r)
	}
	if r := raftctlIn(t.Context(), nil, "", "completion", "bash"); r.code != 0 || !strings.Contains(r.stdout, "raftctl") {
		t.Errorf("completion: %d %s", r.code, r.stderr)
	}
}

func TestCurlShowsTheRequestAndSendsNothing(t *testing.T) {
	t.Parallel()
	const kv = "http://h:1/api/v1/kv/"
	const text = "-H 'Content-Type: text/plain' "
	const post = "-X POST --data-binary "
	for _, c := range []struct{ args, want string }{
		{"get a/b", kv + "a%2Fb"},
		{"get ..", "--path-as-is " + kv + ".."},
		{"get k --consistency stale --min-revision 5", "'" + kv + "k?consistency=stale&min_revision=5'"},
		{"get k -o json", "-H 'Accept: application/json' " + kv + "k"},
		{"put k it's --if-revision 42", `-X PUT -H 'If-Match: "42"' ` + text + `--data-binary 'it'\''s' ` + kv + "k"},
		{"put k @x --if-absent", "-X PUT -H 'If-None-Match: *' " + text + "--data-raw @x " + kv + "k"},
		{"put k -", "-X PUT -H 'Content-Type: application/octet-stream' --data-binary @- " + kv + "k"},
		{"del k", "-X DELETE " + kv + "k"},
		{"del --prefix a/", "-X DELETE 'http://h:1/api/v1/kv?prefix=a%2F'"},
		{"txn", "-X POST --data-binary @- http://h:1/api/v1/txn"},
		{"txn f.json", "-X POST --data-binary @f.json http://h:1/api/v1/txn"},
		{"incr n --by 2", post + `'{"op":"incr","key":"n","by":2}' http://h:1/api/command`},
		{"cas n null 2", post + `'{"op":"cas","key":"n","value":2,"expected":null}' http://h:1/api/command`},
		{"status", "http://h:1/api/status"},
		{"leader", "http://h:1/api/v1/cluster"},
		{"leader transfer 2", post + `'{"to":2}' http://h:1/api/v1/leader/transfer`},
		{"log --from 3", "'http://h:1/api/logs?from=3&limit=20'"},
	} {
		args := append(strings.Fields(c.args), "--curl", "--endpoints", "h:1")
		raftctlIn(t.Context(), nil, "", args...).want(t, 0, "curl "+c.want+"\n")
	}
}

func TestLeader(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	raftctl(t, cluster, "", "leader").want(t, 0, "node 1 leads term 1  "+cluster.Nodes[0].URL+"\n")
	raftctl(t, cluster, "", "leader", "transfer", "3").want(t, 0, "node 3 leads term 2\n")
	raftctl(t, cluster, "", "leader", "-o", "raw").want(t, 0, "3\n")
	raftctl(t, cluster, "", "leader", "transfer").want(t, 0, "node 1 leads term 3\n")
	raftctl(t, cluster, "", "leader", "transfer", "9").want(t, 2, "", "node 9 is no member; members: 1, 2, 3")
	cluster.Elect(0)
	raftctl(t, cluster, "", "leader").want(t, 5, "",
		"error: no leader. Tried ", "node 2, term 4: no leader, election running")
}

func TestLog(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	for i := range 5 {
		raftctl(t, cluster, "", "incr", "n", "--by", fmt.Sprint(i))
	}
	raftctl(t, cluster, "", "log", "--from", "2", "--limit", "2", "-o", "raw").want(t, 0,
		`{"op":"incr","key":"n","by":1}`+"\n"+`{"op":"incr","key":"n","by":2}`+"\n")
	r := raftctl(t, cluster, "", "log", "--limit", "1")
	if r.code != 0 || !strings.Contains(r.stdout, "entries 1 to 5, committed up to 5") {
		t.Errorf("got %+v", r)
	}
	if r := raftctl(t, cluster, "", "log", "-o", "ndjson"); strings.Count(r.stdout, "\n") != 5 {
		t.Errorf("got %+v", r)
	}
}

func TestNoLeaderReportsWhatWasTriedAndWhatIsNext(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	cluster.Elect(0)
	cluster.Nodes[1].Kill()
	cluster.Nodes[2].Kill()
	raftctl(t, cluster, "", "put", "k", "7", "--timeout", "200ms").want(t, 5, "",
		"error: no leader. Tried ", "(node 1, term 2: no leader, election running)", "(connection refused)",
		"1 of 3 voters answer, 2 are needed", "retry: raftctl put k 7 --timeout 200ms --wait 30s")
	cluster.Nodes[0].Kill()
	raftctl(t, cluster, "", "get", "k", "--timeout", "200ms").want(t, 5, "",
		"error: no node answers. Tried ", "is the cluster running, and RAFTCTL_ENDPOINTS right?")
	raftctl(t, cluster, "", "status", "--timeout", "200ms").want(t, 5, "", "error: no node answers. Tried ")
}

func TestWaitWaits(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Elect(0)
	var asked atomic.Int32
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch && asked.Add(1) == 4 {
			cluster.Elect(1)
		}
		return false
	})
	raftctl(t, cluster, "", "put", "k", "7", "--timeout", "1ms", "--wait", "30s").want(t, 0, "revision 1, created\n")
}

// T49: the outcome of a request whose connection broke is unknown, and the error reports that.
func TestUnknownOutcomeHasItsOwnExitCode(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBatch {
			return false
		}
		clienttest.Cut(w)
		return true
	})
	raftctl(t, cluster, "", "put", "k", "7").want(t, 6, "", "outcome unknown", "check before you repeat it: raftctl get k")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	cluster.Elect(0)
	ctx, cancel := context.WithCancel(t.Context())
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch {
			cancel()
		}
		return false
	})
	r := raftctlIn(ctx, map[string]string{"RAFTCTL_ENDPOINTS": cluster.Nodes[0].URL}, "", "get", "k", "--wait", "1h")
	if r.code != exitInterrupted {
		t.Errorf("got %+v", r)
	}
}

// cannedStatus is a cluster with one node of each kind.
func cannedStatus(t *testing.T) api.ClusterStatus {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s api.ClusterStatus
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStatusTable(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join("testdata", "status.golden"))
	if err != nil {
		t.Fatal(err)
	}
	got := statusTable(cannedStatus(t), false)
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	colored := statusTable(cannedStatus(t), true)
	uncolored := strings.NewReplacer(yellow, "", plain, "").Replace(colored)
	if uncolored != got || !strings.Contains(colored, yellow+"DEGRADED") {
		t.Errorf("coloured:\n%s", colored)
	}
}

func TestWhatANewLeaderDoesNotKnowIsNoZero(t *testing.T) {
	t.Parallel()
	leader := &api.NodeStatus{Status: api.Status{
		ID: 1, LastLogIndex: 21, MatchIndex: map[uint64]uint64{2: 20, 3: 0},
	}}
	for id, want := range map[uint64][2]int64{1: {21, -1}, 2: {20, 1}, 3: {-1, -1}} {
		n := &api.NodeStatus{Status: api.Status{ID: id, LastLogIndex: 21}}
		if match, lag := matchAndLag(n, leader); match != want[0] || lag != want[1] {
			t.Errorf("node %d: match %d, lag %d; want %v", id, match, lag, want)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	r := raftctl(t, cluster, "", "status", "--color", "always")
	if r.code != 0 || !strings.Contains(r.stdout, green+"HEALTHY"+plain+"  node 1 leads term 1") {
		t.Errorf("got %+v", r)
	}
	raftctl(t, cluster, "", "status", "-o", "raw").want(t, 0, "healthy\n")
	canned := cannedStatus(t)
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathStatus {
			_ = json.NewEncoder(w).Encode(canned)
		}
		return r.URL.Path == api.PathStatus
	})
	only := map[string]string{"RAFTCTL_ENDPOINTS": cluster.Nodes[0].URL}
	canned.Config.Members = nil
	r = raftctlIn(t.Context(), only, "", "status", "-o", "json")
	var back api.ClusterStatus
	if err := json.Unmarshal([]byte(r.stdout), &back); err != nil || r.code != exitUnhealthy || back.LeaderID != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestStatusWaitsForNoNodeLongerThanItsTime(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 2)
	held := make(chan struct{})
	defer close(held)
	cluster.Nodes[1].Intercept(func(http.ResponseWriter, *http.Request) bool {
		<-held
		return true
	})
	r := raftctl(t, cluster, "", "status")
	if r.code != 0 || !strings.Contains(r.stdout, "HEALTHY") {
		t.Errorf("the one that answers must be shown: %+v", r)
	}
}

func TestMergePrefersALeaderAndOwnEyes(t *testing.T) {
	t.Parallel()
	node := func(id uint64, healthy bool) api.NodeStatus {
		return api.NodeStatus{Status: api.Status{ID: id}, Healthy: healthy}
	}
	merged := merge([]api.ClusterStatus{
		{Observer: 1, Term: 9, Nodes: []api.NodeStatus{node(1, true), node(2, false)}},
		{Observer: 2, Term: 8, LeaderID: 2, Nodes: []api.NodeStatus{node(1, false), node(2, true)}},
	})
	if merged.Observer != 2 || !merged.Nodes[0].Healthy || merged.Nodes[0].Error == "" {
		t.Errorf("got %+v", merged)
	}
}

func TestWatchPrintsALinePerChange(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int32
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathStatus {
			switch asked.Add(1) {
			case 5:
				cluster.Elect(1)
			case 10:
				cancel()
			}
		}
		return false
	})
	r := raftctlIn(ctx, map[string]string{"RAFTCTL_ENDPOINTS": cluster.Nodes[0].URL}, "", "status", "-w", "--every", "1ms")
	if r.code != exitInterrupted || !strings.Contains(r.stdout, "leader 1  term 1") ||
		!strings.Contains(r.stdout, "leader 1  term 2") || strings.Count(r.stdout, "\n") > 4 {
		t.Errorf("got %+v", r)
	}
}

// keysPut returns the keys of all puts in the log, one or several of which are an entry.
func keysPut(cluster *clienttest.Cluster) []string {
	var keys []string
	for _, e := range cluster.Log() {
		for _, found := range regexp.MustCompile(`"key":"([^"]+)"`).FindAllSubmatch(e.Command, -1) {
			keys = append(keys, string(found[1]))
		}
	}
	return keys
}

func TestBench(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	r := raftctl(t, cluster, "", "bench", "--total", "1000", "--verify", "--clients", "50")
	for _, text := range []string{
		"puts 1,000 in ", "0 errors   0 unknown", "p99.9", "read back 1,000 acknowledged writes: 0 lost",
	} {
		if r.code != 0 || !strings.Contains(r.stdout, text) {
			t.Errorf("it does not contain %q: %+v", text, r)
		}
	}
	if n := len(keysPut(cluster)); n != 1000 {
		t.Errorf("a thousand writes put %d keys", n)
	}
	r = raftctl(t, cluster, "", "bench", "get", "--duration", "50ms", "-o", "json", "--consistency", "stale")
	var report benchReport
	err := json.Unmarshal([]byte(r.stdout), &report)
	if err != nil || r.code != 0 || report.Done == 0 || report.P50Ms <= 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestBenchFindsALostWrite(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var forgot atomic.Bool
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if keys := keysPut(cluster); r.URL.Path == api.PathBatch && len(keys) == 200 && !forgot.Swap(true) {
			cluster.Lose(keys[17])
		}
		return false
	})
	r := raftctl(t, cluster, "", "bench", "--total", "200", "--verify")
	if r.code != exitFailed || !strings.Contains(r.stderr, "1 acknowledged writes are lost: [bench/") {
		t.Errorf("got %+v", r)
	}
}

func TestBenchCountsWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var batches atomic.Int32
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBatch || batches.Add(1)%3 != 0 {
			return false
		}
		clienttest.Cut(w)
		return true
	})
	r := raftctl(t, cluster, "", "bench", "--total", "100", "--clients", "2", "--verify")
	if r.code != 0 || strings.Contains(r.stdout, " 0 unknown") || !strings.Contains(r.stdout, ": 0 lost") {
		t.Errorf("got %+v", r)
	}
}

func TestTextOfNumbers(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0": grouped(0), "999": grouped(999), "10,482": grouped(10482), "-1,000,000": grouped(-1000000),
		"512 B": bytesText(512), "1.5 KiB": bytesText(1536), "84 MiB": bytesText(84 << 20),
		"3d 4h": age(76*time.Hour + time.Minute), "12s": age(12 * time.Second), "1m 5s": age(65 * time.Second),
		"2h 3m": age(123 * time.Minute), "3.1 ms": millis(3.12), "112 ms": millis(112),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestReadyAsksTheEndpointsThemselves(t *testing.T) {
	t.Parallel()
	ready := http.NewServeMux()
	ready.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(api.HeaderTerm, "1")
	})
	up := httptest.NewServer(ready)
	defer up.Close()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	env := map[string]string{"RAFTCTL_ENDPOINTS": up.URL}
	raftctlIn(t.Context(), env, "", "ready", "-o", "raw").want(t, exitOK, "true\n")
	env["RAFTCTL_ENDPOINTS"] = up.URL + "," + down.URL
	raftctlIn(t.Context(), env, "", "ready", "-o", "raw").want(t, exitUnhealthy, "true\nfalse\n")
}

// The reason is the node's own, whichever check failed.
func TestReadyGivesTheReason(t *testing.T) {
	t.Parallel()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(api.HeaderTerm, "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		const lines = "[+]identity ok\n[-]leader failed: no leader is known\n[-]applied failed: 7 are not\nnot ready\n"
		_, _ = w.Write([]byte(lines))
	}))
	defer node.Close()
	env := map[string]string{"RAFTCTL_ENDPOINTS": node.URL}
	raftctlIn(t.Context(), env, "", "ready").want(t, exitUnhealthy,
		node.URL+"  not ready: no leader is known; 7 are not\n")
}

func TestAnArgumentWithADashIsExplained(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	for _, value := range []string{"-1", "--draft", "-x"} {
		r := raftctl(t, cluster, "", "put", "k", value)
		if r.code != exitUsage || !strings.Contains(r.stderr, "after --: raftctl put k -- "+value) {
			t.Errorf("%s: got %+v", value, r)
		}
		if r := raftctl(t, cluster, "", "put", "k", "--", value); r.code != exitOK {
			t.Errorf("behind --: %+v", r)
		}
		raftctl(t, cluster, "", "get", "k", "-o", "raw").want(t, exitOK, value)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	raftctlIn(t.Context(), nil, "", "--version").want(t, exitOK, "raftctl version dev\n")
}

func TestContactOfADeadNodeIsTheLeaders(t *testing.T) {
	t.Parallel()
	dead := &api.NodeStatus{Status: api.Status{ID: 3}, AgeMs: 3_600_000} // asked an hour ago, when it was running
	leader := &api.NodeStatus{Status: api.Status{ID: 1, LeaderForSeconds: 100, Progress: map[uint64]api.Progress{
		3: {AckAgeMs: 12_000}, 4: {AckAgeMs: 99_500},
	}}}
	if got := lastContact(dead, leader); got != "12s ago" {
		t.Errorf("got %s", got)
	}
	if got := lastContact(&api.NodeStatus{Status: api.Status{ID: 4}, AgeMs: -1}, leader); got != "never" {
		t.Errorf("a node that never answered this leader: got %s", got)
	}
	if got := lastContact(dead, nil); got != "1h 0m ago" {
		t.Errorf("without a leader: got %s", got)
	}
}

func TestAdviceFitsWhatIsWrong(t *testing.T) {
	t.Parallel()
	status := func(state api.HealthState, change func(n *api.NodeStatus)) api.ClusterStatus {
		s := api.ClusterStatus{Health: api.Health{State: state}, Nodes: make([]api.NodeStatus, 3)}
		for i := range s.Nodes {
			s.Nodes[i].ID = uint64(i + 1)
			s.Nodes[i].Healthy = state == api.Degraded
		}
		change(&s.Nodes[1])
		s.Nodes[1].Healthy = s.Nodes[1].Healthy && s.Nodes[1].Error != "connection refused"
		return s
	}
	for want, s := range map[string]api.ClusterStatus{
		"start the nodes marked x again": status(api.NoQuorum, func(*api.NodeStatus) {}),
		"the nodes run but cannot reach each other": status(api.NoQuorum, func(n *api.NodeStatus) {
			n.Healthy, n.Error = true, partedError
		}),
		"give node 2 and the others the addresses in their data": status(api.NoQuorum,
			func(n *api.NodeStatus) { n.Notice = "uses the addresses of its data" }),
		"compare the --initial-cluster of all nodes": status(api.NoQuorum,
			func(n *api.NodeStatus) { n.Mismatch = "has another list of members" }),
		"start node 2; the last line of its log states why it ended": status(api.Degraded, func(n *api.NodeStatus) {
			n.Error = "connection refused"
		}),
		"raftctl status -w": status(api.Degraded, func(n *api.NodeStatus) { n.Disk.Slow = true }),
		"start node 3; or, if no member ever had data, start one of the others again with --found-by-majority": status(
			api.NoQuorum, func(n *api.NodeStatus) {
				n.LifeCycle, n.Founding = "empty", &api.Founding{Members: 3, Needed: 3, Missing: []uint64{3}}
			}),
		"start the nodes marked x with the disks that they had": status(api.NoQuorum, func(n *api.NodeStatus) {
			n.Healthy, n.Seated = true, new(bool)
		}),
	} {
		if table := statusTable(s, false); !strings.Contains(table, "next: "+want) {
			t.Errorf("got %s\nwant the advice %s", table, want)
		}
	}
	if got := advice(status(api.Healthy, func(n *api.NodeStatus) { n.Notice = "x" })); got != "" {
		t.Errorf("a healthy cluster: %s", got)
	}
}
