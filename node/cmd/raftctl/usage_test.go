package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func TestMessagesAboutTheCommandLine(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	for args, want := range map[string][]string{
		"get k --min-revision -1":   {"--min-revision -1: want a non-negative integer, like --min-revision 1"},
		"incr n --by x":             {"--by x: want an integer, like --by 1"},
		"log --limit 1.5":           {"--limit 1.5: want an integer, like --limit 1", "see: raftctl log --help"},
		"get k --timeout 5":         {"--timeout 5: want a duration with its unit, like --timeout 5s"},
		"get k --curl=si":           {"--curl si: want true or false, like --curl=true"},
		"put k":                     {"1 was given", "see: raftctl put --help"},
		"get -1":                    {"unknown shorthand flag", "raftctl get -- -1", "see: raftctl get --help"},
		"incr n -1":                 {"raftctl incr n --by -1"},
		"cas c -1 2":                {"raftctl cas c -- -1 2"},
		"leader transfer -1":        {`ID is "-1"; it must be the id of a member`},
		"leader transfer 1 2":       {"raftctl leader transfer takes one ID; 2 were given"},
		"bench foo":                 {`raftctl bench: want put or get, not "foo"`},
		"status now":                {`raftctl status takes no argument; "now" was given`, "see: raftctl status --help"},
		"get k --endpoint x":        {"unknown flag: --endpoint", "see: raftctl get --help"},
		"help foo":                  {`there is no command "foo"`, "see: raftctl --help"},
		"help get foo":              {`there is no command "get foo"`},
		"foo":                       {`unknown command "foo"`, "see: raftctl --help"},
		"get k --endpoints h:99999": {`--endpoints: endpoint "h:99999": the port must be from 1 to 65535`},
		"get k --endpoints=,":       {`--endpoints is ",", which names no endpoint`},
		"get k --endpoints=":        {`--endpoints is "", which names no endpoint`},
	} {
		r := raftctl(t, cluster, "", strings.Fields(args)...)
		r.want(t, exitUsage, "", want...)
		if strings.Contains(r.stderr, "strconv") ||
			strings.Contains(r.stderr, "after --:") != strings.Contains(r.stderr, " -- -") {
			t.Errorf("%s: %s", args, r.stderr)
		}
	}
	for value, want := range map[string]string{
		",": `RAFTCTL_ENDPOINTS is ",", which names no endpoint`, " ": "RAFTCTL_ENDPOINTS is",
		"ftp://x": `RAFTCTL_ENDPOINTS: endpoint "ftp://x" must be a URL`,
	} {
		env := map[string]string{"RAFTCTL_ENDPOINTS": value}
		raftctlIn(t.Context(), env, "", "get", "k").want(t, exitUsage, "", want)
	}
	if r := raftctl(t, cluster, "", "help", "leader", "transfer"); !strings.Contains(r.stdout, "Ask the leader") {
		t.Errorf("help of a command below another: %+v", r)
	}
}

// fullDisk is a writer that fails.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAnAnswerThatCannotBeWrittenIsNotWrongUsage(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 2)
	for _, c := range []struct{ args, want string }{
		{"incr n", "error: done, but cannot write the output: no space left on device\n"},
		{"put k v -o json", "error: done, but cannot write the output: no space left on device\n"},
		{"cas c null 1", "error: done, but cannot write the output: no space left on device\n"},
		{"leader transfer", "error: done, but cannot write the output: no space left on device\n"},
		{"del k", "error: done, but cannot write the output: no space left on device\n"},
		{"get n", "error: cannot write the output: no space left on device\n"},
		{"status -o json", "error: cannot write the output: no space left on device\n"},
		{"get n --curl", "error: cannot write the output: no space left on device\n"},
	} {
		var stderr bytes.Buffer
		p := &program{
			ctx: t.Context(), stdout: fullDisk{}, stderr: &stderr, stdin: strings.NewReader(""),
			getenv: func(name string) string {
				return map[string]string{"RAFTCTL_ENDPOINTS": cluster.URLs()[0]}[name]
			},
		}
		if code := p.run(strings.Fields(c.args)); code != exitFailed || stderr.String() != c.want {
			t.Errorf("%s: exit code %d, %s", c.args, code, stderr.String())
		}
	}
}

