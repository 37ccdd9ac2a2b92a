package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// Keys of the node_state table that authenticate nodes to each other (node/transport/DESIGN.md).
const (
	factPeerKey  = "peer_key"  // this node's private key: the seed in base64
	factPeerKeys = "peer_keys" // the public keys of the other members, by id
)

// peerKeys loads this node's own key from its disk, creates one if there is none, and loads the known keys of its
// peers.
func peerKeys(disk *storage.DB) (own ed25519.PrivateKey, others map[raft.NodeID]ed25519.PublicKey, err error) {
	facts, err := disk.Facts()
	if err != nil {
		return nil, nil, err
	}
	others = map[raft.NodeID]ed25519.PublicKey{}
	if text := facts[factPeerKeys]; text != "" {
		if err := json.Unmarshal([]byte(text), &others); err != nil {
			return nil, nil, fmt.Errorf("node_state.%s cannot be read: %w", factPeerKeys, err)
		}
	}
	if text := facts[factPeerKey]; text != "" {
		seed, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, nil, fmt.Errorf("node_state.%s is not a key of %d bytes in base64", factPeerKey, ed25519.SeedSize)
		}
		return ed25519.NewKeyFromSeed(seed), others, nil
	}
	_, own, err = ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot create a key for this node: %w", err)
	}
	return own, others, disk.SaveFacts(map[string]string{factPeerKey: base64.StdEncoding.EncodeToString(own.Seed())})
}

// learnedKey saves the key of a peer, so that the peer is recognised after a restart of this node. It does not wait
// for the disk, which would delay the status request that carries the key.
func (m *member) learnedKey(peer raft.NodeID, key ed25519.PublicKey) {
	m.keysMu.Lock()
	defer m.keysMu.Unlock()
	m.keys[peer] = key
	text, err := json.Marshal(m.keys)
	if err != nil {
		m.config.logger.Warn("the key of a peer cannot be encoded", "peer", peer, "error", err)
		return
	}
	m.keysSaved.Go(func() {
		if err := m.storage.SaveFacts(map[string]string{factPeerKeys: string(text)}); err != nil {
			m.config.logger.Warn("the key of a peer was not saved", "peer", peer, "error", err)
		}
	})
}
