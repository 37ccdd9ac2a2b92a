package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	// urgentWindow is how many urgent requests may be unanswered per peer: enough that one slow answer does not
	// hold up the next heartbeats.
	urgentWindow = 4
	// urgentQueue is one place for each type of request.
	urgentQueue = 3
	// redialAfter is about how long a goroutine that could not connect waits before it tries again. It is less than a
	// heartbeat interval, and the other goroutines of the lane do not wait for it.
	redialAfter = 50 * time.Millisecond
	// maxSmallAnswer bounds an answer to a Raft message, in bytes: it has a few numbers.
	maxSmallAnswer = 64 << 10
)

// peer sends to one other node.
type peer struct {
	transport *Transport
	member    identity.Member
	self      raft.NodeID
	header    http.Header // of every request to this peer; never changed
	where     *whereabouts
	urgent    *lane
	bulk      *lane
	ctx       context.Context // ends when the peer is removed, or the transport closes
	cancel    context.CancelFunc
	// lost has a token when messages were lost and the receiver does not have the report yet.
	lost chan struct{}
	// key is the peer's, nil: not known.
	key atomic.Pointer[ed25519.PublicKey]
	// bad: since the last line about it, each of its messages was one that no correct peer sends.
	bad atomic.Bool

	calls  *pool // of calls that are not chunks
	chunks *pool

	mu      sync.Mutex
	refused string // how the peer refused us last, so that it is logged once; "" when it does not
	differs string // in which entries the peer's list of members differs from this node's, "" if that is not known
	// logged is when the last line of each kind was written.
	logged map[string]time.Time
}

// lane is one way to a peer: a queue and connections of its own, so that heartbeats never stand behind bulk data
// (trap H1).
type lane struct {
	queue *queue
	links []*link // each with a goroutine that sends on it
}

func (p *peer) newLane(q *queue, window int) *lane {
	l := &lane{queue: q}
	for range window {
		l.links = append(l.links, newLink(p.where, p.header))
	}
	return l
}

// close ends what is in flight, and takes no more.
func (l *lane) close() {
	l.queue.close()
	for _, k := range l.links {
		k.close()
	}
}

func newPeer(t *Transport, who *membership, m identity.Member) *peer {
	p := &peer{
		transport: t,
		member:    m,
		self:      who.id,
		header:    identify(who.clusterID, who.id, m.ID),
		lost:      make(chan struct{}, 1),
		logged:    map[string]time.Time{},
	}
	if who.founders != "" {
		p.header.Set(headerFounders, who.founders)
	}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	if key, ok := t.cfg.Keys[m.ID]; ok && len(key) == ed25519.PublicKeySize {
		p.key.Store(&key)
	}
	p.where = newWhereabouts(m.Address, http1.Dialer{DialContext: t.cfg.DialContext}, p.verify)
	p.urgent = p.newLane(newQueue(urgentQueue, true), urgentWindow)
	p.bulk = p.newLane(newQueue(t.cfg.BulkQueue, false), t.cfg.BulkWindow)
	p.calls, p.chunks = newPool(p.where, p.header, maxCallConns), newPool(p.where, ofChunks(p.header), 1)
	if err := p.urgent.links[0].err; err != nil {
		t.log.Error("a peer cannot be reached", "peer", m.ID, "error", err)
	}
	return p
}

// start greets the peer, and begins to send what is queued.
func (p *peer) start() {
	running := &p.transport.running
	running.Go(p.report)
	if p.transport.cfg.Greet {
		running.Go(p.hello)
	}
	for _, l := range []*lane{p.urgent, p.bulk} {
		for _, k := range l.links {
			running.Go(func() { p.run(l, k) })
		}
	}
}

// stop ends what the peer does, closes its connections, and drops what is queued.
func (p *peer) stop() {
	p.cancel()
	p.urgent.close()
	p.bulk.close()
	p.calls.close()
	p.chunks.close()
}

// send queues a message. A full queue drops it, and Raft will send again.
func (p *peer) send(m *raft.Message) {
	l := p.urgent
	if m.Type == raft.MsgAppendEntries && len(m.Entries) > 0 {
		l = p.bulk
	}
	if !l.queue.push(*m) {
		p.drop()
	}
}

// drop notes that messages were lost. Another goroutine reports it, because the goroutine that sends must not wait for
// the receiver, which it may be itself.
func (p *peer) drop() {
	select {
	case p.lost <- struct{}{}:
	default:
	}
}

func (p *peer) report() {
	for {
		select {
		case <-p.lost:
			(*p.transport.receiver.Load()).Unreachable(p.member.ID)
		case <-p.ctx.Done():
			return
		}
	}
}

