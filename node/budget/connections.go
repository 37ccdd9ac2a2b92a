package budget

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// unknownDescriptors replaces a limit that cannot be read, mostDescriptors an unlimited one.
	unknownDescriptors = 1024
	mostDescriptors    = 1 << 20

	// spareDuration is how long a spare connection may be open. When all are taken, one that has sent no request is
	// closed after sparePatience, and one whose request is being answered after answerPatience.
	spareDuration  = 5 * time.Second
	sparePatience  = 100 * time.Millisecond
	answerPatience = time.Second

	// Accept retries after leastPause, then twice that, up to mostPause.
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second

	// warnEvery is the minimum time between two log lines of the same kind.
	warnEvery = 10 * time.Second
)

// kind is the purpose of a connection.
type kind int

const (
	api kind = iota
	spare
	peer
	kinds
)

// portOf returns the name of the port for a kind of connection.
func portOf(k kind) string {
	if k == peer {
		return "peer"
	}
	return "api"
}

// Connections bounds the connections that a process accepts, over all its listeners.
type Connections struct {
	limits Limits
	memory *Memory
	log    *slog.Logger

	mu    sync.Mutex
	open  int     // of the API, without spare connections
	spare []*Conn // in order of acceptance
	peers map[*Conn]struct{}
	uses  uint64 // counts the connections and requests of peers, as a clock
	// members are the members with open connections, and ofMembers the number of those.
	members   map[memberKey]*member
	ofMembers int
	freed     chan struct{} // receives a value when an API connection has closed

	refused  atomic.Uint64
	evicted  atomic.Uint64
	failures [kinds]atomic.Uint64
	warned   [3]warning
}

// warning is a kind of log line, and when it was last written.
type warning struct {
	mu   sync.Mutex
	last time.Time
}

// The kinds of warnings.
const (
	warnFull = iota
	warnEvicted
	warnAccept
)

// NewConnections returns Connections with these limits. Long headers are charged to memory.
func NewConnections(limits Limits, memory *Memory, log *slog.Logger) *Connections {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Connections{
		limits: limits, memory: memory, log: log, peers: map[*Conn]struct{}{},
		members: map[memberKey]*member{}, freed: make(chan struct{}, 1),
	}
}

// Limits returns the limits of accepted connections.
func (c *Connections) Limits() Limits { return c.limits }

// API returns a listener of API connections. Connections beyond the limit are spare: see IsSpare.
func (c *Connections) API(l net.Listener) net.Listener {
	return &listener{Listener: l, owner: c, kind: api}
}

// Peers returns a listener of connections of peers.
func (c *Connections) Peers(l net.Listener) net.Listener {
	return &listener{Listener: l, owner: c, kind: peer}
}

// listener counts the connections that another listener accepts.
type listener struct {
	net.Listener
	owner *Connections
	kind  kind
}

// Accept implements net.Listener. While the process or the machine has no descriptors or memory left it retries, with
// increasing pauses: a server that stopped would leave its port unserved.
func (l *listener) Accept() (net.Conn, error) {
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		conn, err := l.Listener.Accept()
		if err == nil {
			if l.kind == peer {
				return l.owner.admitPeer(l, conn), nil
			}
			return l.owner.admitClient(conn), nil
		}
		if !isTemporary(err) {
			return nil, err
		}
		failures := l.owner.failures[l.kind].Add(1)
		l.owner.warn(warnAccept, "connections cannot be accepted", "port", portOf(l.kind), "error", err,
			"failures", failures)
		time.Sleep(pause)
	}
}

