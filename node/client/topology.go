package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// endpoint is the API port of one node, or of something in front of several.
type endpoint struct {
	url        *url.URL
	address    string // host:port
	configured bool   // by the user; the others were learned from the members

	// Guarded by the topology's lock.
	answered  bool // it was seen to answer as a member of this cluster
	id        uint64
	failures  int
	downUntil time.Time
}

func (e *endpoint) name() string { return e.url.Host }

// parseEndpoint reads http://host:port, https://host:port/prefix or host:port.
func parseEndpoint(text string) (*endpoint, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("endpoint %q must be a URL like http://127.0.0.1:8080", text)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return &endpoint{url: u, address: net.JoinHostPort(u.Hostname(), port)}, nil
}

// topology is what the client knows of the cluster: its endpoints, and who leads. It learns from every answer
// and asks when it has reason to; it never asks by the clock.
type topology struct {
	config Config
	http   *http.Client
	moved  func() // called, without locks, when the leader or an endpoint changed

	mu        sync.Mutex
	endpoints []*endpoint
	rotation  int
	clusterID string
	term      uint64
	leader    *endpoint // nil: unknown, or known and not reached yet
	leaderID  uint64
	changed   chan struct{} // closed and renewed with each change of leader
	asking    chan struct{} // closed when the refresh that runs has ended; nil: none runs
	askedAt   time.Time
	leaderNow atomic.Pointer[endpoint] // leader, for a reader without the lock
}

// pick chooses the endpoint for the next request among those that have room: the leader if it is wanted and
// known, else one after the other. Endpoints that failed lately come last, and those that have not answered yet
// not at all, unless they were configured. Nil: none has room.
func (t *topology) pick(anywhere bool, hasRoom func(*endpoint) bool) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.leader; l != nil && !anywhere {
		if hasRoom(l) {
			return l
		}
		return nil
	}
	now := time.Now()
	t.rotation++
	var down *endpoint
	for i := range t.endpoints {
		e := t.endpoints[(t.rotation+i)%len(t.endpoints)]
		switch {
		case !hasRoom(e) || !e.configured && !e.answered:
		case e.downUntil.Before(now):
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
	pause := min(25*time.Millisecond<<min(e.failures, 6), time.Second)
	e.downUntil = time.Now().Add(pause)
	e.answered = false // until a refresh has seen it again
	if t.leader == e {
		t.setLeader(nil)
	}
	t.mu.Unlock()
	t.refreshSoon(refreshEvery)
}

// setLeader changes the leader; the topology must be locked.
func (t *topology) setLeader(e *endpoint) {
	if t.leader == e {
		return
	}
	t.leader = e
	t.leaderNow.Store(e)
	close(t.changed)
	t.changed = make(chan struct{})
}

// learn takes from the headers of an answer what its node knows: that it lives, and who leads.
func (t *topology) learn(from *endpoint, header http.Header) {
	term, err := strconv.ParseUint(header.Get(HeaderTerm), 10, 64)
	if err != nil {
		return
	}
	leaderID, err := strconv.ParseUint(header.Get(HeaderLeader), 10, 64)
	if err != nil {
		return
	}
	t.mu.Lock()
	from.failures, from.downUntil = 0, time.Time{}
	before := t.leader
	t.hear(term, leaderID)
	ask, moved := t.leader == nil && leaderID != 0, t.leader != before
	t.mu.Unlock()
	if ask {
		t.refreshSoon(time.Second) // not more often: from here the leader may be out of reach for good
	}
	if moved {
		t.moved()
	}
}

// hear takes in that in this term this member leads (0: nobody known). A higher term counts more; in the same
// term a node that knows of no leader does not contradict one that does. The topology must be locked.
func (t *topology) hear(term, leaderID uint64) {
	if term < t.term || term == t.term && leaderID == 0 {
		return
	}
	t.term, t.leaderID = term, leaderID
	t.setLeader(t.reachable(leaderID))
}

// reachable gives an endpoint of a member that was seen to answer as this member: one that is known from the
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

// leadsElsewhere tells whether another endpoint than this one is known to be the leader's.
func (t *topology) leadsElsewhere(e *endpoint) bool {
	l := t.leaderNow.Load()
	return l != nil && l != e
}

// leaderChanged gives a channel that is closed when the leader changes.
func (t *topology) leaderChanged() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// refreshEvery bounds how often the members are asked while there is no leader.
const refreshEvery = 50 * time.Millisecond

// refreshSoon asks the members in the background, unless that was done within the last while.
func (t *topology) refreshSoon(while time.Duration) {
	t.mu.Lock()
	due := t.asking == nil && time.Since(t.askedAt) > while
	t.mu.Unlock()
	if due {
		go t.refresh()
	}
}

// refresh asks every known endpoint, in parallel and for at most ProbeTimeout, how it sees the cluster, and
// those that it hears of thereby. Callers that come while one refresh runs wait for that one.
func (t *topology) refresh() {
	t.mu.Lock()
	if running := t.asking; running != nil {
		t.mu.Unlock()
		<-running
		return
	}
	done := make(chan struct{})
	t.asking = done
	asked := make(map[*endpoint]bool)
	t.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), t.config.ProbeTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var askAll func()
	askAll = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, e := range t.endpoints {
			if !asked[e] {
				asked[e] = true
				wg.Go(func() {
					if t.ask(ctx, e) {
						askAll()
					}
				})
			}
		}
	}
	askAll()
	wg.Wait()

	t.mu.Lock()
	t.asking, t.askedAt = nil, time.Now()
	t.mu.Unlock()
	close(done)
}

