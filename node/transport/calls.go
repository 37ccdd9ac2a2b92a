package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// maxValues bounds the values in an answer that has lists: twice as many as in a status with all events and 99 members.
const maxValues = 16 << 10

// Propose asks the leader to append commands and waits for their outcomes. Its errors wrap node.ErrNotSent if
// the request surely did not reach the leader, another error of package node if the leader refused it, and
// node.ErrOutcomeUnknown in every other case (trap T49). It never sends a request twice.
func (t *Transport) Propose(ctx context.Context, leader raft.NodeID, commands [][]byte) ([]node.Outcome, error) {
	text := appendCommands(commands)
	if int64(len(text)) > t.cfg.MaxBodyBytes {
		return nil, fmt.Errorf("propose: %w: %d commands take %d bytes, and one request at most %d",
			node.ErrOverloaded, len(commands), len(text), t.cfg.MaxBodyBytes)
	}
	answer, _, err := t.ask(ctx, leader, http.MethodPost, pathPropose, text, t.cfg.MaxBodyBytes)
	if err != nil {
		return nil, meaning("propose", err, node.ErrOutcomeUnknown)
	}
	outcomes, err := decodeOutcomes(answer, len(commands))
	if err != nil {
		return nil, fmt.Errorf("propose: %w: cannot read the leader's answer: %w", node.ErrOutcomeUnknown, err)
	}
	return outcomes, nil
}

// ReadIndex asks the leader for a confirmed read index (thesis 6.4); if lease is true, its lease may confirm it. The
// errors wrap node.ErrNotSent, what the leader answered, or node.ErrNoLeader: a read that failed did nothing.
func (t *Transport) ReadIndex(ctx context.Context, leader raft.NodeID, term raft.Term, lease bool) (
	raft.ReadPoint, error,
) {
	question := jsontext.AppendUint(nil, `{"term":`, uint64(term))
	if lease { // an older version ignores it
		question = append(question, `,"lease":true`...)
	}
	question = append(question, '}')
	answer, _, err := t.ask(ctx, leader, http.MethodPost, pathReadIndex, question, maxSmallAnswer)
	if err != nil {
		return raft.ReadPoint{}, meaning("read index", err, node.ErrNoLeader)
	}
	var w readPointWire
	if err := json.Unmarshal(answer, &w); err != nil || w.Index == 0 {
		return raft.ReadPoint{}, fmt.Errorf("read index: %w: the leader's answer %.100q has no index", node.ErrNoLeader,
			answer)
	}
	return raft.ReadPoint(w), nil
}

// Fingerprint asks a peer for its fingerprint at the index of this node's.
func (t *Transport) Fingerprint(ctx context.Context, peer raft.NodeID, ours divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	answer, _, err := t.ask(ctx, peer, http.MethodPost, pathFingerprint, appendFingerprint(nil, ours), maxSmallAnswer)
	if err != nil {
		return divergence.Fingerprint{}, fmt.Errorf("fingerprint: %w", err)
	}
	var theirs divergence.Fingerprint
	if err := json.Unmarshal(answer, &theirs); err != nil {
		return divergence.Fingerprint{}, fmt.Errorf("fingerprint: cannot read the answer of node %d: %w", peer, err)
	}
	return theirs, nil
}

// StateDigest asks a peer for the digest of its state after the check entry at an index.
func (t *Transport) StateDigest(ctx context.Context, peer raft.NodeID, index raft.Index) (divergence.State, error) {
	question := append(jsontext.AppendUint(nil, `{"index":`, uint64(index)), '}')
	answer, _, err := t.ask(ctx, peer, http.MethodPost, pathStateDigest, question, maxSmallAnswer)
	if err != nil {
		return divergence.State{}, fmt.Errorf("state digest: %w", err)
	}
	var state divergence.State
	if err := json.Unmarshal(answer, &state); err != nil {
		return divergence.State{}, fmt.Errorf("state digest: cannot read the answer of node %d: %w", peer, err)
	}
	if state.Index != index || state.Known && state.Pending {
		return divergence.State{}, fmt.Errorf("state digest: node %d was asked about entry %d, and answers %.100q", peer,
			index, answer)
	}
	return state, nil
}

// readPointWire is the answer to a read-index request. A confirmed read index is never 0: the no-op of the leader's
// term comes first.
type readPointWire struct {
	Index  raft.Index `json:"index"`
	Leased bool       `json:"leased"`
}

// indexWire is a question about an entry.
type indexWire struct {
	Index raft.Index `json:"index"`
}