// admitClient admits an API connection, as a spare one if the limit is reached. If all spare connections are taken it
// waits until one closes, which the oldest must do soon.
func (c *Connections) admitClient(conn net.Conn) *Conn {
	k := &Conn{Conn: conn, owner: c}
	for {
		wait, out := c.place(k)
		if wait == 0 {
			c.noteSpare(k)
			return k
		}
		if out != nil {
			_ = out.Close() // it is dropped; its client sees the closed connection
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.freed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// place counts a connection, and returns 0. If there is no room it returns how long to wait, or the connection to
// close.
func (c *Connections) place(k *Conn) (wait time.Duration, out *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open < c.limits.API {
		c.open++
		return 0, nil
	}
	now := time.Now()
	if len(c.spare) < c.limits.Spare {
		k.kind, k.accepted = spare, now
		k.until = now.Add(spareDuration)
		c.spare = append(c.spare, k)
		return 0, nil
	}
	oldest := slices.MinFunc(c.spare, func(a, b *Conn) int { return a.due().Compare(b.due()) })
	if left := oldest.due().Sub(now); left > 0 {
		return left, nil
	}
	return time.Nanosecond, oldest
}

func (c *Connections) noteSpare(k *Conn) {
	if k.kind != spare {
		return
	}
	refused := c.refused.Add(1)
	c.warn(warnFull, "the API has as many connections as it may; more get only probes and metrics, or 503",
		"connections", c.limits.API, "beyond", refused)
}

// member is a member of a cluster with connections to one listener.
type member struct {
	key  memberKey
	open int
}

// memberKey identifies a member and the listener of its connections: the nodes of a process share its Connections.
type memberKey struct {
	listener *listener
	id       uint64
}

// membersPart returns how many connections the members may have. The rest is for unidentified peers, including
// members before their first request.
func (c *Connections) membersPart() int { return max(c.limits.Peers-max(c.limits.Peers/4, 1), 1) }

// admitPeer admits a connection to the peer port. If the limit is reached, the oldest unidentified one is closed.
func (c *Connections) admitPeer(l *listener, conn net.Conn) *Conn {
	k := &Conn{Conn: conn, owner: c, kind: peer, listener: l}
	c.mu.Lock()
	c.uses++
	k.order = c.uses
	var out *Conn
	if len(c.peers) >= c.limits.Peers {
		out = c.oldest(nil)
	}
	c.peers[k] = struct{}{}
	c.mu.Unlock()
	c.evict(out)
	return k
}

// oldest returns the member's connection that has been idle longest, or for nil the unidentified one that was
// accepted first, and removes it from the count; nil: there is none.
func (c *Connections) oldest(of *member) *Conn {
	var oldest *Conn
	for k := range c.peers {
		if k.member == of && (oldest == nil || k.order < oldest.order) {
			oldest = k
		}
	}
	if oldest != nil {
		c.forget(oldest)
	}
	return oldest
}

// forget removes a connection to the peer port from the count, once.
func (c *Connections) forget(k *Conn) {
	if _, ok := c.peers[k]; !ok {
		return
	}
	delete(c.peers, k)
	if m := k.member; m != nil {
		c.ofMembers--
		if m.open--; m.open == 0 {
			delete(c.members, m.key)
		}
	}
}

func (c *Connections) evict(k *Conn) {
	if k == nil {
		return
	}
	evicted := c.evicted.Add(1)
	c.warn(warnEvicted, "the peer port is at its connection limit; the oldest unidentified one or one of the member with "+
		"the most ends", "connections", c.limits.Peers, "from", k.RemoteAddr().String(), "ended", evicted)
	_ = k.Close() // the peer reconnects
}

// FromMember records that the request of ctx has the headers of a member. Its connection is no longer closed for an
// unidentified one. If the members have as many connections as they may, the member with the most loses the one that
// was idle longest.
func FromMember(ctx context.Context, id uint64) {
	if k, ok := ctx.Value(peerKey{}).(*Conn); ok && !k.asked.Load() {
		k.asked.Store(true)
		k.owner.identified(k, id)
	}
}

type peerKey struct{}

// identified records that an unidentified connection is a member's.
func (c *Connections) identified(k *Conn, id uint64) {
	c.mu.Lock()
	var out *Conn
	if _, isOpen := c.peers[k]; isOpen && k.member == nil {
		key := memberKey{k.listener, id}
		m := c.members[key]
		if m == nil {
			m = &member{key: key}
			c.members[key] = m
		}
		c.uses++
		k.member, k.order = m, c.uses
		m.open++
		if c.ofMembers++; c.ofMembers > c.membersPart() {
			most := m
			for _, other := range c.members {
				if other.open > most.open || other.open == most.open && most == m {
					most = other
				}
			}
			out = c.oldest(most)
		}
	}
	c.mu.Unlock()
	c.evict(out)
}

// answered records that a member's request was read whole and answered.
func (c *Connections) answered(k *Conn) {
	c.mu.Lock()
	c.uses++
	k.order = c.uses
	c.mu.Unlock()
}

// release removes a closed connection from the count.
func (c *Connections) release(k *Conn) {
	c.mu.Lock()
	switch k.kind {
	case api:
		c.open--
	case spare:
		c.spare = slices.DeleteFunc(c.spare, func(other *Conn) bool { return other == k })
	case peer:
		c.forget(k)
	}
	c.mu.Unlock()
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// warn writes a log line, unless one of its kind was written less than warnEvery ago.
func (c *Connections) warn(which int, message string, args ...any) {
	w := &c.warned[which]
	w.mu.Lock()
	now := time.Now()
	quiet := !w.last.IsZero() && now.Sub(w.last) < warnEvery
	if !quiet {
		w.last = now
	}
	w.mu.Unlock()
	if !quiet {
		c.log.Warn(message, args...)
	}
}

// below returns the Conn of a server's connection, which may carry TLS.
func below(conn net.Conn) (*Conn, bool) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	k, ok := conn.(*Conn)
	return k, ok
}

// Attach makes a server report when requests begin and end. It must serve listeners of Connections, or TLS listeners
// over them.
func Attach(s *http.Server) {
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		k, ok := below(conn)
		if !ok {
			return
		}
		switch state {
		case http.StateActive:
			k.began()
		case http.StateIdle:
			k.ended()
		}
	}
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		k, ok := below(conn)
		switch {
		case ok && k.kind == spare:
			return context.WithValue(ctx, spareKey{}, true)
		case ok && k.kind == peer:
			return context.WithValue(ctx, peerKey{}, k)
		}
		return ctx
	}
}

type spareKey struct{}

// IsSpare reports whether a request arrived on a connection beyond the limit, which serves only probes and metrics.
func IsSpare(ctx context.Context) bool { return ctx.Value(spareKey{}) != nil }
