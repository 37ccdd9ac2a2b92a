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
	founding  []identity.Member // as Identify got them: a static start derives the cluster's id from them
	founders  string            // names the disks that founded the cluster; "": not known yet
	peers     map[raft.NodeID]*peer

	// Of the members' addresses, as they are configured: what stands in the Host header of a peer's request, and the hosts
	// of that as address.HostOf returns them.
	authorities, hosts []string
}

// none is the membership of a node that has none yet. It sends nothing and takes nothing.
var none = &membership{}

// Identify sets who this node is and who the members are: once, if it was made without an ID. From then on it sends and
// answers. Before it, Send drops everything, and every request but that for the status is refused as not ready. It may
// come before Start or after it.
func (t *Transport) Identify(id raft.NodeID, clusterID string, members []identity.Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.who.Load() != none {
		panic("transport: this node was identified twice")
	}
	t.replace(&membership{id: id, clusterID: clusterID, founding: slices.Clone(members)}, members)
}

// Founded sets by which disks the cluster was founded, as identity.Seating.Digest names them. From the next SetPeers
// on, requests carry that, and those of a cluster that others founded are refused.
func (t *Transport) Founded(digest string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.founders = digest
}

// SetPeers replaces the members of the cluster, this node included or not, after Identify. The links to a peer whose
// address stays are kept. Those to a peer that left, or whose address changed, are closed: what was sent there and not
// answered is lost, and reported for a peer that stays.
func (t *Transport) SetPeers(members []identity.Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := t.who.Load()
	if who == none {
		panic("transport: this node has no identity")
	}
	t.replace(&membership{
		id: who.id, clusterID: who.clusterID, founding: who.founding, founders: t.founders,
	}, members)
}

// replace completes the next membership with the members, starts the peers that are new in it, and stops those that are
// not in it. mu is held.
func (t *Transport) replace(who *membership, members []identity.Member) {
	was := t.who.Load()
	who.peers = make(map[raft.NodeID]*peer, len(members))
	for _, m := range members {
		if u, err := url.Parse(m.Address); err == nil {
			who.authorities, who.hosts = append(who.authorities, u.Host), append(who.hosts, address.HostOf(u.Host))
		}
		if m.ID != who.id {
			who.peers[m.ID] = t.peerFor(who, m, was.peers[m.ID])
		}
	}
	t.who.Store(who)
	for id, p := range was.peers {
		next := who.peers[id]
		if next == p {
			continue
		}
		p.stop()
		if next != nil {
			next.drop() // what waited there is lost
		}
	}
	if t.receiver.Load() != nil && !t.closed {
		who.start(was)
	}
}

// peerFor returns the peer for a member: the current one, nil if there is none, unless its address has changed, or what
// this node sends with each request.
func (t *Transport) peerFor(who *membership, m identity.Member, current *peer) *peer {
	if current == nil {
		return newPeer(t, who, m)
	}
	if current.member.Address == m.Address && current.header.Get(headerFounders) == who.founders {
		return current
	}
	p := newPeer(t, who, m)
	p.key.Store(current.key.Load())
	p.lost = current.lost // a message that still goes to the current one is reported as well
	return p
}

// start starts the peers that were not in another membership.
func (who *membership) start(was *membership) {
	for id, p := range who.peers {
		if was.peers[id] != p {
			p.start()
		}
	}
}

// Peers returns the ids of the nodes that this one sends to, in ascending order; none before it has an identity.
func (t *Transport) Peers() []raft.NodeID {
	return slices.Sorted(maps.Keys(t.who.Load().peers))
}
