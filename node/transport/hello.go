package transport

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	// helloFor is how long a node that starts tries to greet a peer: longer than a wrong answer of the DNS lasts.
	helloFor = time.Minute
	// helloPause is the longest pause between two tries.
	helloPause = time.Second
)

// statusAnswer is a node's status, and where it was called from: a member that moved before the node that asks did is
// found there, though the DNS may lead both of them to wrong addresses (trap O20).
type statusAnswer struct {
	node.PeerStatus
	// Hosts are the hosts that the members' last requests came from, by member id.
	Hosts map[raft.NodeID]string `json:"hosts,omitempty"`
	// Key is the node's public key (Ed25519) in base64, with which it proves who it is where its name does not lead.
	Key string `json:"key,omitempty"`
}

// hello calls the peer until it answers, once, when this node starts. The peer sees where the call comes from, so that
// its next message arrives here, and not first when this node's election timeout is over.
func (p *peer) hello() {
	t := p.transport
	ctx, cancel := context.WithTimeout(p.ctx, helloFor)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, helloPause) {
		call, done := context.WithTimeout(ctx, t.cfg.RoundTripTimeout)
		_, err := t.Status(call, p.member.ID)
		done()
		if err == nil || ctx.Err() != nil {
			return
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// calledFrom returns the hosts that the peers last called from.
func (who *membership) calledFrom() map[raft.NodeID]string {
	hosts := map[raft.NodeID]string{}
	for id, p := range who.peers {
		if host := p.where.hint.Load(); host != nil {
			hosts[id] = *host
		}
	}
	return hosts
}

// suggest takes the hosts that the peers called from, as another node has them.
func (who *membership) suggest(hosts map[raft.NodeID]string) {
	for id, host := range hosts {
		if p, ok := who.peers[id]; ok {
			p.where.suggest(host)
		}
	}
}

// suggest takes a hint from another node, which may be out of date: it does not replace what the peer itself has shown,
// unless that was found wrong.
func (w *whereabouts) suggest(host string) {
	if _, err := netip.ParseAddr(host); err != nil || host == w.host { // connections come from addresses
		return
	}
	known := w.hint.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	if known == nil || *known == w.wrong {
		w.hint.CompareAndSwap(known, &host)
	}
}