// run sends what is queued in a lane on one of its links, one exchange after the other.
func (p *peer) run(l *lane, k *link) {
	var body []byte
	for {
		m, ok := l.queue.pop(p.ctx)
		if !ok {
			return
		}
		if cap(body) > keptBytes {
			body = nil // one large message does not keep its memory
		}
		body = appendRequest(body[:0], &m)
		response, err := p.exchange(k, m.Type, body)
		if err != nil {
			p.fail(l, err)
			p.pause(err)
			continue
		}
		if p.ctx.Err() != nil {
			return // it is no member any more, or not at this address
		}
		p.answered()
		(*p.transport.receiver.Load()).Receive(response)
	}
}

// isDial reports whether an exchange failed because there was no connection.
func isDial(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// pause waits a little, not the same each time, before the next attempt to reach a peer that could not be connected
// to: a cluster whose names lead nowhere yet must not ask for them in step (trap O20). Attempts go on without limit.
func (p *peer) pause(err error) {
	if !isDial(err) {
		return
	}
	timer := time.NewTimer(redialAfter/2 + rand.N(redialAfter))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

// exchange sends a request and waits for its response.
func (p *peer) exchange(k *link, kind raft.MessageType, body []byte) (raft.Message, error) {
	t := p.transport
	if t.isBlocked(p.member.ID) {
		return raft.Message{}, errBlocked
	}
	start := time.Now()
	deadline := start.Add(t.timeFor(len(body)))
	answer, err := k.post(p.ctx, deadline, pathOf(kind), body)
	if err = p.met(err); err != nil {
		return raft.Message{}, err
	}
	if t.isBlocked(p.member.ID) { // cut while the answer was in flight
		return raft.Message{}, errBlocked
	}
	response, err := decodeResponse(kind, answer)
	if err != nil {
		return raft.Message{}, fmt.Errorf("cannot read the answer to %s: %w", pathOf(kind), err)
	}
	if t.cfg.ObserveRoundTrip != nil {
		t.cfg.ObserveRoundTrip(p.member.ID, time.Since(start))
	}
	response.From, response.To = p.member.ID, p.self
	return response, nil
}

// timeFor is how long an exchange with a body of so many bytes may take if its caller has no opinion.
func (t *Transport) timeFor(bytes int) time.Duration {
	return t.cfg.RoundTripTimeout + time.Duration(bytes)*time.Second>>20
}

// fail gives up on a message. What waits behind it in the bulk lane is given up with it: it continues a log that
// the peer did not get, and to wait out each in turn would hold up what the core sends next.
func (p *peer) fail(l *lane, err error) {
	if p.ctx.Err() != nil {
		return
	}
	if l == p.bulk {
		l.queue.clear()
	}
	if r := asRefusal(err); r != nil && r.code == api.CodeNoIdentity {
		(*p.transport.receiver.Load()).NoIdentity(p.member.ID)
	}
	p.drop()
	p.logRefusal(err)
}

// logRefusal writes one line when the peer starts to refuse us, or does it differently: that does not heal by
// itself, as a lost connection does. When there is no connection to be had it writes one as well, because a name that
// leads nowhere looks like that (trap O20).
func (p *peer) logRefusal(err error) {
	if isDial(err) {
		if p.note(lineNoConnection, "") {
			p.transport.log.Info("a peer cannot be connected to; trying again until it can", "peer", p.member.ID,
				"address", p.member.Address, "error", err)
		}
		return
	}
	r := asRefusal(err)
	switch {
	case r == nil || errors.Is(r, node.ErrNotReady):
	case r.mismatch != nil:
		if p.note(lineMismatch, r.mismatch.Text) {
			p.transport.log.Warn("a peer belongs to another cluster because its list of members differs; give all nodes "+
				"the same list (--initial-cluster)", "peer", p.member.ID, "address", p.member.Address, "differs", r.mismatch.Text)
		}
	case p.note(lineRefused, string(r.code)):
		p.transport.log.Warn("a peer refuses our messages", "peer", p.member.ID, "address", p.member.Address,
			"status", r.status, "code", r.code, "message", r.message)
	}
}

// The kinds of lines that a peer can cause.
const (
	lineNoConnection = "no_connection"
	lineMismatch     = "mismatch"
	lineRefused      = "refused"
	lineBad          = "bad"
)

// lineEvery is how often a line of one kind is written about one peer: what a peer can cause as fast as it likes must
// not fill the log.
const lineEvery = 10 * time.Second

// note keeps how the peer refuses us, and reports whether that deserves a line: it is new, and no line of its kind was
// written shortly before. What is kept back is new again the next time.
func (p *peer) note(kind, how string) bool {
	how = kind + " " + how
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused == how || !p.mayLog(kind) {
		return false
	}
	p.refused = how
	return true
}

// mayLog reports whether no line of a kind was written shortly before, and takes it that one is now. mu is held.
func (p *peer) mayLog(kind string) bool {
	now := time.Now()
	if last, ok := p.logged[kind]; ok && now.Sub(last) < lineEvery {
		return false
	}
	p.logged[kind] = now
	return true
}

func (p *peer) answered() {
	p.mu.Lock()
	p.refused = ""
	p.mu.Unlock()
}
