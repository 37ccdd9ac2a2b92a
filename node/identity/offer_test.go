package identity

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestAnOfferIsMeantForOneAddress(t *testing.T) { // T28
	t.Parallel()
	good := Offer{
		ClusterID: "c", NodeID: 4, Address: "http://h4:7080", Founders: []raft.Seat{{Member: 1, Incarnation: 11}},
	}
	for _, own := range []string{"http://h4:7080", "http://H4:7080/"} {
		if err := good.Check(own); err != nil {
			t.Errorf("at %s: %v", own, err)
		}
	}
	for says, change := range map[string]func(o *Offer){
		"came to another node":      func(o *Offer) { o.Address = "http://h5:7080" },
		"cluster id is missing":     func(o *Offer) { o.ClusterID = "" },
		"node id 0":                 func(o *Offer) { o.NodeID = 0 },
		"0 founders":                func(o *Offer) { o.Founders = nil },
		"founded the cluster with":  func(o *Offer) { o.NodeID = 1 },
		"follows that of node":      func(o *Offer) { o.Founders = append(o.Founders, o.Founders[0]) },
		"seat 0 is of node 0":       func(o *Offer) { o.Founders = []raft.Seat{{}} },
		"incarnation":               func(o *Offer) { o.Founders = []raft.Seat{{Member: 1, Incarnation: 1<<53 + 1}} },
		"at http://h4:7081, but th": func(o *Offer) { o.Address = "http://h4:7081" },
	} {
		bad := good
		bad.Founders = slices.Clone(good.Founders)
		change(&bad)
		if err := bad.Check("http://h4:7080"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	if err := good.Check(""); err == nil {
		t.Error("a node without an address accepts the offer")
	}
}

// The disk of a node that was added has no list of members: the log has the configuration.
func TestAnAcceptedOfferIsReadAgain(t *testing.T) {
	t.Parallel()
	o := Offer{ClusterID: "c", NodeID: 4, Founders: []raft.Seat{{Member: 1, Incarnation: 11}}}
	in := NewSeating(o.Founders, rand.New(rand.NewPCG(1, 2)))
	facts := saved(t, o.Assignment(), in)
	who, err := Read(facts)
	if err != nil || who.ID != 4 || len(who.Members) != 0 || who.Seating.Incarnation != in.Incarnation || who.Removed {
		t.Fatalf("got %+v, %v", who, err)
	}
	if err := who.CheckStart(0); err != nil {
		t.Error(err)
	}
	if initial, err := InitialConfiguration(who.Members); err != nil || !initial.IsZero() {
		t.Errorf("it begins with %+v, %v", initial, err)
	}
	if HoldsSeat(facts) {
		t.Error("its disk has a seat before the log gave it one")
	}
	for key, value := range RemovedFacts() {
		facts[key] = value
	}
	if who, err = Read(facts); err != nil || !who.Removed {
		t.Errorf("after its removal: %+v, %v", who, err)
	}
	delete(facts, factFounders)
	if _, err := Read(facts); err == nil {
		t.Error("a disk with an identity, and with neither members nor founders, is accepted")
	}
}
