package rest

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// The bounds of one page under the lock of the state: a writer never waits longer than it takes to read one.
const (
	chunkKeys   = 512
	chunkBytes  = 128 << 10
	chunkVisits = 2048
)

const (
	// listBytes is where a page of a list ends even if more keys were asked for, and listChunks how often it may lock
	// the state: a range may have many keys that did not exist at the revision.
	listBytes  = 8 << 20
	listChunks = 128
	// mostLists is how many streams of lists, and counts, a server has open at once.
	mostLists = 32
)

// lists serves ranges of keys.
type lists struct {
	*keys
	open    atomic.Int32
	endOnce sync.Once
	end     chan struct{} // closed when streams must end

	patience time.Duration
}

func newLists(k *keys) *lists {
	return &lists{keys: k, end: make(chan struct{}), patience: linesPatience}
}

// close ends all streams.
func (l *lists) close() { l.endOnce.Do(func() { close(l.end) }) }

// getList is GET /api/v1/kv?prefix=&from=&to=: the keys of a range in order, at one revision. By default an
// api.ListPage of at most ?limit= keys, whose cursor leads to the next page; with Accept: application/x-ndjson the
// whole range as lines (api.ListLine); with ?count an api.CountResponse. 200; 400, 410, 413, 429, 503.
func (l *lists) getList(c *gin.Context) {
	plan, err := parseListQuery(c.Request.URL.RawQuery)
	if err != nil {
		l.fail(c, err)
		return
	}
	err = withLease(plan.fresh, func(fresh readQuery) error {
		plan.fresh = fresh
		return l.serveList(c, &plan)
	})
	if err != nil {
		l.fail(c, err)
	}
}

// serveList answers a GET of a range, unless it returns an error.
func (l *lists) serveList(c *gin.Context, plan *listPlan) error {
	fresh, err := l.makeFresh(c.Request.Context(), plan.fresh)
	if err != nil {
		return err
	}
	c.Writer.Header()["Vary"] = varyRead
	switch {
	case plan.count:
		return l.answerCount(c, plan, &fresh)
	case c.Request.Method != http.MethodHead && accepts(c.Request, typeNDJSON[0]):
		return l.answerLines(c, plan, &fresh)
	}
	return l.answerPage(c, plan, &fresh)
}

// enterList counts a stream or a count, unless there are too many.
func (l *lists) enterList() (leave func(), err error) {
	if l.open.Add(1) > mostLists {
		l.open.Add(-1)
		return nil, errTooManyLists
	}
	return func() { l.open.Add(-1) }, nil
}

var errTooManyLists = &api.Error{
	Code: api.CodeOverloaded,
	Message: "overloaded: this node has reached its limit of " + strconv.Itoa(mostLists) +
		" streamed lists and counts; retry later, or ask another node",
}

// chunks reads a range in chunks, each under one lock of the state, and all at one revision.
type chunks struct {
	node Node
	next kv.Query // of the next chunk
	left int      // keys and folders to read; negative: all
}

// chunks returns the reader of a plan.
func (l *lists) chunks(p *listPlan, limit int) *chunks {
	return &chunks{node: l.node, left: limit, next: kv.Query{
		From: p.begin, To: p.span.to, Prefix: p.span.prefix, Delimiter: p.span.delimiter, KeysOnly: p.keysOnly,
		Revision: p.fresh.revision, MaxBytes: chunkBytes, MaxVisits: chunkVisits,
	}}
}

// read reads the next chunk. There are more while more is true.
func (c *chunks) read() (items []kv.Item, more bool, err error) {
	c.next.Limit = chunkKeys
	if c.left >= 0 {
		c.next.Limit = min(c.left, chunkKeys)
	}
	page, err := c.node.Scan(c.next)
	if err != nil {
		return nil, false, err
	}
	c.next.Revision, c.next.From = page.Revision, page.Next
	if c.left >= 0 {
		c.left -= len(page.Items)
	}
	return page.Items, page.Next != "" && c.left != 0, nil
}

// cursor returns where the range continues, empty at its end.
func (c *chunks) cursor(p *listPlan) string {
	if c.next.From == "" {
		return ""
	}
	return cursor{c.next.Revision, c.next.From}.encode(&p.span)
}

// answerCount counts the keys of a range, without their values.
func (l *lists) answerCount(c *gin.Context, p *listPlan, fresh *freshRead) error {
	counted, err := l.countRange(c.Request.Context(), p)
	if err == nil {
		err = fresh.check()
	}
	if err != nil {
		return err
	}
	fresh.stamp(c.Writer.Header())
	body := strconv.AppendUint([]byte(`{"revision":`), counted.Revision, 10)
	body = strconv.AppendUint(append(body, `,"count":`...), counted.Count, 10)
	l.answer(c.Writer, http.StatusOK, typeJSON, append(body, "}\n"...))
	return nil
}

func (l *lists) countRange(ctx context.Context, p *listPlan) (api.CountResponse, error) {
	counted := api.CountResponse{Revision: p.fresh.revision}
	leave, err := l.enterList()
	if err != nil {
		return counted, err
	}
	defer leave()
	for from := p.begin; ctx.Err() == nil; {
		part, err := l.node.Count(from, p.span.to, counted.Revision, chunkVisits)
		if err != nil {
			return counted, err
		}
		counted.Revision, from = part.Revision, part.Next
		counted.Count += uint64(part.Keys)
		if from == "" {
			return counted, nil
		}
	}
	return counted, ctx.Err()
}
