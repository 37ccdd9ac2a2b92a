package node_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// alone runs a cluster of one, whose disk is memory, until it leads.
func alone(b *testing.B) *node.Node {
	b.Helper()
	members := []identity.Member{{ID: 1, Address: "http://node"}}
	n, err := node.New(node.Options{
		ID: 1, ClusterID: identity.StaticClusterID(members), Members: members, Storage: newDisk(),
		Transport: &port{&lan{nodes: map[raft.NodeID]*node.Node{}}, 1}, Rand: rand.New(rand.NewPCG(1, 7)),
		HeartbeatInterval: 10 * time.Millisecond, ElectionTimeout: 15 * time.Millisecond,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	for n.Status().State != raft.Leader.String() {
		time.Sleep(time.Millisecond)
	}
	return n
}

var incr = [][]byte{[]byte(`{"op":"incr","key":"n","by":1}`)}

func BenchmarkProposeOneByOne(b *testing.B) {
	n := alone(b)
	b.ReportAllocs()
	for b.Loop() {
		if o := n.Propose(b.Context(), incr)[0]; o.Err != nil {
			b.Fatal(o.Err)
		}
	}
}

func BenchmarkProposeByManyAtOnce(b *testing.B) {
	n := alone(b)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if o := n.Propose(b.Context(), incr)[0]; o.Err != nil {
				b.Error(o.Err)
			}
		}
	})
}

func BenchmarkReadBarrierByManyAtOnce(b *testing.B) {
	n := alone(b)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := n.ReadBarrier(b.Context()); err != nil {
				b.Error(err)
			}
		}
	})
}
