package transport

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

// A gateway between two nodes may use a peer's words after it has passed a proposal on.
func TestAGatewaysErrorIsNoRefusal(t *testing.T) { // T49
	t.Parallel()
	for _, c := range []struct {
		status      int
		code        api.Code
		marks       bool // the peer has marked its answers before, as this version does
		isNotLeader bool
	}{
		{http.StatusServiceUnavailable, "not_leader", false, false},
		{http.StatusServiceUnavailable, "bad_command", false, false},
		{http.StatusInternalServerError, "bad_command", false, false},
		{http.StatusMisdirectedRequest, "not_leader", false, true}, // of the version before
		{http.StatusMisdirectedRequest, "not_leader", true, false},
	} {
		var isGateway atomic.Bool
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if isGateway.Load() {
				write(w, c.status, fmt.Appendf(nil, `{"error":{"code":%q,"message":"upstream failed"}}`, c.code))
				return
			}
			if c.marks {
				ofPeer(w)
			}
			write(w, http.StatusOK, []byte(`{"id":2}`))
		})}
		l := listen(t)
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
		n := sender(t, "http://"+l.Addr().String())
		if _, err := n.Status(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		isGateway.Store(true)
		_, err := n.Propose(t.Context(), 2, oneCommand)
		isUnknown := errors.Is(err, node.ErrOutcomeUnknown)
		isDone := errors.Is(err, node.ErrNotSent) || errors.Is(err, node.ErrBadCommand)
		if errors.Is(err, node.ErrNotLeader) != c.isNotLeader || isUnknown == c.isNotLeader || isDone {
			t.Errorf("%d %s, marks %t: %v", c.status, c.code, c.marks, err)
		}
	}
}

func TestWhatIsNoRouteIsRefusedAsAPeerDoes(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes[1])
	for _, c := range []struct {
		method, path string
		status       int
		code         api.Code
	}{
		{http.MethodGet, "/", http.StatusNotFound, api.CodeNotFound},
		{http.MethodPost, "/raft/v1/other", http.StatusNotFound, api.CodeNotFound},
		{http.MethodGet, "/raft/v1//status", http.StatusNotFound, api.CodeNotFound},
		{http.MethodGet, pathPropose, http.StatusMethodNotAllowed, api.CodeMethodNotAllowed},
		{http.MethodDelete, pathStatus, http.StatusMethodNotAllowed, api.CodeMethodNotAllowed},
	} {
		status, got := ask(t, nodes[1], c.method, c.path, "", nil)
		if status != c.status || got.Code != c.code {
			t.Errorf("%s %s: %d %+v", c.method, c.path, status, got)
		}
		request, err := http.NewRequestWithContext(t.Context(), c.method, nodes[1].url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		for _, name := range []string{"X-Content-Type-Options", "Cross-Origin-Resource-Policy", headerProtocol} {
			if answer.Header.Get(name) == "" {
				t.Errorf("%s %s: the answer has no %s", c.method, c.path, name)
			}
		}
		if (answer.Header.Get("Allow") != "") != (c.status == http.StatusMethodNotAllowed) {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, answer.Header.Get("Allow"))
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
