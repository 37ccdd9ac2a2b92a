package main

import (
	"testing"

	"github.com/kontiki-dev/kontiki/hack/chaos/cluster"
	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/chaos/network"
	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

// put is a write through the library that returned at a time.
func put(at int64, outcome history.Outcome) history.Operation {
	return history.Operation{Kind: history.Put, Path: history.Library, Call: at - 1, Return: at, Outcome: outcome}
}

func TestServiceThatNeverComesBackIsAFailure(t *testing.T) {
	t.Parallel()
	spells := []spell{{"(calm)", 0, 10}, {"kill", 10, 20}, {"(calm)", 20, 30}}
	served := &trial{spells: spells, operations: []history.Operation{put(5, history.OK), put(31, history.OK)}}
	if err := served.unserved(); err != nil {
		t.Errorf("there was a write after all faults, but got: %v", err)
	}
	for _, end := range []history.Outcome{history.Fail, history.Unknown} {
		silent := &trial{spells: spells, operations: []history.Operation{put(15, history.OK), put(31, end)}}
		if err := silent.unserved(); err == nil || err.Error() != "since kill no write was done" {
			t.Errorf("all writes after the kill were %s: got %v", end, err)
		}
	}
}

// A disk that could not be filled is drained nevertheless.
func TestAFloodThatNeverBeganCanBeEnded(t *testing.T) {
	t.Parallel()
	net, err := network.NewProxies(3)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	tr, err := newTrial(&options{nodes: 3, kinds: fault.Kinds}, &cluster.Cluster{Network: net})
	if err != nil {
		t.Fatal(err)
	}
	tr.dry()
}
