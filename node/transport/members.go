package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// maxMemberChange bounds the body of a change of the members: 99 of them, with addresses of 256 bytes each.
const maxMemberChange = 80 << 10

// memberOutcome answers a change of the members: with the response, or with why the change was refused.
type memberOutcome struct {
	Response *api.MemberChangeResponse `json:"response,omitempty"`
	Refused  *changeRefusal            `json:"refused,omitempty"`
}

// changeRefusal is why a leader refused a change; nothing was done.
type changeRefusal struct {
	errorWire
	Expected uint64          `json:"expected,omitempty"` // in an api.CodeConfigIndex
	Config   *api.Membership `json:"config,omitempty"`   // in an api.CodeConfigIndex: the one in force
}

// err returns the refusal as the leader's node made it.
func (w *changeRefusal) err() error {
	if w.Code == api.CodeConfigIndex && w.Config != nil && checkConfig(w.Config) == nil {
		return &node.ConfigIndexError{Expected: w.Expected, Config: *w.Config}
	}
	return w.errorWire.err()
}

// ChangeMembers asks the leader to change the members. Its errors are as those of Propose, or those of
// node.HandleMemberChange.
func (t *Transport) ChangeMembers(ctx context.Context, leader raft.NodeID, change api.MemberChange) (
	api.MemberChangeResponse, error,
) {
	var none api.MemberChangeResponse
	question, err := json.Marshal(change)
	if err == nil && len(question) > maxMemberChange {
		err = fmt.Errorf("%w: the change takes %d bytes, and may take %d", node.ErrBadChange, len(question), maxMemberChange)
	}
	if err != nil {
		return none, err
	}
	answer, _, err := t.ask(ctx, leader, http.MethodPost, pathMembers, question, maxMembersAnswer)
	if err != nil {
		return none, meaning("change of members", err, node.ErrOutcomeUnknown)
	}
	var outcome memberOutcome
	err = jsontext.UnmarshalWithin(answer, maxValues, &outcome)
	switch {
	case err != nil || (outcome.Response == nil) == (outcome.Refused == nil):
		return none, fmt.Errorf("change of members: %w: cannot read the leader's answer", node.ErrOutcomeUnknown)
	case outcome.Refused != nil:
		return none, outcome.Refused.err()
	}
	if err := checkConfig(&outcome.Response.Config); err != nil {
		return none, fmt.Errorf("change of members: %w: the leader's answer: %w", node.ErrOutcomeUnknown, err)
	}
	return *outcome.Response, nil
}

// checkConfig refuses a configuration that no leader answers with: clients and terminals get it.
func checkConfig(c *api.Membership) error {
	list := make([]identity.Member, len(c.Members))
	for i, m := range c.Members {
		if m.Role != api.RoleVoter && m.Role != api.RoleLearner && m.Role != api.RoleLeaving {
			return fmt.Errorf("member %d has the role %.20q", m.ID, m.Role)
		}
		list[i] = identity.Member{ID: raft.NodeID(m.ID), Address: m.Address, APIAddress: m.APIAddress}
	}
	return identity.CheckAddresses(list)
}

// maxMembersAnswer bounds the answer to a change of the members, which has all of them.
const maxMembersAnswer = 160 << 10

// changeMembers answers a member that passes a change on.
func (t *Transport) changeMembers(in *incoming, dst []byte) ([]byte, *refusal) {
	var change api.MemberChange
	if err := jsontext.UnmarshalWithin(in.body, maxValues, &change); err != nil {
		return nil, refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	response, err := in.receiver.HandleMemberChange(in.ctx, change)
	outcome := memberOutcome{Response: &response}
	if isRefusedChange(err) {
		refused := &changeRefusal{errorWire: errorWire{Code: node.PeerCode(err), Message: err.Error()}}
		var index *node.ConfigIndexError
		if errors.As(err, &index) {
			refused.Expected, refused.Config = index.Expected, &index.Config
		}
		outcome = memberOutcome{Refused: refused}
	} else if err != nil {
		return nil, refuseWith(err)
	}
	text, err := json.Marshal(outcome)
	if err != nil {
		return nil, refuse(api.CodeOutcomeUnknown, "cannot write the answer: %s", err)
	}
	return append(dst, text...), nil
}

// isRefusedChange reports whether the leader refused a change because of what it is about.
func isRefusedChange(err error) bool {
	return errors.Is(err, node.ErrConfigIndex) || errors.Is(err, node.ErrBadChange) ||
		errors.Is(err, node.ErrChangeRefused)
}

// Offer gives an identity to the empty node at a peer's address.
func (t *Transport) Offer(ctx context.Context, peer raft.NodeID, offer identity.Offer) error {
	text, err := json.Marshal(offer)
	if err != nil {
		return &notSent{err}
	}
	_, _, err = t.ask(ctx, peer, http.MethodPost, pathOffer, text, maxSmallAnswer)
	return err
}

// takeOffer answers a leader that gives this node an identity. The node has none, so nothing is known of the leader.
func (t *Transport) takeOffer(w http.ResponseWriter, r *http.Request) {
	no := matches(r, headerProtocol, protocolVersion, api.CodeProtocolMismatch)
	receiver := t.receiver.Load()
	if no == nil && receiver == nil {
		no = refuseWith(node.ErrNotReady)
	}
	if no == nil {
		no = t.acceptOffer(w, r, *receiver)
	}
	if no != nil {
		writeRefusal(w, no)
		return
	}
	write(w, http.StatusOK, []byte(`{"done":true}`))
}

// acceptOffer hands an offer to the node, or returns why not.
func (t *Transport) acceptOffer(w http.ResponseWriter, r *http.Request, receiver Receiver) *refusal {
	held := t.cfg.Memory.NewAccount(budget.Peers, 0)
	defer held.Close()
	body := http.MaxBytesReader(w, r.Body, maxGenesisRequest)
	text, err := http1.ReadBody(body, r.ContentLength, maxGenesisRequest, held)
	var offer identity.Offer
	if err == nil {
		err = jsontext.UnmarshalWithin(text, maxValues, &offer)
	}
	if err != nil {
		return refuse(api.CodeInvalid, "cannot read the body: %s", err)
	}
	switch err = receiver.HandleOffer(r.Context(), offer); {
	case err == nil:
		return nil
	case errors.Is(err, node.ErrBadIdentity):
		return refuse(api.CodeInvalid, "%s", err)
	}
	return refuseWith(err)
}

// StatusAt asks the node at the URL of a peer port how it sees itself, as any program may.
func (t *Transport) StatusAt(ctx context.Context, url string) (node.PeerStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	where := newWhereabouts(url, http1.Dialer{DialContext: t.cfg.DialContext}, nil)
	k := newLink(where, http.Header{"User-Agent": {"kontiki"}})
	defer k.close()
	deadline, ok := ctx.Deadline()
	if limit := time.Now().Add(t.cfg.RoundTripTimeout); !ok || deadline.After(limit) {
		deadline = limit
	}
	held := t.cfg.Memory.NewAccount(budget.Peers, 0)
	defer held.Close()
	answer, _, err := k.once(ctx, &request{
		Request: http1.Request{Method: http.MethodGet, Path: pathStatus, Deadline: deadline},
		limit:   maxStatusBytes, held: held,
	})
	if err != nil {
		return node.PeerStatus{}, err
	}
	var status statusAnswer
	if err := jsontext.UnmarshalWithin(answer, maxValues, &status); err != nil {
		return node.PeerStatus{}, fmt.Errorf("cannot read the status: %w", err)
	}
	return status.PeerStatus, nil
}
