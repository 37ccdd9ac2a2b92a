package raft

import (
	"fmt"
	"testing"
)

// BenchmarkReplicate sends proposals through a cluster of three without disks or network: append, send, acknowledge,
// commit, return. One operation is one entry.
func BenchmarkReplicate(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			cluster := newBenchCluster(b)
			commands := make([][]byte, batch)
			for i := range commands {
				commands[i] = make([]byte, 256)
			}
			b.ReportAllocs()
			for n := 0; n < b.N; n += batch {
				if _, _, err := cluster[0].Propose(1, commands); err != nil {
					b.Fatal(err)
				}
				cluster.settle(b)
			}
			if commit := cluster[0].log.commit; int(commit) < b.N {
				b.Fatalf("%d of %d entries committed", commit, b.N)
			}
		})
	}
}

// BenchmarkStatus measures the cost of the status that the loop publishes, at most once a tick and when the
// leadership changes.
func BenchmarkStatus(b *testing.B) {
	cluster := newBenchCluster(b)
	b.ReportAllocs()
	for range b.N {
		if cluster[0].Status().Role != Leader {
			b.Fatal("not the leader")
		}
	}
}

// benchCluster is a cluster without disks and network: nodes 1, 2 and 3 at 0, 1 and 2, led by node 1.
type benchCluster []*Core

func newBenchCluster(b *testing.B) benchCluster {
	b.Helper()
	var cluster benchCluster
	for id := NodeID(1); id <= 3; id++ {
		core, err := New(testConfig(id, []NodeID{1, 2, 3}, 1), HardState{}, Log{})
		if err != nil {
			b.Fatal(err)
		}
		cluster = append(cluster, core)
	}
	for range 2 * testElectionTicks {
		cluster[0].Tick()
		cluster.settle(b)
	}
	if cluster[0].role != Leader {
		b.Fatal("not elected")
	}
	return cluster
}

// settle delivers messages until there are none.
func (cluster benchCluster) settle(b *testing.B) {
	for busy := true; busy; {
		busy = false
		for _, core := range cluster {
			if !core.HasReady() {
				continue
			}
			busy = true
			rd := core.Ready()
			cluster.deliver(b, rd.Messages)
			cluster.deliver(b, rd.AfterSave)
			core.Advance(rd)
		}
	}
}

func (cluster benchCluster) deliver(b *testing.B, messages []Message) {
	for i := range messages {
		if err := cluster[messages[i].To-1].Step(messages[i]); err != nil {
			b.Fatal(err)
		}
	}
}
