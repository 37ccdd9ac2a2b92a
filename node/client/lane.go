package client

import (
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// lane is where calls that may go the same way meet. While all connections of that way are busy, the calls that
// come are gathered in the next batch; there is no timer, so a lone call leaves at once, and the batches grow
// by themselves with the load.
type lane struct {
	topology *topology
	query    string // of the batch URL, with its question mark
	anywhere bool   // every endpoint will do; else the leader is wanted
	perNode  int    // requests in flight per endpoint

	mu      sync.Mutex
	closed  bool
	blocked bool // no endpoint has room, so that next need not look again
	filling *batch
	full    []*batch // wait for a connection, first come first served
	slots   map[*endpoint]*slots

	connections []*connection // all that were made and have not ended
}

// slots are a lane's connections to one endpoint.
type slots struct {
	busy int // connections that carry a request, or are being made for one
	idle []*connection
}

func newLane(t *topology, query string, anywhere bool, perNode int) *lane {
	return &lane{topology: t, query: query, anywhere: anywhere, perNode: perNode, slots: make(map[*endpoint]*slots)}
}

// submit queues a call, and sends it at once if a connection is free. The call ends by its done channel.
func (l *lane) submit(c *call) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		c.fail(0, errClosed())
		return
	}
	if l.filling != nil && l.filling.lines+c.count() > maxBatchLines {
		l.full = append(l.full, l.filling)
		l.filling = nil
	}
	if l.filling == nil {
		l.filling = batches.Get().(*batch)
	}
	l.filling.add(c)
	if l.filling.isFull() {
		l.full = append(l.full, l.filling)
		l.filling = nil
	}
	d := l.next()
	l.mu.Unlock()
	d.start(l)
}

func errClosed() *api.Error {
	return &api.Error{Code: api.CodeCanceled, Message: "the client is closed; nothing was done"}
}

// departure is a batch that leaves now, over a connection that exists or one that is to be made.
type departure struct {
	batch    *batch
	endpoint *endpoint
	conn     *connection // nil: to be made
}

// next picks the batch that waits longest and where it goes, if there is both. The lane must be locked.
func (l *lane) next() departure {
	if l.blocked || len(l.full) == 0 && l.filling == nil {
		return departure{}
	}
	e := l.topology.pick(l.anywhere, l.hasRoom)
	if e == nil {
		l.blocked = true
		return departure{}
	}
	d := departure{endpoint: e}
	if len(l.full) > 0 {
		d.batch = l.full[0]
		l.full = slices.Delete(l.full, 0, 1)
	} else {
		d.batch, l.filling = l.filling, nil
	}
	s := l.slotsOf(e)
	s.busy++
	d.conn = s.take(time.Now().Add(-l.topology.config.IdleTimeout))
	if d.conn != nil {
		d.conn.carry(d.batch)
	}
	return d
}

// take returns the connection that was used last, nil if there is none that was used since then. A server closes
// connections that were idle for long, and a request that meets that moment would be of unknown outcome.
func (s *slots) take(since time.Time) *connection {
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	c := s.idle[n-1]
	if c.lastUsed.After(since) {
		s.idle = s.idle[:n-1]
		return c
	}
	for _, old := range s.idle {
		old.close()
	}
	s.idle = s.idle[:0]
	return nil
}

func (l *lane) hasRoom(e *endpoint) bool { return l.slotsOf(e).busy < l.perNode }

func (l *lane) slotsOf(e *endpoint) *slots {
	s := l.slots[e]
	if s == nil {
		s = new(slots)
		l.slots[e] = s
	}
	return s
}

// writeHere is the size up to which a caller writes its request itself: it fits the socket's buffer, so that
// the caller does not block on a slow server. A larger one is written by a goroutine.
const writeHere = 32 << 10

// start sends the departure on its way, if it is one.
func (d departure) start(l *lane) {
	switch {
	case d.batch == nil:
	case d.conn == nil:
		go l.dial(d)
	case len(d.batch.body) <= writeHere:
		d.conn.send()
	default:
		go d.conn.send()
	}
}

// vacate notes that an endpoint has one request less in flight, takes the connection back if it is still good,
// and sends the next batch.
func (l *lane) vacate(e *endpoint, c *connection) {
	l.mu.Lock()
	s := l.slotsOf(e)
	s.busy--
	l.blocked = false
	closed := l.closed || e.forgotten.Load()
	if c != nil {
		c.batch = nil
	}
	if e.forgotten.Load() && s.busy == 0 {
		delete(l.slots, e)
	}
	if c != nil && !closed {
		s.idle = append(s.idle, c)
	}
	d := l.next()
	l.mu.Unlock()
	if c != nil && closed {
		c.close()
	}
	d.start(l)
}

// awaits reports whether the connection carries a batch, so that an answer is due.
func (l *lane) awaits(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.batch != nil
}

// remove forgets a connection that has ended, and reports whether it was idle.
func (l *lane) remove(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.slots[c.endpoint]; s != nil {
		if i := slices.Index(s.idle, c); i >= 0 {
			s.idle = slices.Delete(s.idle, i, i+1)
		}
	}
	if i := slices.Index(l.connections, c); i >= 0 {
		l.connections = slices.Delete(l.connections, i, i+1)
	}
	return c.batch == nil
}

// kick sends what waits, after it became known that it can go elsewhere.
func (l *lane) kick() {
	for {
		l.mu.Lock()
		l.blocked = false
		d := l.next()
		l.mu.Unlock()
		if d.batch == nil {
			return
		}
		d.start(l)
	}
}

// forget closes the idle connections to endpoints that are used no more.
func (l *lane) forget(former []*endpoint) {
	l.mu.Lock()
	var idle []*connection
	for _, e := range former {
		s := l.slots[e]
		if s == nil {
			continue
		}
		idle = append(idle, s.idle...)
		s.idle = nil
		if s.busy == 0 {
			delete(l.slots, e)
		}
	}
	l.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	l.kick() // what waits for room there
}

// close fails what waits, and closes the idle connections; the others close when their answer has come.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	waiting := l.full
	if l.filling != nil {
		waiting = append(waiting, l.filling)
	}
	l.full, l.filling = nil, nil
	var idle []*connection
	for _, s := range l.slots {
		idle = append(idle, s.idle...)
		s.idle = nil
	}
	l.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	for _, b := range waiting {
		b.seal()
		b.fail(errClosed())
		b.free()
	}
}
