package node_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ask returns the node to which a call goes: calls are for members only, unlike the messages of Raft.
func (p *port) ask(peer raft.NodeID) *node.Node {
	if !p.lan.isPeer(peer, p.id) {
		return nil
	}
	return p.lan.reach(p.id, peer)
}

func (p *port) SetPeers(peers []identity.Member) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	known := map[raft.NodeID]identity.Member{}
	for _, m := range peers {
		known[m.ID] = m
	}
	if p.lan.peers == nil {
		p.lan.peers = map[raft.NodeID]map[raft.NodeID]identity.Member{}
	}
	p.lan.peers[p.id] = known
}

func (p *port) ChangeMembers(ctx context.Context, leader raft.NodeID, change api.MemberChange) (
	api.MemberChangeResponse, error,
) {
	target := p.ask(leader)
	if target == nil {
		return api.MemberChangeResponse{}, node.ErrNotSent
	}
	time.Sleep(latency) // fake time: the network's delay
	p.lan.mu.Lock()
	early := p.lan.early > 0
	if early {
		p.lan.early--
	}
	p.lan.mu.Unlock()
	if early {
		return api.MemberChangeResponse{}, node.ErrNotLeader
	}
	response, err := target.HandleMemberChange(ctx, change)
	if p.lan.reach(leader, p.id) == nil {
		return api.MemberChangeResponse{}, errUnplugged
	}
	return response, err
}

func (p *port) Offer(ctx context.Context, peer raft.NodeID, offer identity.Offer) error {
	target := p.lan.reach(p.id, peer)
	if target == nil {
		return node.ErrNotSent
	}
	time.Sleep(latency) // fake time: the network's delay
	return target.HandleOffer(ctx, offer)
}

func (p *port) StatusAt(_ context.Context, url string) (node.PeerStatus, error) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	for id, n := range p.lan.nodes {
		if p.lan.addressOf(id) == url && (p.lan.cut == nil || !p.lan.cut(p.id, id)) {
			return n.HandleStatus(), nil
		}
	}
	return node.PeerStatus{}, errUnplugged
}

// addressOf returns where the node of an id listens.
func (l *lan) addressOf(id raft.NodeID) string {
	if address, ok := l.at[id]; ok {
		return address
	}
	return placeOf(id)
}

// placeOf is the address of a node of a test.
func placeOf(id raft.NodeID) string { return fmt.Sprintf("http://node%d:7080", id) }

// join starts an empty node that waits to be added, with the id that it will have, at a place.
func (c *cluster) join(id raft.NodeID, place string) *running {
	c.t.Helper()
	c.lan.mu.Lock()
	if c.lan.at == nil {
		c.lan.at = map[raft.NodeID]string{}
	}
	for other, at := range c.lan.at {
		if at == place {
			delete(c.lan.at, other)
		}
	}
	c.lan.at[id] = place
	c.lan.mu.Unlock()
	if c.disks[id] == nil {
		c.disks[id] = newDisk()
	}
	return c.start(id)
}
