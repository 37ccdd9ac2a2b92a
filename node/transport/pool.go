package transport

import (
	"errors"
	"net/http"
	"sync"
)

// maxCallConns is how many proposals, reads, transfers and status requests together may be unanswered per peer. The
// node batches proposals and reads and passes on one transfer at a time, so there are few.
const maxCallConns = 16

// pool has the links for calls of one kind to a peer. Each carries one call at a time.
type pool struct {
	where  *whereabouts
	header http.Header // of every call
	most   int         // calls in flight

	mu     sync.Mutex
	closed bool
	idle   []*link
	lent   int // links in use or idle
}

func newPool(where *whereabouts, header http.Header, most int) *pool {
	return &pool{where: where, header: header, most: most}
}

// linksFor returns the links for the calls to a path.
func (p *peer) linksFor(path string) *pool {
	if path == pathSnapshot {
		return p.chunks
	}
	return p.calls
}

// errBusy is the error of a call to a peer that has too many in flight.
var errBusy = errors.New("too many requests to it are in flight")

// borrow returns a link for one call.
func (p *pool) borrow() (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		k := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return k, nil
	}
	if p.lent >= p.most {
		return nil, errBusy
	}
	p.lent++
	return newLink(p.where, p.header), nil
}

// giveBack returns a link that was borrowed.
func (p *pool) giveBack(k *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, k)
	if p.closed {
		k.close()
	}
}

// close closes the links that no call uses. Those in use are closed when they come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, k := range p.idle {
		k.close()
	}
}