// Genesis sends a request of the founding to a peer (package node, founding). It changes nothing that a repetition
// would change again.
func (t *Transport) Genesis(
	ctx context.Context, peer raft.NodeID, r identity.GenesisRequest,
) (identity.GenesisAnswer, error) {
	var answer identity.GenesisAnswer
	question, err := json.Marshal(r)
	if err != nil {
		return answer, fmt.Errorf("cannot write the request: %w", err)
	}
	text, _, err := t.ask(ctx, peer, http.MethodPost, pathGenesis, question, maxSmallAnswer)
	if err != nil {
		return answer, err
	}
	if err := jsontext.UnmarshalWithin(text, maxValues, &answer); err != nil {
		return answer, fmt.Errorf("cannot read the answer of node %d: %w", peer, err)
	}
	return answer, nil
}

// transferWire is the request to hand the leadership over, and transferredWire its answer.
type transferWire struct {
	Term raft.Term   `json:"term"` // 0: whatever it is
	To   raft.NodeID `json:"to"`   // 0: to the best follower
}

type transferredWire struct {
	Done bool `json:"done"`
}

// Transfer asks the leader to hand over, and waits until it has. Its errors are as those of Propose.
func (t *Transport) Transfer(ctx context.Context, leader raft.NodeID, term raft.Term, to raft.NodeID) error {
	order, err := json.Marshal(transferWire{term, to})
	if err != nil {
		return &notSent{err}
	}
	answer, _, err := t.ask(ctx, leader, http.MethodPost, pathTransfer, order, maxSmallAnswer)
	if err != nil {
		return meaning("transfer", err, node.ErrOutcomeUnknown)
	}
	var w transferredWire
	if err := json.Unmarshal(answer, &w); err != nil || !w.Done {
		return fmt.Errorf("transfer: %w: cannot read the leader's answer %.100q", node.ErrOutcomeUnknown, answer)
	}
	return nil
}

// maxStatusBytes bounds the answer to a status request (trap H4). With 99 members and all events it has some 60 KiB.
const maxStatusBytes = 1 << 20

// Status asks a peer how it sees itself.
func (t *Transport) Status(ctx context.Context, peer raft.NodeID) (node.PeerStatus, error) {
	answer, byName, err := t.ask(ctx, peer, http.MethodGet, pathStatus, nil, maxStatusBytes)
	if err != nil {
		return node.PeerStatus{}, err
	}
	var status statusAnswer
	if err := jsontext.UnmarshalWithin(answer, maxValues, &status); err != nil {
		return node.PeerStatus{}, fmt.Errorf("cannot read the status of node %d: %w", peer, err)
	}
	who := t.who.Load()
	if p := who.peers[peer]; byName && p != nil && status.ID == uint64(peer) {
		p.learnKey(status.Key)
	}
	who.suggest(status.Hosts)
	return status.PeerStatus, nil
}

// notSent wraps the failure of a request that no node received.
type notSent struct{ cause error }

func (e *notSent) Error() string   { return node.ErrNotSent.Error() + ": " + e.cause.Error() }
func (e *notSent) Unwrap() []error { return []error{node.ErrNotSent, e.cause} }

// meaning adds what a failed call means, unless the error already contains it.
func meaning(call string, err, otherwise error) error {
	isMeant := asRefusal(err) != nil && !errors.Is(err, node.ErrOutcomeUnknown)
	if isMeant || errors.Is(err, node.ErrNotSent) {
		return fmt.Errorf("%s: %w", call, err)
	}
	return fmt.Errorf("%s: %w: %w", call, otherwise, err)
}

// ask sends one request to a peer, once, and returns the body of the answer. byName reports whether that came from the
// host to which the peer's configured name leads.
func (t *Transport) ask(ctx context.Context, to raft.NodeID, method, path string, text []byte, limit int64) (
	answer []byte, byName bool, err error,
) {
	p, ok := t.who.Load().peers[to]
	if !ok {
		return nil, false, &notSent{fmt.Errorf("node %d is not another member of the cluster", to)}
	}
	if t.isBlocked(to) {
		return nil, false, &notSent{errBlocked}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(t.timeFor(len(text)))
	}
	links := p.linksFor(path)
	k, err := links.borrow()
	if err != nil {
		return nil, false, &notSent{err}
	}
	held := t.cfg.Memory.NewAccount(budget.Peers, 0)
	defer held.Close()
	answer, sent, err := k.once(ctx, &request{
		Request: http1.Request{Method: method, Path: path, Body: text, Deadline: deadline}, limit: limit, held: held,
	})
	byName = k.byName
	links.giveBack(k)
	if err == nil && t.isBlocked(to) {
		err = errBlocked
	}
	if sent {
		err = p.met(err)
	}
	if err != nil && !sent {
		return nil, false, &notSent{fmt.Errorf("node %d at %s: %w", to, p.member.Address, err)}
	}
	if err != nil {
		return nil, false, fmt.Errorf("node %d at %s: %w", to, p.member.Address, err)
	}
	return answer, byName, nil
}
