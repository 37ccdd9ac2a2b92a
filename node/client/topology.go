package client

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// topology is what is known of the cluster: its endpoints, and who leads. It learns from every answer
// and asks when it has reason to; it never asks by the clock.
type topology struct {
	config Config
	http   *http.Client
	fresh  *http.Client             // has a connection for each request
	moved  func()                   // called, without locks, when the leader or the term changed
	left   func(former []*endpoint) // called, without locks, when endpoints are used no more

	ctx    context.Context // ends with the client
	cancel context.CancelFunc

	mu        sync.Mutex
	endpoints []*endpoint
	rotation  int
	clusterID string
	seen      seenConfig    // whose members' endpoints are known
	changed   chan struct{} // closed and renewed with each change of leader
	lostAt    time.Time     // when the leader was lost, if none is known
	now       atomic.Pointer[leadership]
	admission admission
}

// leadership is who leads. It never changes, but is replaced, under the topology's lock.
type leadership struct {
	term     uint64
	leaderID uint64
	leader   *endpoint // nil: unknown, or known and not reached yet
}

func newTopology(config Config) *topology {
	t := &topology{
		config: config, http: config.httpClient(false), fresh: config.httpClient(true),
		changed: make(chan struct{}), lostAt: time.Now(),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.now.Store(new(leadership))
	return t
}

// pick chooses the endpoint for the next request among those that have room: the leader if it is wanted and
// known, else one after the other. Endpoints that failed lately come last, and those that have not answered yet
// not at all, unless they were configured. Nil: none has room.
func (t *topology) pick(anywhere bool, hasRoom func(*endpoint) bool) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.now.Load().leader; l != nil && !anywhere {
		if hasRoom(l) {
			return l
		}
		return nil
	}
	return t.next(anywhere, hasRoom)
}

// another chooses an endpoint like pick does where the leader is not known: any node takes any request.
func (t *topology) another(anywhere bool, will func(*endpoint) bool) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next(anywhere, will)
}

// next goes round the endpoints. The topology must be locked.
func (t *topology) next(anywhere bool, will func(*endpoint) bool) *endpoint {
	now := time.Now()
	t.rotation++
	var down *endpoint
	for i := range t.endpoints {
		e := t.endpoints[(t.rotation+i)%len(t.endpoints)]
		switch {
		case !e.isOurs() || !will(e):
		case e.isFit(anywhere, now):
			return e
		case down == nil || e.downUntil.Before(down.downUntil):
			down = e
		}
	}
	return down
}

// failed notes that an endpoint could not be reached, or broke a connection. It is left alone for a while that
// grows with each failure; and if it led, it probably does no more.
func (t *topology) failed(e *endpoint) {
	t.mu.Lock()
	e.failures++
	e.downUntil = time.Now().Add(restAfter(e.failures))
	e.answered = false // until it has answered a question again
	t.loseLeader(e)
	t.mu.Unlock()
	t.askAround(askEvery)
}

// restAfter is how long an endpoint is left alone after so many failures in a row.
func restAfter(failures int) time.Duration {
	return min(25*time.Millisecond<<min(failures, 6), time.Second)
}

// loseLeader notes that a leader, if the endpoint is its, does not lead any more or cannot be reached. The topology
// must be locked.
func (t *topology) loseLeader(e *endpoint) {
	if now := t.now.Load(); now.leader == e {
		t.setLeadership(leadership{term: now.term, leaderID: now.leaderID})
	}
}

// setLeadership replaces the leadership; the topology must be locked.
func (t *topology) setLeadership(next leadership) {
	was := t.now.Load()
	if *was == next {
		return
	}
	replacement := next // of its own, so that an answer that brings nothing new allocates nothing
	t.now.Store(&replacement)
	if was.leader == next.leader {
		return
	}
	if next.leader == nil {
		t.lostAt = time.Now()
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// verdict is what an answer means for its endpoint.
type verdict uint8

const (
	responds verdict = iota // it answers; nothing is known of requests that need the leader
	served                  // it did what only a node with a leader can do
	refused                 // it has no leader, or is not ready: nothing was done (cannotServe)
)

// learn takes from an answer, by its verdict and its headers, whether its node serves, and who leads.
func (t *topology) learn(from *endpoint, header http.Header, v verdict) {
	term, errTerm := strconv.ParseUint(header.Get(api.HeaderTerm), 10, 64)
	leaderID, errLeader := strconv.ParseUint(header.Get(api.HeaderLeader), 10, 64)
	t.mu.Lock()
	before := t.now.Load()
	t.judge(from, v)
	if errTerm == nil && errLeader == nil {
		t.noteLeader(term, leaderID)
	}
	now := t.now.Load()
	t.mu.Unlock()
	switch {
	case v == refused:
		t.askAround(t.interval())
	case now.leader == nil && now.leaderID != 0:
		t.askAround(time.Second) // not more often: from here the leader may be out of reach for good
	}
	if now != before {
		t.moved()
	}
}

// judge takes in a verdict. An endpoint that refuses is left alone like one that fails, and longer each time until it
// serves again, because an answer alone proves nothing: a node that is cut off from the others answers, too. The
// topology must be locked.
func (t *topology) judge(e *endpoint, v verdict) {
	e.failures = 0
	switch v {
	case served:
		e.refusals = 0
	case refused:
		e.refusals++
		e.downUntil = time.Now().Add(restAfter(e.refusals))
		t.loseLeader(e)
	case responds:
	}
	if e.refusals == 0 {
		e.downUntil = time.Time{}
	}
}

// noteLeader records that in this term this member leads (0: none is known). A higher term counts more; in the same
// term a node without a leader does not contradict one that does. The topology must be locked.
func (t *topology) noteLeader(term, leaderID uint64) {
	now := t.now.Load()
	if term < now.term || term == now.term && leaderID == 0 {
		return
	}
	t.setLeadership(leadership{term: term, leaderID: leaderID, leader: t.reachable(leaderID)})
}

// reachable returns an endpoint of a member that was seen to answer as this member: one that is known from the
// membership before a configured one, which may stand for several nodes. The topology must be locked.
func (t *topology) reachable(id uint64) *endpoint {
	var found *endpoint
	for _, e := range t.endpoints {
		if id != 0 && e.answered && e.id == id && (found == nil || !e.configured) {
			found = e
		}
	}
	return found
}

// leaderChanged returns a channel that is closed when the leader changes.
func (t *topology) leaderChanged() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// isOurs reports whether requests may go to an endpoint at all. The topology must be locked.
func (e *endpoint) isOurs() bool { return e.foreign == "" && (e.configured || e.answered) }

// isFit reports whether an endpoint is likely to serve. The topology must be locked.
func (e *endpoint) isFit(anywhere bool, now time.Time) bool {
	return e.downUntil.Before(now) && (anywhere || !e.leaderless) && !e.removed
}

// all returns every endpoint that a request may go to, the leader's first if it is wanted, those that failed
// lately last.
func (t *topology) all(leaderFirst bool) []*endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	var leader, good, bad []*endpoint
	now, first := time.Now(), t.now.Load().leader
	t.rotation++
	for i := range t.endpoints {
		e := t.endpoints[(t.rotation+i)%len(t.endpoints)]
		switch {
		case !e.isOurs():
		case e == first && leaderFirst:
			leader = append(leader, e)
		case e.isFit(!leaderFirst, now):
			good = append(good, e)
		default:
			bad = append(bad, e)
		}
	}
	return append(append(leader, good...), bad...)
}
