package rest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

func TestReadyTellsWhatIsMissing(t *testing.T) { // O22
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*api.Status)
		status int
		line   string
	}{
		"all is well": {func(*api.Status) {}, 200, "[+]leader ok"},
		"no identity": {func(s *api.Status) { s.LifeCycle = api.StateEmpty }, 503, "[-]identity failed"},
		"no leader":   {func(s *api.Status) { s.LeaderID = 0 }, 503, "[-]leader failed"},
		"another list": {
			func(s *api.Status) { s.LifeCycle, s.Mismatch = api.StateEmpty, "has another list" }, 503,
			"takes no part yet: it is starting; this node has another list",
		},
		"another list, with data": {
			func(s *api.Status) { s.LeaderID, s.Mismatch = 0, "has another list" }, 503,
			"no leader is known; this node has another list",
		},
		"another list at one peer": {func(s *api.Status) { s.Mismatch = "has another list" }, 200, "[+]leader ok"},
		"its state differs":        {func(s *api.Status) { s.StateDiffers = 7 }, 503, "[-]state failed: the state differs"},
		"has no seat yet": {
			func(s *api.Status) { s.Seated = new(bool) }, 503, "[-]seat failed: this node's disk has no seat yet",
		},
		"has a seat":            {func(s *api.Status) { s.Seated = new(bool); *s.Seated = true }, 200, "[+]seat ok"},
		"replays":               {applied(100, 5000), 503, "[-]applied failed: 4900"},
		"contact long ago":      {func(s *api.Status) { s.LastContactMs = 5001 }, 503, "[-]leader failed: the last"},
		"recent contact":        {func(s *api.Status) { s.LastContactMs = 4999 }, 200, "[+]leader ok"},
		"a little behind":       {applied(4000, 5000), 200, "[+]applied ok"},
		"far behind its leader": {behind(10, 10, 5000), 503, "[-]applied failed: 4990"},
		"near its leader":       {behind(4500, 4600, 5000), 200, "[+]applied ok"},
		"ahead of its news":     {applied(12, 10), 200, "[+]applied ok"},
	} {
		a := serve(t, func(n *fakeNode, _ *Options) { c.change(&n.status) })
		if got := a.want(c.status, "GET", "/readyz?verbose", ""); !strings.Contains(got.body, c.line) {
			t.Errorf("%s: %s", name, got.body)
		}
		if got := a.want(c.status, "GET", "/readyz", ""); c.status == 200 && got.body != "ok\n" {
			t.Errorf("%s: %s", name, got.body)
		}
		view := decode[api.ClusterView](t, a.want(200, "GET", "/api/v1/cluster", "").body)
		if view.Ready != (c.status == 200) {
			t.Errorf("%s: the view has ready %t", name, view.Ready)
		}
		a.want(200, "GET", "/livez", "")
		a.want(200, "HEAD", "/livez", "")
	}
}

// behind returns a change to a node that has applied some of what its leader has committed.
func behind(applied, commit, leader uint64) func(*api.Status) {
	return func(s *api.Status) { s.LastApplied, s.CommitIndex, s.LeaderCommit = applied, commit, leader }
}

// A node that is far behind its leader must get near before it is ready again.
func TestANodeThatCatchesUpDoesNotChangeItsMind(t *testing.T) { // O22
	t.Parallel()
	a := serve(t)
	for _, step := range []struct {
		applied uint64
		status  int
	}{{4000, 200}, {3999, 503}, {4000, 503}, {4499, 503}, {4500, 200}, {4001, 200}, {3999, 503}} {
		a.node.mu.Lock()
		behind(step.applied, step.applied, 5000)(&a.node.status)
		a.node.mu.Unlock()
		a.want(step.status, "GET", "/readyz", "")
	}
}

func TestALoopThatStalledIsNotAlive(t *testing.T) { // O23
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.stalled = true })
	if got := a.want(503, "GET", "/livez", ""); !strings.Contains(got.body, "[-]loop failed") {
		t.Error(got.body)
	}
}

func TestAStoppingNodeIsNotReadyAndStillServes(t *testing.T) { // O25
	t.Parallel()
	a := serve(t)
	a.rest.SetStopping()
	if got := a.want(503, "GET", "/readyz", ""); !strings.Contains(got.body, "[-]stopping failed") {
		t.Error(got.body)
	}
	a.want(200, "GET", "/livez", "")
	a.want(200, "PUT", "/api/v1/kv/a", "1")
}

func applied(index, commit uint64) func(*api.Status) {
	return func(s *api.Status) { s.LastApplied, s.CommitIndex = index, commit }
}

func TestStartedStaysStarted(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.status.CommitIndex, n.status.LastApplied = 10, 4 })
	a.want(503, "GET", "/startupz", "")
	set := func(commit, applied uint64) {
		a.node.mu.Lock()
		defer a.node.mu.Unlock()
		a.node.status.CommitIndex, a.node.status.LastApplied = commit, applied
	}
	set(10, 10)
	a.want(200, "GET", "/startupz", "")
	set(20, 10)
	a.want(200, "GET", "/startupz", "")
}

