package client

import (
	"bytes"
	"sync"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Bounds of one HTTP request. A caller whose command does not fit any more begins the next batch.
const (
	maxBatchLines = 1024
	maxBatchBytes = 1 << 20
)

// batch is the calls that share one HTTP request. While it fills it is the lane's; from then on it belongs to
// the connection that carries it.
type batch struct {
	body    []byte
	calls   []*call
	offsets []int // where each call's lines begin in body
	lines   int
	first   int // lines of calls[0] that are answered already
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// add appends a call.
func (b *batch) add(c *call) {
	b.offsets = append(b.offsets, len(b.body))
	b.calls = append(b.calls, c)
	b.body = c.appendLines(b.body)
	b.lines += c.count()
}

// isFull reports whether no further call may join.
func (b *batch) isFull() bool {
	return b.lines >= maxBatchLines || len(b.body) >= maxBatchBytes
}

// seal marks every call as sent, and takes out those whose callers are gone. It reports whether any is left.
func (b *batch) seal() bool {
	kept, body := b.calls[:0], b.body[:0]
	b.lines = 0
	for i, c := range b.calls {
		end := len(b.body)
		if i+1 < len(b.offsets) {
			end = b.offsets[i+1]
		}
		lines := c.count()
		if c.send() {
			kept = append(kept, c)
			b.lines += lines
			if len(body) == b.offsets[i] {
				body = b.body[:end] // nothing was taken out so far: the bytes stay where they are
			} else {
				body = append(body, b.body[b.offsets[i]:end]...)
			}
		}
	}
	clear(b.calls[len(kept):])
	b.calls, b.body = kept, body
	return len(kept) > 0
}

// free returns an answered batch to the pool.
func (b *batch) free() {
	clear(b.calls)
	b.body, b.calls, b.offsets, b.lines, b.first = b.body[:0], b.calls[:0], b.offsets[:0], 0, 0
	batches.Put(b)
}

// resolve hands the lines of an answer to the calls, and finishes those that are complete. What has no line yet
// stays in the batch. With whole the answer is known to be complete, so that its last line needs no line end. It
// reports whether the server had to refuse a line (cannotServe).
func (b *batch) resolve(text []byte, whole bool) (turnedAway bool) {
	for i, c := range b.calls {
		for b.first < len(c.answers) {
			line, rest, found := bytes.Cut(text, []byte{'\n'})
			if !found && (!whole || len(line) == 0) {
				b.calls = b.calls[i:]
				return turnedAway
			}
			a := decodeLine(c.op(b.first), line, c.raw)
			turnedAway = turnedAway || a.err != nil && cannotServe(a.err.Code)
			c.answers[b.first] = a
			b.first++
			text = rest
		}
		b.first = 0
		c.finish()
	}
	b.calls = b.calls[:0]
	return turnedAway
}

// fail finishes every call that is left with one error for all of its lines that are not answered.
func (b *batch) fail(err *api.Error) {
	for _, c := range b.calls {
		c.fail(b.first, err)
		b.first = 0
	}
	b.calls = b.calls[:0]
}
