package rest

import (
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

func TestLeadershipIsHandedOver(t *testing.T) {
	t.Parallel()
	a := serve(t)
	got := a.want(200, "POST", "/api/v1/leader/transfer", `{"to":3}`)
	if r := decode[api.TransferResponse](t, got.body); r.LeaderID != 3 || r.Term != 4 {
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

func TestATransferIsForTheTermThatItExpects(t *testing.T) {
	t.Parallel()
	a := serve(t)
	term := uint64(a.node.Status().CurrentTerm)
	body := fmt.Sprintf(`{"to":3,"expected_term":%d}`, term+1)
	a.wantError(409, api.CodeConflict, "POST", "/api/v1/leader/transfer", body)
	if len(a.node.transferred) > 0 {
		t.Errorf("the leader of another term was asked for %v", a.node.transferred)
	}
	a.want(200, "POST", "/api/v1/leader/transfer", fmt.Sprintf(`{"to":3,"expected_term":%d}`, term))
	a.wantError(400, api.CodeInvalid, "POST", "/api/v1/leader/transfer", `{"expected_term":-1}`)
}

func TestATransferHasOneMeaning(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for body, names := range map[string]string{
		`{"to":2}{"to":3}`: "nothing behind it", `{"to":2} rubbish`: "nothing behind it",
		`{"to":2,"to":3}`: "comes twice", `{"to":2,"TO":3}`: `unknown field "TO"`,
		`{"to":2,"expected_term":3,"expected_term":4}`: "comes twice",
		`{"to":null}`: "null", `null`: "no JSON object", `[]`: "no JSON object",
		`{"to":-1}`: `"to" must be the id of a member, like 2`, `{"to":"2"}`: `"to" must be the id of a member, like 2`,
		`{"to":1.5}`: `"to" must be the id of a member, like 2`, `{"expected_term":-1}`: `"expected_term" must be a term`,
	} {
		a.refuses(names, "POST", "/api/v1/leader/transfer", body)
	}
}

func TestATargetThatCannotLeadIsExplained(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.transferErr = node.ErrBadTarget })
	for body, says := range map[string]string{
		`{"to":9}`: "node 9 is no member; members: 1, 2, 3",
		`{"to":1}`: "node 1 is already the leader",
		`{"to":2}`: "node 2 cannot lead yet: the log has no seat for its disk",
		`{"to":3}`: "node 3 is a learner, which cannot lead; voters: 1, 2",
		`{}`:       "no other member can take over; voters: 1, 2",
	} {
		got := a.want(400, "POST", "/api/v1/leader/transfer", body)
		if e := decode[api.ErrorBody](t, got.body).Error; e.Message != says {
			t.Errorf("%s: %q, want %q", body, e.Message, says)
		}
	}
}

func TestATransferThatFails(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		a := serve(t, func(n *fakeNode, _ *Options) { n.transferErr = failure.err })
		a.wantError(failure.status, failure.code, "POST", "/api/v1/leader/transfer", "")
	}
}