// ask asks one endpoint for its view of the cluster, and takes it in. It tells whether there are new endpoints.
func (t *topology) ask(ctx context.Context, e *endpoint) bool {
	view, err := t.view(ctx, e)
	if err != nil {
		return false
	}
	t.mu.Lock()
	if t.clusterID == "" {
		t.clusterID = view.ClusterID
	}
	if view.ClusterID != t.clusterID || view.NodeID == 0 {
		t.mu.Unlock()
		return false
	}
	known, before := len(t.endpoints), t.leader
	e.answered, e.id, e.failures, e.downUntil = true, view.NodeID, 0, time.Time{}
	for _, m := range view.Config.Members {
		t.addMember(m)
	}
	t.hear(view.Term, view.LeaderID)
	if t.leader == nil || t.leader.configured {
		// The leader was heard of before, and its own endpoint answers only now.
		t.setLeader(t.reachable(t.leaderID))
	}
	more, moved := len(t.endpoints) > known, t.leader != before
	t.mu.Unlock()
	if moved {
		t.moved()
	}
	return more
}

// addMember adds the API address of a member, if it is not known. The topology must be locked.
func (t *topology) addMember(m ConfigMember) {
	if m.APIAddress == "" {
		return
	}
	e, err := parseEndpoint(m.APIAddress)
	if err != nil {
		return
	}
	for _, known := range t.endpoints {
		if known.url.Scheme == e.url.Scheme && known.address == e.address {
			return
		}
	}
	t.endpoints = append(t.endpoints, e)
}

// view asks one endpoint for its view of the cluster.
func (t *topology) view(ctx context.Context, e *endpoint) (ClusterView, error) {
	var view ClusterView
	_, err := exchange(ctx, t.http, e, httpRequest{method: http.MethodGet, path: PathCluster}, &view)
	return view, err
}

// all gives every endpoint that a request may go to, the leader's first if it is wanted, those that failed
// lately last.
func (t *topology) all(leaderFirst bool) []*endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	var leader, good, bad []*endpoint
	now := time.Now()
	t.rotation++
	for i := range t.endpoints {
		e := t.endpoints[(t.rotation+i)%len(t.endpoints)]
		switch {
		case !e.configured && !e.answered:
		case e == t.leader && leaderFirst:
			leader = append(leader, e)
		case e.downUntil.Before(now):
			good = append(good, e)
		default:
			bad = append(bad, e)
		}
	}
	return append(append(leader, good...), bad...)
}

// tlsFor gives the TLS configuration for an endpoint; HTTP/1.1 is what the batches speak.
func (c *Config) tlsFor(e *endpoint) *tls.Config {
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = e.url.Hostname()
	}
	config.NextProtos = []string{"http/1.1"}
	return config
}

// neverSent tells whether an error of net/http means that no connection was made, so that nothing was sent.
func neverSent(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial"
}
