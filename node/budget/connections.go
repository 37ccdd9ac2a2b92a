package budget

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// unknownDescriptors stands for a limit that cannot be asked, mostDescriptors for one that there is not.
	unknownDescriptors = 1024
	mostDescriptors    = 1 << 20

	// spareLife is how long a spare connection may be open. When all are taken, one that has sent no request ends after
	// sparePatience, and one whose request is being answered after answerPatience.
	spareLife      = 5 * time.Second
	sparePatience  = 100 * time.Millisecond
	answerPatience = time.Second

	// Accept tries again after leastPause, then twice that, up to mostPause.
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second

	// warnEvery is the least time between two log lines of the same kind.
	warnEvery = 10 * time.Second
)

// kind is what a connection is for.
type kind int

const (
	api kind = iota
	spare
	peer
	kinds
)

// portOf names the port that a kind of connection comes to.
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
	open  int     // of the API, without the spare ones
	spare []*Conn // in the order in which they came
	peers map[*Conn]struct{}
	freed chan struct{} // receives a value when a connection of the API has ended

	uses     atomic.Uint64 // counts the reads on connections of peers: their order stands for time
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

// NewConnections returns Connections with these limits. Headers that are longer than usual are charged to memory.
func NewConnections(limits Limits, memory *Memory, log *slog.Logger) *Connections {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Connections{
		limits: limits, memory: memory, log: log, peers: map[*Conn]struct{}{}, freed: make(chan struct{}, 1),
	}
}

// Limits returns how many connections are accepted.
func (c *Connections) Limits() Limits { return c.limits }

// API returns a listener of API connections. Those beyond the limit are spare: see IsSpare.
func (c *Connections) API(l net.Listener) net.Listener { return &listener{l, c, api, c.admitClient} }

// Peers returns a listener of connections of peers.
func (c *Connections) Peers(l net.Listener) net.Listener { return &listener{l, c, peer, c.admitPeer} }

// listener counts what another accepts.
type listener struct {
	net.Listener
	owner *Connections
	kind  kind
	admit func(net.Conn) *Conn
}

// Accept implements net.Listener. While the process or the machine has no descriptors or memory left it tries again,
// after a pause that grows: a server that gave up would leave its port dead.
func (l *listener) Accept() (net.Conn, error) {
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		conn, err := l.Listener.Accept()
		if err == nil {
			return l.admit(conn), nil
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

// admitClient makes a connection of the API, or a spare one if there are as many as allowed. If the spare ones are all
// taken it waits until one ends, which the oldest must do soon.
func (c *Connections) admitClient(conn net.Conn) *Conn {
	k := &Conn{Conn: conn, owner: c}
	for {
		wait, out := c.place(k)
		if wait == 0 {
			c.noteSpare(k)
			return k
		}
		if out != nil {
			_ = out.Close() // it is being dropped; its client learns that from the closed connection
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

// place gives a connection its place, and returns 0. Without one it returns how long to wait for it, or the connection
// to close for it.
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
		k.until = now.Add(spareLife)
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

// admitPeer makes a connection of a peer. If there are as many as allowed, the one that was silent for longest ends:
// peers send a heartbeat several times a second, so it is not one that is needed.
func (c *Connections) admitPeer(conn net.Conn) *Conn {
	k := &Conn{Conn: conn, owner: c, kind: peer}
	k.used.Store(c.uses.Add(1))
	c.mu.Lock()
	var silent *Conn
	if len(c.peers) >= c.limits.Peers {
		for other := range c.peers {
			if silent == nil || other.used.Load() < silent.used.Load() {
				silent = other
			}
		}
		delete(c.peers, silent)
	}
	c.peers[k] = struct{}{}
	c.mu.Unlock()
	if silent != nil {
		evicted := c.evicted.Add(1)
		c.warn(warnEvicted, "the peer port has as many connections as it may; the one that was silent for longest ends",
			"connections", c.limits.Peers, "from", silent.RemoteAddr().String(), "ended", evicted)
		_ = silent.Close() // whoever is at its other end connects again
	}
	return k
}

// release takes a connection that has ended out of the count.
func (c *Connections) release(k *Conn) {
	c.mu.Lock()
	switch k.kind {
	case api:
		c.open--
	case spare:
		c.spare = slices.DeleteFunc(c.spare, func(other *Conn) bool { return other == k })
	case peer:
		delete(c.peers, k)
	}
	c.mu.Unlock()
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// warn writes a line, unless one of its kind was written a short while ago.
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

// Attach makes a server, which must serve listeners of Connections, report when requests begin and end.
func Attach(s *http.Server) {
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		k, ok := conn.(*Conn)
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
		if k, ok := conn.(*Conn); ok && k.kind == spare {
			return context.WithValue(ctx, spareKey{}, true)
		}
		return ctx
	}
}

type spareKey struct{}

// IsSpare reports whether a request came on a connection beyond the limit, on which only probes and metrics are
// answered.
func IsSpare(ctx context.Context) bool { return ctx.Value(spareKey{}) != nil }
