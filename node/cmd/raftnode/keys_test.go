package main

import (
	"crypto/ed25519"
	"log/slog"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// A restarted node with its disk still authenticates to its peers, and recognises them.
func TestKeysStayOnTheDisk(t *testing.T) { // O20
	t.Parallel()
	dir := t.TempDir()
	open := func() (*storage.DB, ed25519.PrivateKey, map[raft.NodeID]ed25519.PublicKey) {
		disk, err := storage.Open(dir, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		own, others, err := peerKeys(disk)
		if err != nil {
			t.Fatal(err)
		}
		return disk, own, others
	}
	disk, own, others := open()
	if len(own) != ed25519.PrivateKeySize || len(others) > 0 {
		t.Fatalf("a new disk has a key of %d bytes and %d of peers", len(own), len(others))
	}
	peer, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{storage: disk, keys: others, config: memberConfig{logger: slog.New(slog.DiscardHandler)}}
	m.learnedKey(2, peer)
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	disk, again, others := open()
	defer disk.Close()
	if !again.Equal(own) || len(others) != 1 || !others[2].Equal(peer) {
		t.Errorf("after a restart the own key is the same: %t; those of peers are %v", again.Equal(own), others)
	}
	if err := disk.SaveFacts(map[string]string{factPeerKey: "AAAA"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := peerKeys(disk); err == nil {
		t.Error("a damaged key was accepted")
	}
}