func TestMetricsTellTheNodeAndTheRequests(t *testing.T) {
	t.Parallel()
	extra := prometheus.NewCounter(prometheus.CounterOpts{Name: "kontiki_elections_total", Help: "Elections."})
	a := serve(t, func(n *fakeNode, o *Options) {
		o.Collectors = []prometheus.Collector{extra}
		n.status.CommitIndex, n.status.Pending, n.status.LastContactMs = 7, 4, 250
		n.status.StalenessMs = 125
	})
	for i := range 7 {
		a.want(200, "PUT", fmt.Sprintf("/api/v1/kv/%d", i), "1")
	}
	a.want(404, "GET", "/api/v1/kv/secret-key", "")
	text := a.want(200, "GET", "/metrics", "").body
	for _, line := range []string{
		"kontiki_has_leader 1", `kontiki_role{role="LEADER"} 1`, `kontiki_role{role="FOLLOWER"} 0`, "kontiki_term 3",
		"kontiki_commit_index 7", "kontiki_applied_index 7", "kontiki_log_last_index 7", "kontiki_log_first_index 1",
		"kontiki_proposals_pending 4", "kontiki_last_contact_seconds 0.25", "kontiki_staleness_seconds 0.125",
		"kontiki_voters 2",
		`kontiki_peer_match_index{peer="2"} 5`, `kontiki_peer_lag_entries{peer="2"} 2`,
		`kontiki_peer_reachable{peer="2"} 1`,
		`kontiki_build_info{version="1.2.3"} 1`, "kontiki_elections_total 0",
		`kontiki_request_duration_seconds_count{code="200",method="PUT",route="/api/v1/kv/*key"} 7`,
		`kontiki_request_duration_seconds_count{code="404",method="GET",route="/api/v1/kv/*key"} 1`,
		`kontiki_request_duration_seconds_bucket{code="200",method="PUT",route="/api/v1/kv/*key",le="8.192"} 7`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if strings.Contains(text, "secret-key") {
		t.Error("a key became a label")
	}
	a.node.mu.Lock()
	a.node.status.LastContactMs = -1
	a.node.mu.Unlock()
	if text := a.want(200, "GET", "/metrics", "").body; strings.Contains(text, "kontiki_last_contact_seconds ") {
		t.Error("a contact that never was is shown")
	}
}

// Reads and writes of one route are distinguished, and unknown methods and paths get no labels of their own.
func TestMetricsTellMethodsApart(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	a.want(200, "GET", "/api/v1/kv/a", "")
	a.want(200, "HEAD", "/api/v1/kv/a", "")
	a.want(404, "GET", "/nowhere", "")
	for i := range 20 {
		a.ask(fmt.Sprintf("BREW%d", i), "/api/v1/kv/a", "")
		a.ask(fmt.Sprintf("BREW%d", i), "/nowhere", "")
	}
	text := a.want(200, "GET", "/metrics", "").body
	counts := regexp.MustCompile(`kontiki_request_duration_seconds_count\{.*method="([A-Z0-9]*)",route="([^"]*)"\} (\d+)`)
	got := map[string]string{}
	for _, match := range counts.FindAllStringSubmatch(text, -1) {
		got[match[1]+" "+match[2]] += match[3] + ";"
	}
	for request, count := range map[string]string{
		"PUT /api/v1/kv/*key": "1;", "GET /api/v1/kv/*key": "1;", "HEAD /api/v1/kv/*key": "1;", "GET unknown": "1;",
	} {
		if got[request] != count {
			t.Errorf("%s was counted %q, want %q; all: %v", request, got[request], count, got)
		}
	}
	if strings.Contains(text, "BREW") || got["OTHER unknown"] == "" {
		t.Errorf("methods that clients make up are counted as %v", got)
	}
}

func TestMetricNamesAreOurs(t *testing.T) { // dashboard design 6
	t.Parallel()
	labels := []string{
		"peer", "method", "route", "code", "role", "result", "le", "version", "file", "port", "kind", "class", "alarm",
	}
	registry := prometheus.NewRegistry()
	a := serve(t, func(_ *fakeNode, o *Options) { o.Registry = registry })
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	label := regexp.MustCompile(`([a-z_]+)="`)
	for line := range strings.Lines(a.want(200, "GET", "/metrics", "").body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, "kontiki_") {
			t.Errorf("the name lacks the prefix: %s", line)
		}
		for _, found := range label.FindAllStringSubmatch(line, -1) {
			if !slices.Contains(labels, found[1]) {
				t.Errorf("unbounded label %s: %s", found[1], line)
			}
		}
	}
	if _, err := New(newFakeNode(), newFakeNode(), Options{Registry: registry}); err == nil {
		t.Error("two servers share a registry unnoticed")
	}
}

// No read is served from a state that differs from that of a majority, whatever its consistency (trap T45).
func TestAStateThatDiffersIsNotServed(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.apply(`{"op":"set","key":"k","value":1}`)
		n.soundErr = node.ErrStateDiffers
	})
	for _, path := range []string{
		"/api/v1/kv/k", "/api/v1/kv/k?consistency=stale", "/api/v1/kv/k?revision=1", "/api/v1/kv/k?history",
		"/api/v1/kv?prefix=k", "/api/v1/kv?prefix=k&consistency=stale", "/api/v1/kv?prefix=k&count",
	} {
		if got := a.want(503, "GET", path, ""); !strings.Contains(got.body, "not_ready") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	got := a.want(200, "POST", "/api/v1/batch?consistency=stale", `{"op":"get","key":"k"}`)
	if !strings.Contains(got.body, "its state differs") {
		t.Errorf("a batch: %s", got.body)
	}
	if got := a.want(503, "POST", "/api/command", `{"op":"get","key":"k"}`); !strings.Contains(got.body, "not_ready") {
		t.Errorf("a command: %s", got.body)
	}
}
