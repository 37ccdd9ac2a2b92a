package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// localCluster is a cluster in one process, whose nodes can be stopped, paused and partitioned.
type localCluster struct {
	log     *slog.Logger
	members []identity.Member
	failed  chan error // the first node that ended by itself

	mu        sync.Mutex
	seats     []*seat // by id, from 1
	partition [][]raft.NodeID
	closed    bool // no node may start
}

// seat is the place of one node, running or stopped.
type seat struct {
	config memberConfig
	member *member       // nil: stopped
	ending chan struct{} // closed when the last stopped member has ended; nil: none was stopped
	resume chan struct{} // not nil: paused; closing it resumes

	// gated is resume for the requests, which must not wait for an order that is being executed.
	gated atomic.Pointer[chan struct{}]
}

// seatState is the state of a node of a local cluster.
type seatState string

// The states of a node of a local cluster.
const (
	stateRunning seatState = "running"
	stateStopped seatState = "stopped"
	statePaused  seatState = "paused"
)

// errClosed: the whole cluster is being stopped.
var errClosed = errors.New("the cluster is stopping")

// errNoSuchNode: an order names a node that is not in the cluster.
var errNoSuchNode = errors.New("no such node")

func newLocalCluster(log *slog.Logger, members []identity.Member) *localCluster {
	return &localCluster{log: log, members: members, failed: make(chan error, 1)}
}

func (l *localCluster) startAll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seats {
		if err := l.startSeat(s); err != nil {
			return err
		}
	}
	return nil
}

// startSeat opens and starts the node of a seat. The caller holds the lock.
func (l *localCluster) startSeat(s *seat) error {
	if s.member != nil {
		return nil
	}
	if l.closed {
		return errClosed
	}
	if s.ending != nil {
		<-s.ending
	}
	config := s.config
	config.gate = l.gateOf(s)
	m, err := openMember(config)
	if err != nil {
		return err
	}
	if known := len(m.node.Observation().Membership().Members); known != len(l.members) {
		m.release()
		return fmt.Errorf("%s holds a cluster of %d nodes: give --nodes %d, or another --data-dir", config.dataDir, known,
			known)
	}
	s.member = m
	l.cut(s) // before it sends anything
	m.start()
	go l.watch(m)
	return nil
}

// watch reports a node that ends without being stopped.
func (l *localCluster) watch(m *member) {
	<-m.ended
	if m.err != nil {
		select {
		case l.failed <- m.err:
		default:
		}
	}
}

// gateOf holds the requests of a paused node, as a stopped process would.
func (l *localCluster) gateOf(s *seat) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if resume := s.gated.Load(); resume != nil {
				select {
				case <-*resume:
				case <-r.Context().Done():
					panic(http.ErrAbortHandler)
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// stopAll stops all nodes gracefully at the same time: no node is left to take over leadership. It does not hold the
// lock while it waits, because the requests that the nodes finish may need it.
func (l *localCluster) stopAll() error {
	var wait sync.WaitGroup
	failures := make([]error, len(l.seats))
	l.mu.Lock()
	l.closed = true
	for i, s := range l.seats {
		l.resumeSeat(s)
		if s.member == nil {
			continue
		}
		m := s.member
		s.member = nil
		wait.Go(func() { failures[i] = m.stop(false) })
	}
	l.mu.Unlock()
	wait.Wait()
	return errors.Join(failures...)
}

// states returns the state of each node.
func (l *localCluster) states() []seatState {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := make([]seatState, len(l.seats))
	for i, s := range l.seats {
		states[i] = stateRunning
		switch {
		case s.member == nil:
			states[i] = stateStopped
		case s.resume != nil:
			states[i] = statePaused
		}
	}
	return states
}

// seat returns a node's seat by id. The caller holds the lock.
func (l *localCluster) seat(id raft.NodeID) (*seat, error) {
	if id < 1 || id > raft.NodeID(len(l.seats)) {
		return nil, fmt.Errorf("%w: node %d; give 1 to %d", errNoSuchNode, id, len(l.seats))
	}
	return l.seats[id-1], nil
}

// stop kills a node, without a leadership transfer and without finishing requests. It does nothing if the node is
// stopped.
func (l *localCluster) stop(id raft.NodeID) error {
	l.mu.Lock()
	s, err := l.seat(id)
	if err != nil {
		l.mu.Unlock()
		return err
	}
	l.resumeSeat(s)
	m := s.member
	if m == nil {
		l.mu.Unlock()
		return nil
	}
	ending := make(chan struct{})
	defer close(ending)
	s.member, s.ending = nil, ending
	l.mu.Unlock()
	l.log.Info("chaos: stop", "node", id)
	return m.abort()
}

// start starts a stopped node with its data.
func (l *localCluster) start(id raft.NodeID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.seat(id)
	if err != nil {
		return err
	}
	l.log.Info("chaos: start", "node", id)
	return l.startSeat(s)
}

// pause freezes a node: it does nothing and answers no request until it is resumed.
func (l *localCluster) pause(id raft.NodeID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.seat(id)
	if err != nil || s.member == nil || s.resume != nil {
		return err
	}
	l.log.Info("chaos: pause", "node", id)
	resume := make(chan struct{})
	s.resume = resume
	s.gated.Store(&resume)
	s.member.node.Pause(s.resume)
	l.cut(s)
	return nil
}

func (l *localCluster) resume(id raft.NodeID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.seat(id)
	if err != nil {
		return err
	}
	l.log.Info("chaos: resume", "node", id)
	l.resumeSeat(s)
	return nil
}

func (l *localCluster) resumeSeat(s *seat) {
	if s.resume == nil {
		return
	}
	s.gated.Store(nil)
	close(s.resume)
	s.resume = nil
	l.cut(s)
}

// split partitions the network into the groups; each node in no group is alone. Without groups it heals the network.
func (l *localCluster) split(groups [][]raft.NodeID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[raft.NodeID]bool{}
	for _, group := range groups {
		for _, id := range group {
			if _, err := l.seat(id); err != nil {
				return err
			}
			if seen[id] {
				return fmt.Errorf("%w: node %d is in two groups", errNoSuchNode, id)
			}
			seen[id] = true
		}
	}
	l.log.Info("chaos: partition", "groups", groups)
	l.partition = groups
	for _, s := range l.seats {
		l.cut(s)
	}
	return nil
}

// cut sets which nodes a node's network can reach. The caller holds the lock.
func (l *localCluster) cut(s *seat) {
	if s.member == nil {
		return
	}
	blocked := map[raft.NodeID]bool{}
	for _, other := range l.members {
		if other.ID != s.config.id && (s.resume != nil || !l.connected(s.config.id, other.ID)) {
			blocked[other.ID] = true
		}
	}
	s.member.network.SetBlocked(blocked)
}

func (l *localCluster) connected(a, b raft.NodeID) bool {
	if len(l.partition) == 0 {
		return true
	}
	return l.groupOf(a) >= 0 && l.groupOf(a) == l.groupOf(b)
}

func (l *localCluster) groupOf(id raft.NodeID) int {
	for i, group := range l.partition {
		for _, member := range group {
			if member == id {
				return i
			}
		}
	}
	return -1
}