// A route that does not exist is different from a key that does not exist.
func TestNoSuchRouteIsNoMissingKey(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	node := cluster.Nodes[0]
	old := node.Handler()
	node.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/prefix") {
			clienttest.Fail(w, &api.Error{Code: api.CodeNotFound, Message: "no such route: " + r.URL.Path})
			return true
		}
		return false
	})
	for _, args := range []string{
		"get k", "get k --consistency stale", "get k --min-revision 1", "del k", "put k v", "incr n",
	} {
		line := append(strings.Fields(args), "--endpoints", node.URL+"/prefix", "--timeout", "1s")
		raftctlIn(t.Context(), nil, "", line...).want(t, exitFailed, "", "no such route: /prefix/api/v1/")
	}
	slashes := []string{"--endpoints", node.URL + "///"}
	raftctlIn(t.Context(), nil, "", append(slashes, "put", "k", "v")...).want(t, exitOK, "revision 1, created\n")
	raftctlIn(t.Context(), nil, "", append(slashes, "get", "k", "--min-revision", "1")...).want(t, exitOK, "v\n")
	raftctlIn(t.Context(), nil, "", append(slashes, "get", "x", "--min-revision", "1")...).want(t, exitNotFound, "")
	raftctlIn(t.Context(), nil, "", append(slashes, "get", "k", "--curl")...).want(t, exitOK,
		"curl "+node.URL+"/api/v1/kv/k\n")
	// Behind a proxy that strips it, a path is valid.
	proxy := httptest.NewServer(http.StripPrefix("/kontiki", old))
	defer proxy.Close()
	raftctlIn(t.Context(), nil, "", "get", "k", "--endpoints", proxy.URL+"/kontiki//").want(t, exitOK, "v\n")
}

func TestEndpointsOfTwoClustersAreWrongUsage(t *testing.T) {
	t.Parallel()
	a, b := clienttest.New(t, 1), clienttest.New(t, 1)
	a.SetID("cluster-a")
	b.SetID("cluster-b")
	for _, args := range []string{"incr n", "get n", "status", "ready", "leader", "log", "bench --total 1"} {
		line := append(strings.Fields(args), "--endpoints", a.URLs()[0]+","+b.URLs()[0])
		raftctlIn(t.Context(), nil, "", line...).want(t, exitUsage, "", "--endpoints: the endpoints are of two clusters",
			"cluster-a", "cluster-b")
	}
	if len(a.Log())+len(b.Log()) > 0 {
		t.Error("a write was done")
	}
}

func TestWhatIsNoNodeIsNamed(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	for _, args := range []string{"get k", "leader", "log"} {
		line := append(strings.Fields(args), "--endpoints", proxy.URL, "--timeout", "200ms")
		raftctlIn(t.Context(), nil, "", line...).want(t, exitUnreachable, "",
			"error: no node answered, but another server did: 403 Forbidden", hintForeign)
	}
	raftctlIn(t.Context(), nil, "", "put", "k", "v", "--endpoints", proxy.URL).want(t, exitUnknown, "",
		"outcome unknown", "403 Forbidden", hintForeign)
}

func TestARevisionThatNoNodeHas(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, "", "put", "k", "v").want(t, exitOK, "revision 1, created\n")
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has(api.ParamMinRevision) {
			clienttest.Fail(w, &api.Error{Code: api.CodeNotReady, Message: "this node has applied revision 1"})
			return true
		}
		return false
	})
	raftctl(t, cluster, "", "get", "k", "--min-revision", "99", "--timeout", "200ms").want(t, exitUnreachable, "",
		"error: no node has applied revision 99 yet (newest: 1)\n")
}

// hanging returns a cluster whose requests may hang until the test ends.
func hanging(t *testing.T) (*clienttest.Cluster, <-chan struct{}) {
	cluster, release := clienttest.New(t, 1), make(chan struct{})
	t.Cleanup(func() { close(release) })
	return cluster, release
}

func TestAnInterruptionIsSaidOnce(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		code   int
		stderr string
	}{
		"get k": {exitInterrupted, "error: interrupted\n"},
		"put k v": {exitUnknown, "error: interrupted before the answer; it may or may not take effect\n" +
			"  check before you repeat it: raftctl get k\n"},
	} {
		cluster, release := hanging(t)
		ctx, cancel := context.WithCancel(t.Context())
		cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != api.PathBatch {
				return false
			}
			cancel()
			<-release
			return true
		})
		env := map[string]string{"RAFTCTL_ENDPOINTS": cluster.Nodes[0].URL}
		if r := raftctlIn(ctx, env, "", strings.Fields(args)...); r.code != want.code || r.stderr != want.stderr {
			t.Errorf("%s: exit code %d, %s", args, r.code, r.stderr)
		}
	}
	cluster, release := hanging(t)
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch {
			<-release
		}
		return r.URL.Path == api.PathBatch
	})
	r := raftctl(t, cluster, "", "put", "k", "v", "--timeout", "200ms")
	if r.code != exitUnknown || strings.Count(r.stderr, mayTakeEffect) != 1 {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}
