package node

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// errNotInstalled means that a peer took no snapshot.
var errNotInstalled = errors.New("node: the peer installed no snapshot")

// maxSnapshotFailures is the number of chunks in a row that may fail before a snapshot is given up for now.
const maxSnapshotFailures = 5

// snapshotSlack is how far a stream may fall behind its bandwidth and make up for it: the waits between chunks are
// short, and each is longer than was asked for.
const snapshotSlack = 20 * time.Millisecond

// sendSnapshots sends a snapshot to each follower that needs one, apart from the loop.
func (l *loop) sendSnapshots(peers []raft.NodeID) {
	for _, peer := range peers {
		term, from := l.core.Term(), max(l.core.SnapshotFrom(peer), l.housekeeping.removed)
		l.sched.Go(func() { l.node.sendSnapshot(peer, term, from) })
	}
}

// sendSnapshot sends a snapshot to a follower that needs one that reaches an index, and reports to the core how that
// ended.
func (n *Node) sendSnapshot(peer raft.NodeID, term raft.Term, from raft.Index) {
	began := n.sched.Now()
	index, err := n.streamSnapshot(peer, term, from)
	n.inbox.order(func(l *loop) {
		l.housekeeping.unpin(peer, term)
		l.recorder.SnapshotSent(term, peer, index, l.sched.Now().Sub(began), err)
		switch {
		case l.core.Term() != term || l.standing.Role != raft.Leader:
		case err != nil:
			l.core.SnapshotFailed(peer)
		default:
			l.core.SnapshotSent(peer, index)
		}
	})
}

// streamSnapshot sends a snapshot in chunks until the peer has installed it, and returns its position.
func (n *Node) streamSnapshot(peer raft.NodeID, term raft.Term, from raft.Index) (raft.Index, error) {
	if err := n.Sound(); err != nil {
		return 0, err // a state that differs is not sent
	}
	if err := n.checkpointer.reach(max(from, 1)); err != nil {
		return 0, err
	}
	if err := cmp.Or(n.confirmState(), n.Sound()); err != nil { // it may have been found out meanwhile
		return 0, err
	}
	source, err := n.checkpointer.open(from)
	if err != nil {
		return 0, fmt.Errorf("node: cannot make a snapshot: %w", err)
	}
	defer source.Release()
	description := snapshot.Describe(source)
	start := description.Start.Index
	n.inbox.order(func(l *loop) { l.housekeeping.sending[peer] = pinned{term, start} })
	s := snapshotStream{
		Node: n, peer: peer, source: source, buffer: make([]byte, n.cfg.SnapshotChunk),
		chunk: snapshot.Chunk{Description: description, Term: term, From: n.self().ID},
	}
	for s.failures < maxSnapshotFailures {
		if v := n.currentView(); v.term != term || v.leader != n.self().ID {
			return 0, ErrNotLeader
		}
		if err := n.Sound(); err != nil {
			return 0, err // the snapshot is of the state that differs
		}
		installed, err := s.sendChunk()
		if err != nil || installed {
			return s.chunk.Start.Index, err
		}
	}
	return 0, errNotInstalled
}

// snapshotStream sends one snapshot to one peer.
type snapshotStream struct {
	*Node
	peer     raft.NodeID
	source   snapshot.Source
	buffer   []byte
	chunk    snapshot.Chunk
	failures int       // chunks in a row without an answer
	due      time.Time // when the bandwidth allows for the next chunk
}

// sendChunk sends the chunk at the offset that the peer wants next, and waits as long as the bandwidth asks for. At the
// end of the snapshot it sends empty chunks, four in each heartbeat interval, until the peer has verified and installed
// it.
func (s *snapshotStream) sendChunk() (installed bool, err error) {
	size := min(int64(len(s.buffer)), s.chunk.Size-s.chunk.Offset)
	s.chunk.Data = s.buffer[:size]
	if _, err := s.source.ReadAt(s.chunk.Data, s.chunk.Offset); err != nil && size > 0 {
		return false, fmt.Errorf("node: cannot read the snapshot: %w", err)
	}
	ctx, cancel := s.sched.WithTimeout(s.base, s.cfg.RequestLimit)
	answer, err := s.cfg.Transport.Snapshot(ctx, s.peer, s.chunk)
	cancel()
	wait := s.cfg.HeartbeatInterval
	switch {
	case err != nil:
		s.failures++
	case answer.Installed:
		return true, nil
	case answer.Term > s.chunk.Term:
		return false, ErrNotLeader
	case answer.Offset < 0 || answer.Offset > s.chunk.Size:
		return false, fmt.Errorf("node: node %d has %d bytes of a snapshot of %d", s.peer, answer.Offset, s.chunk.Size)
	default:
		s.failures = 0
		switch {
		case size == 0:
			wait /= 4
		case answer.Offset == s.chunk.Offset+size:
			wait = s.pace(size)
		}
		s.chunk.Offset = answer.Offset
	}
	s.sched.Wait(wait, scheduler.Signals{s.stopped})
	return false, nil
}

// pace returns how long to wait after a chunk of so many bytes.
func (s *snapshotStream) pace(size int64) time.Duration {
	now := s.sched.Now()
	if behind := now.Add(-snapshotSlack); s.due.Before(behind) {
		s.due = behind
	}
	s.due = s.due.Add(time.Duration(float64(size) / float64(s.cfg.SnapshotBandwidth) * float64(time.Second)))
	return max(0, s.due.Sub(now))
}
