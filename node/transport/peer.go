package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	// urgentWindow is how many urgent requests may be unanswered per peer: enough that one slow answer does not
	// hold up the next heartbeats.
	urgentWindow = 4
	// urgentQueue is one place for each type of request.
	urgentQueue = 3
	// maxSmallAnswer bounds an answer to a Raft message, in bytes: it has a few numbers.
	maxSmallAnswer = 64 << 10
)

// peer sends to one other node.
type peer struct {
	transport *Transport
	member    node.Member
	header    http.Header // of every request to this peer; never changed
	urgent    *lane
	bulk      *lane
	// lost has a token when messages were lost and the receiver was not told yet.
	lost chan struct{}

	mu      sync.Mutex
	refused string // how the peer refused us last, so that it is logged once; "" when it does not
}

// lane is one way to a peer: a queue and connections of its own, so that heartbeats never stand behind bulk data
// (trap H1).
type lane struct {
	queue  *queue
	client *http.Transport
	window int
}

func newPeer(t *Transport, m node.Member) *peer {
	return &peer{
		transport: t,
		member:    m,
		header:    identify(t.cfg.ClusterID, t.cfg.ID, m.ID),
		lost:      make(chan struct{}, 1),
		urgent: &lane{
			queue:  newQueue(urgentQueue, true),
			client: newClient(urgentWindow, t.cfg.RoundTripTimeout),
			window: urgentWindow,
		},
		bulk: &lane{
			queue:  newQueue(t.cfg.BulkQueue, false),
			client: newClient(t.cfg.BulkWindow, t.cfg.RoundTripTimeout),
			window: t.cfg.BulkWindow,
		},
	}
}

// start begins to send what is queued.
func (p *peer) start() {
	running := &p.transport.running
	running.Go(p.report)
	for _, l := range []*lane{p.urgent, p.bulk} {
		for range l.window {
			running.Go(func() { p.run(l) })
		}
	}
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

// drop notes that messages were lost. The report is another goroutine's, because whoever sends must not wait
// for the receiver: it may be the same goroutine.
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
		case <-p.transport.ctx.Done():
			return
		}
	}
}

// run sends what is queued in a lane, one exchange after the other.
func (p *peer) run(l *lane) {
	var out body
	for {
		m, ok := l.queue.pop(p.transport.ctx)
		if !ok {
			return
		}
		response, err := p.exchange(l, &out, &m)
		if err != nil {
			p.fail(l, err)
			continue
		}
		p.answered()
		(*p.transport.receiver.Load()).Receive(response)
	}
}

// exchange sends a request and waits for its response.
func (p *peer) exchange(l *lane, out *body, m *raft.Message) (raft.Message, error) {
	t := p.transport
	if t.isBlocked(p.member.ID) {
		return raft.Message{}, errBlocked
	}
	out.reset()
	out.text = appendRequest(out.text, m)
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.RoundTripTimeout+time.Duration(len(out.text))*time.Second>>20)
	defer cancel()
	start := time.Now()
	answer, err := p.post(ctx, l.client, pathOf(m.Type), out, maxSmallAnswer)
	if err != nil {
		return raft.Message{}, err
	}
	response, err := decodeResponse(m.Type, answer)
	if err != nil {
		return raft.Message{}, fmt.Errorf("cannot read the answer to %s: %w", pathOf(m.Type), err)
	}
	if t.cfg.ObserveRoundTrip != nil {
		t.cfg.ObserveRoundTrip(p.member.ID, time.Since(start))
	}
	response.From, response.To = p.member.ID, t.cfg.ID
	return response, nil
}

// fail gives up on a message. What waits behind it in the bulk lane is given up with it: it continues a log that
// the peer did not get, and to wait out each in turn would hold up what the core sends next.
func (p *peer) fail(l *lane, err error) {
	if p.transport.ctx.Err() != nil {
		return
	}
	if l == p.bulk {
		l.queue.clear()
	}
	p.drop()
	p.logRefusal(err)
}

// logRefusal writes one line when the peer starts to refuse us, or does it differently: that does not heal by
// itself, as a lost connection does.
func (p *peer) logRefusal(err error) {
	r := asRefusal(err)
	if r == nil || errors.Is(r, node.ErrNotReady) {
		return
	}
	p.mu.Lock()
	known := p.refused == r.code
	p.refused = r.code
	p.mu.Unlock()
	if !known {
		p.transport.log.Warn("a peer refuses our messages", "peer", p.member.ID, "address", p.member.Address,
			"status", r.status, "code", r.code, "message", r.message)
	}
}

func (p *peer) answered() {
	p.mu.Lock()
	p.refused = ""
	p.mu.Unlock()
}
