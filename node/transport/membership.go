package transport

import (
	"maps"
	"net/url"
	"slices"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// membership is who this node is to its peers, and who they are. It is never changed.
type membership struct {
	id        raft.NodeID
	clusterID string
	members   []identity.Member
	peers     map[raft.NodeID]*peer

	// Of the members' addresses, as they are configured: what stands in the Host header of a peer's request, and the hosts
	// of that as address.HostOf returns them.
	authorities, hosts []string
}

// none is the membership of a node that has none yet. It sends nothing and takes nothing.
var none = &membership{}

// Identify tells the transport who this node is and who its peers are: once, if it was made without an ID. From then on
// it sends and answers. Before it, Send drops everything, and every request but that for the status is refused as not
// ready. It may come before Start or after it.
func (t *Transport) Identify(id raft.NodeID, clusterID string, members []identity.Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.who.Load() != none {
		panic("transport: this node was identified twice")
	}
	who := &membership{
		id: id, clusterID: clusterID, members: slices.Clone(members), peers: make(map[raft.NodeID]*peer, len(members)),
	}
	for _, m := range members {
		if u, err := url.Parse(m.Address); err == nil {
			who.authorities, who.hosts = append(who.authorities, u.Host), append(who.hosts, address.HostOf(u.Host))
		}
		if m.ID != id {
			who.peers[m.ID] = newPeer(t, who, m)
		}
	}
	t.who.Store(who)
	if t.receiver.Load() != nil && !t.closed {
		who.start()
	}
}

func (who *membership) start() {
	for _, p := range who.peers {
		p.start()
	}
}

// Peers gives the ids of the nodes that this one sends to, in ascending order; none before it has an identity.
func (t *Transport) Peers() []raft.NodeID {
	return slices.Sorted(maps.Keys(t.who.Load().peers))
}
