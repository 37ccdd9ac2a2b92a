package transport

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// batch is an append of 64 entries of about 300 bytes, as in the measurements that the codec is held against.
func batch() *raft.Message {
	command := `{"op":"set","key":"key-000001","value":"` + strings.Repeat("v", 170) + `"}`
	m := heartbeat(2, 1)
	for i := range 64 {
		m.Entries = append(m.Entries, entries(raft.Index(1_000_000+i), command)...)
	}
	return &m
}

func perEntry(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/entry")
}

func BenchmarkEncodeAppendEntries(b *testing.B) {
	m := batch()
	dst := appendRequest(nil, m)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = appendRequest(dst[:0], m)
	}
	perEntry(b)
}

func BenchmarkDecodeAppendEntries(b *testing.B) {
	body := appendRequest(nil, batch())
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := scanAppendEntries(body); !ok {
				b.Fatal("not recognised")
			}
		}
		perEntry(b)
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseAppendEntries(body, nil); err != nil {
				b.Fatal(err)
			}
		}
		perEntry(b)
	})
}

// benchReceiver answers at once.
type benchReceiver struct{ received chan raft.Message }

func (r *benchReceiver) Receive(m raft.Message)        { r.received <- m }
func (r *benchReceiver) Unreachable(raft.NodeID)       {}
func (r *benchReceiver) HandleStatus() node.PeerStatus { return node.PeerStatus{} }

func (r *benchReceiver) Deliver(_ context.Context, m raft.Message) (raft.Message, error) {
	return raft.Message{Type: raft.MsgAppendEntriesResponse, Term: m.Term, Success: true, RequestID: m.RequestID}, nil
}

func (r *benchReceiver) HandlePropose(_ context.Context, commands [][]byte) []node.Outcome {
	outcomes := make([]node.Outcome, len(commands))
	for i := range outcomes {
		outcomes[i] = node.Outcome{Index: raft.Index(i), Term: 1, Result: kv.Result{Revision: uint64(i), Created: true}}
	}
	return outcomes
}

func (r *benchReceiver) HandleGenesis(context.Context, identity.GenesisRequest) (identity.GenesisAnswer, error) {
	return identity.GenesisAnswer{}, node.ErrNotReady
}

func (r *benchReceiver) HandleStateDigest(_ context.Context, index raft.Index) (divergence.State, error) {
	return divergence.State{Index: index, Known: true, Digest: 1<<64 - 1}, nil
}

func (r *benchReceiver) HandleFingerprint(_ context.Context, _ raft.NodeID, f divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	return f, nil
}

func (r *benchReceiver) HandleReadIndex(context.Context, raft.NodeID, raft.Term, bool) (raft.ReadPoint, error) {
	return raft.ReadPoint{Index: 1}, nil
}

func (r *benchReceiver) TransferLeadershipIn(context.Context, raft.Term, raft.NodeID) error {
	return nil
}

func (r *benchReceiver) HandleMemberChange(context.Context, api.MemberChange) (api.MemberChangeResponse, error) {
	return api.MemberChangeResponse{}, node.ErrNotLeader
}

func (r *benchReceiver) HandleOffer(context.Context, identity.Offer) error {
	return node.ErrIdentityTaken
}
func (r *benchReceiver) NoIdentity(raft.NodeID) {}

func (r *benchReceiver) HandleSnapshot(_ context.Context, c snapshot.Chunk) (snapshot.Answer, error) {
	return snapshot.Answer{Term: c.Term, Offset: c.Offset + int64(len(c.Data))}, nil
}

// benchPair makes two nodes on loopback.
func benchPair(b *testing.B) (*Transport, *benchReceiver) {
	b.Helper()
	members := []identity.Member{{ID: 1}, {ID: 2}}
	var pair []*Transport
	receiver := &benchReceiver{received: make(chan raft.Message, 1)}
	l := listen(b)
	members[1].Address = "http://" + l.Addr().String()
	for _, m := range members {
		tr := New(Config{ID: m.ID, ClusterID: testCluster, Members: members})
		tr.Start(receiver)
		b.Cleanup(func() { _ = tr.Close(context.Background()) })
		pair = append(pair, tr)
	}
	go func() { _ = pair[1].Serve(l) }()
	return pair[0], receiver
}

func BenchmarkRoundTrip(b *testing.B) {
	for i, m := range []raft.Message{heartbeat(2, 1), bulkAppend(2, 1), *batch()} {
		b.Run([]string{"heartbeat", "one-entry", "64-entries"}[i], func(b *testing.B) {
			tr, receiver := benchPair(b)
			b.ReportAllocs()
			for b.Loop() {
				tr.Send([]raft.Message{m})
				<-receiver.received
			}
		})
	}
}

func BenchmarkPropose(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tr, _ := benchPair(b)
			commands := make([][]byte, size)
			for i := range commands {
				commands[i] = batch().Entries[i].Command
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tr.Propose(context.Background(), 2, commands); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	tr, _ := benchPair(b)
	c := chunkOf(bytes.Repeat([]byte{0xff, '\n'}, snapshot.MaxChunkBytes/2))
	b.SetBytes(int64(len(c.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Snapshot(context.Background(), 2, c); err != nil {
			b.Fatal(err)
		}
	}
}
