package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	// headerChallenge carries what a proof must be made over, so that no proof serves twice.
	headerChallenge = "X-Kontiki-Challenge"
	// proofTimeout bounds the exchange in which a host proves which member it is.
	proofTimeout = time.Second
	challengeMin = 22 // characters: 128 bits in base64
	challengeMax = 128
)

// proofText is what a member signs: who it is, in which cluster, for whom, and at which host it was asked. With the
// host in it a proof is of no use to a program elsewhere that passes the question on and the answer back.
func proofText(clusterID string, member, asker raft.NodeID, host, challenge string) []byte {
	return fmt.Appendf(nil, "kontiki peer proof 1\n%s\n%d\n%d\n%s\n%s", clusterID, member, asker, host, challenge)
}

// proofWire is the answer to a request for a proof.
type proofWire struct {
	Proof []byte `json:"proof"`
}

// prove answers a peer that asks whether this is the member that it looks for.
func (t *Transport) prove(w http.ResponseWriter, r *http.Request) {
	from, no := t.identified(r)
	challenge := r.Header.Get(headerChallenge)
	switch {
	case no != nil:
	case t.cfg.Key == nil:
		no = refuse(api.CodeInvalid, "this node has no key to prove who it is with")
	case len(challenge) < challengeMin || len(challenge) > challengeMax:
		no = refuse(api.CodeInvalid, "%s should have %d to %d characters", headerChallenge, challengeMin, challengeMax)
	}
	if no != nil {
		writeRefusal(w, no)
		return
	}
	who := t.who.Load()
	signed := ed25519.Sign(t.cfg.Key, proofText(who.clusterID, who.id, from, t.localHost(r), challenge))
	text, err := json.Marshal(proofWire{signed})
	if err != nil {
		writeRefusal(w, refuse("internal", "cannot write the proof: %s", err))
		return
	}
	write(w, http.StatusOK, text)
}

// localHost is the host at which a request arrived.
func localHost(r *http.Request) string {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	return address.HostOf(local.String())
}

var errNoProof = errors.New("the program that answers there did not prove to be the peer")

// verify asks the other end of a new connection to a host, at which the peer may be, to prove that it is the peer.
func (p *peer) verify(ctx context.Context, conn *http1.Conn, host string) error {
	key := p.key.Load()
	if key == nil {
		return fmt.Errorf("%w: its key is not known yet", errNoProof)
	}
	challenge := rand.Text()
	header := p.header.Clone()
	header.Set(headerChallenge, challenge)
	// The exchange has a link of its own for this one connection, and leaves the connection open.
	k := newLink(p.where, header)
	if k.err != nil {
		return k.err
	}
	k.conn = conn
	deadline, ok := ctx.Deadline()
	if limit := time.Now().Add(proofTimeout); !ok || deadline.After(limit) {
		deadline = limit
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	answer, err := k.exchange(conn, &request{ // its answer is too small to be charged
		Request: http1.Request{Method: http.MethodGet, Path: pathProof, Deadline: deadline}, limit: maxSmallAnswer,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errNoProof, err)
	}
	var w proofWire
	if err := json.Unmarshal(answer, &w); err != nil {
		return fmt.Errorf("%w: %w", errNoProof, err)
	}
	who := p.transport.who.Load()
	if !ed25519.Verify(*key, proofText(who.clusterID, p.member.ID, p.self, address.HostOf(host), challenge), w.Proof) {
		return errNoProof
	}
	if k.conn == nil {
		return fmt.Errorf("%w: it ends the connection", errNoProof)
	}
	return conn.SetDeadline(time.Time{})
}

// learnKey keeps the key that a peer sent from where its configured name leads. The name decides: a peer whose disk was
// replaced has another key.
func (p *peer) learnKey(text string) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(decoded) != ed25519.PublicKeySize {
		return
	}
	key := ed25519.PublicKey(decoded)
	if known := p.key.Load(); known != nil && key.Equal(*known) {
		return
	}
	p.key.Store(&key)
	if p.transport.cfg.LearnedKey != nil {
		p.transport.cfg.LearnedKey(p.member.ID, key)
	}
}

// ownKey is this node's public key as it is in a status, empty if it has none.
func (t *Transport) ownKey() string {
	if t.cfg.Key == nil {
		return ""
	}
	public, _ := t.cfg.Key.Public().(ed25519.PublicKey)
	return base64.StdEncoding.EncodeToString(public)
}
