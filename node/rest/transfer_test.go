package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestLeadershipIsHandedOver(t *testing.T) {
	t.Parallel()
	a := serve(t)
	got := a.want(200, "POST", "/api/v1/leader/transfer", `{"to":3}`)
	if r := decode[client.TransferResponse](t, got.body); r.LeaderID != 3 || r.Term != 4 {
		t.Errorf("the answer is %+v", r)
	}
	if got.header.Get("X-Raft-Leader") != "3" || got.header.Get("X-Raft-Term") != "4" {
		t.Errorf("headers are %v", got.header)
	}
	for _, body := range []string{"", " ", "{}"} {
		a.want(200, "POST", "/api/v1/leader/transfer", body)
	}
	if to := a.node.transferred; len(to) != 4 || to[0] != 3 || to[1]+to[2]+to[3] != 0 {
		t.Errorf("the node was asked for %v", to)
	}
}

func TestAFollowerPassesATransferToTheLeader(t *testing.T) {
	t.Parallel()
	leader := serve(t)
	follower := serve(t, func(n *fakeNode, _ *Options) {
		n.transferErr = node.ErrNotLeader
		n.status.LeaderID = 2
		n.config.Members[1].APIAddress = leader.url
	})
	got := follower.want(200, "POST", "/api/v1/leader/transfer", `{"to":3}`)
	if r := decode[client.TransferResponse](t, got.body); r.LeaderID != 3 {
		t.Errorf("the answer is %+v", r)
	}
	leader.node.mu.Lock()
	leader.node.transferErr = node.ErrBadTarget
	leader.node.mu.Unlock()
	follower.wantError(400, client.CodeInvalid, "POST", "/api/v1/leader/transfer", `{"to":9}`)
	leader.node.mu.Lock()
	leader.node.transferErr = node.ErrNotLeader // it lost the office meanwhile
	leader.node.mu.Unlock()
	follower.wantError(503, client.CodeNoLeader, "POST", "/api/v1/leader/transfer", "")
}

func TestATransferIsForTheTermThatItExpects(t *testing.T) {
	t.Parallel()
	leader := serve(t)
	follower := serve(t, func(n *fakeNode, _ *Options) {
		n.transferErr = node.ErrNotLeader
		n.status.LeaderID = 2
		n.config.Members[1].APIAddress = leader.url
	})
	term := uint64(leader.node.Status().CurrentTerm)
	for _, asked := range []*api{leader, follower} {
		body := fmt.Sprintf(`{"to":3,"expected_term":%d}`, term+1)
		asked.wantError(409, client.CodeConflict, "POST", "/api/v1/leader/transfer", body)
	}
	if len(leader.node.transferred) > 0 {
		t.Errorf("the leader of another term was asked for %v", leader.node.transferred)
	}
	follower.want(200, "POST", "/api/v1/leader/transfer", fmt.Sprintf(`{"to":3,"expected_term":%d}`, term))
	leader.wantError(400, client.CodeInvalid, "POST", "/api/v1/leader/transfer", `{"expected_term":-1}`)
}

func TestATransferThatFails(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		if failure.err == node.ErrNotLeader {
			continue // passed on
		}
		a := serve(t, func(n *fakeNode, _ *Options) { n.transferErr = failure.err })
		a.wantError(failure.status, failure.code, "POST", "/api/v1/leader/transfer", "")
	}
	for name, prepare := range map[string]func(*fakeNode){
		"nobody leads":       func(n *fakeNode) { n.status.LeaderID = 0 },
		"no address is told": func(n *fakeNode) { n.status.LeaderID = 3 },
	} {
		a := serve(t, func(n *fakeNode, _ *Options) { n.transferErr = node.ErrNotLeader; prepare(n) })
		got := a.want(503, "POST", "/api/v1/leader/transfer", "")
		e := decode[client.ErrorBody](t, got.body).Error
		if e.Code != client.CodeNoLeader || raft.NodeID(e.Leader) != a.node.status.LeaderID {
			t.Errorf("%s: %+v", name, e)
		}
	}
	gone := serve(t, func(n *fakeNode, _ *Options) {
		n.transferErr = node.ErrNotLeader
		n.status.LeaderID = 2
		n.config.Members[1].APIAddress = "http://127.0.0.1:1" // nobody listens there
	})
	got := gone.ask("POST", "/api/v1/leader/transfer", "")
	if got.status < 500 || !strings.Contains(got.body, `"error"`) {
		t.Errorf("a leader that is gone is answered with %d %s", got.status, got.body)
	}
}
