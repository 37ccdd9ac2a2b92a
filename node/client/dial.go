package client

import (
	"context"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// maxRacers bounds how many endpoints are dialled for one batch.
const maxRacers = 3

// race is the making of a connection for a batch. When it takes long, as with an address that swallows what is sent to
// it, another endpoint is dialled beside it, and whichever connection is there first carries the batch (the idea of RFC
// 8305): any node takes any request.
type race struct {
	lane    *lane
	batch   *batch
	ctx     context.Context
	cancel  context.CancelFunc
	racers  []*endpoint // in the order of their start
	failed  []*endpoint // the racers that are out
	running int         // those that are not; each has a place in the lane
	results chan racer  // has room for all
}

// racer is what came of one endpoint.
type racer struct {
	endpoint *endpoint
	conn     *connection
	err      error
}

// dial makes a connection for a batch. If that fails, nothing was sent, and every call of the batch fails so.
func (l *lane) dial(d departure) {
	r := &race{lane: l, batch: d.batch, results: make(chan racer, maxRacers)}
	r.ctx, r.cancel = context.WithCancel(l.topology.ctx)
	r.start(d.endpoint)
	late := time.NewTimer(impatience)
	defer late.Stop()
	for {
		select {
		case <-late.C:
			if c := r.tryAnother(); c != nil {
				r.end(c.endpoint)
				c.send()
				return
			}
			late.Reset(impatience)
		case result := <-r.results:
			r.running--
			switch {
			case result.err == nil:
				r.end(result.endpoint)
				l.begin(result.conn, d.batch)
				return
			case r.running == 0:
				r.lose(result)
				return
			}
			r.failed = append(r.failed, result.endpoint)
			l.topology.failed(result.endpoint)
			l.vacate(result.endpoint, nil)
		}
	}
}

func (r *race) start(e *endpoint) {
	r.racers = append(r.racers, e)
	r.running++
	go func() {
		c, err := dialConnection(r.ctx, r.lane, e)
		r.results <- racer{endpoint: e, conn: c, err: err}
	}()
}

// tryAnother lets one more endpoint take part, or a configured one again. If there is an idle connection to it, that
// carries the batch and is given.
func (r *race) tryAnother() *connection {
	if len(r.racers) == maxRacers {
		return nil
	}
	l := r.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	will := func(e *endpoint) bool { return !slices.Contains(r.racers, e) && l.hasRoom(e) }
	e := l.topology.another(l.anywhere, will)
	if e == nil {
		// The same once more: what stands behind it may be several nodes, of which one is dead.
		e = l.topology.another(l.anywhere, func(e *endpoint) bool { return e.configured })
	}
	if e == nil {
		return nil
	}
	s := l.slotsOf(e)
	s.busy++
	c := s.take(time.Now().Add(-l.topology.config.IdleTimeout))
	if c != nil {
		c.carry(r.batch) // in the same moment: an idle connection may end at any time
		return c
	}
	r.start(e)
	return nil
}

// end ends the race. Those that began before the winner and are not there yet count as down; what they still bring
// is not wanted.
func (r *race) end(winner *endpoint) {
	r.cancel()
	for _, e := range r.racers {
		if e == winner {
			break
		}
		if !slices.Contains(r.failed, e) {
			r.lane.topology.failed(e)
		}
	}
	if r.running == 0 {
		return
	}
	go func() {
		for ; r.running > 0; r.running-- {
			late := <-r.results
			if late.conn != nil {
				late.conn.close()
			}
			r.lane.vacate(late.endpoint, nil)
		}
	}()
}

// lose fails the batch after the last racer has failed.
func (r *race) lose(last racer) {
	closed := r.ctx.Err() != nil // only the client's end has ended it
	r.cancel()
	l := r.lane
	l.topology.failed(last.endpoint)
	r.batch.seal()
	if closed {
		r.batch.fail(errClosed())
	} else {
		r.batch.fail(&api.Error{Code: api.CodeUnreachable, Message: last.err.Error(), Cause: last.err})
	}
	r.batch.free()
	l.vacate(last.endpoint, nil)
}

// begin has a new connection carry its first batch.
func (l *lane) begin(c *connection, b *batch) {
	l.mu.Lock()
	l.connections = append(l.connections, c)
	c.carry(b)
	l.mu.Unlock()
	go c.receive()
	c.send()
}
