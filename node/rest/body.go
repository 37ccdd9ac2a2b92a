package rest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
)

// buffer holds a request's body, and then the answer. Buffers are used again, so nothing may keep a part of one
// beyond its request: commands are copied out when they are encoded for the log.
type buffer struct {
	b []byte
	// held is what the request holds of memory: this buffer, and whatever else it takes. It is opened when it is needed.
	memory *budget.Memory
	held   budget.Account
	opened bool
	also   *budget.Account // of an answer; nil: none
}

const (
	freshBuffer = 2 << 10
	// keptBuffer is the largest buffer that is kept; a few huge requests must not pin memory.
	keptBuffer = 256 << 10
	// trustedLength is how much memory a mere Content-Length gets before the bytes are there.
	trustedLength = 64 << 10
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, freshBuffer)} }}

func (r *responder) newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.memory = r.memory
	if kept := cap(b.b) - freshBuffer; kept > 0 && !b.take(kept) {
		b.b = make([]byte, 0, freshBuffer) // a small request needs no more
	}
	return b
}

func (b *buffer) release() {
	if b.also != nil {
		b.also.Close()
		b.also = nil
	}
	if b.opened {
		b.held.Close()
		b.opened = false
	}
	if cap(b.b) <= keptBuffer {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// read takes in the whole body, of at most limit bytes. The errors are *api.Error: too_large, overloaded if the
// server has no memory for it now, or invalid if the body breaks off.
func (b *buffer) read(r *http.Request, limit int64) error {
	if r.ContentLength > limit {
		return bodyTooLarge(limit)
	}
	b.b = b.b[:0]
	if !b.room(int(min(max(r.ContentLength, 0), trustedLength))) {
		return errNoMemory
	}
	for {
		if len(b.b) == cap(b.b) {
			if int64(len(b.b)) == r.ContentLength {
				return nil
			}
			if more := b.next(r.ContentLength, limit); !b.room(more) {
				return errNoMemory
			}
		}
		n, err := r.Body.Read(b.b[len(b.b):min(cap(b.b), int(limit)+1)])
		b.b = b.b[:len(b.b)+n]
		switch {
		case int64(len(b.b)) > limit:
			return bodyTooLarge(limit)
		case errors.Is(err, io.EOF), err == nil && int64(len(b.b)) == r.ContentLength:
			return nil
		case err != nil:
			return invalid("the body could not be read to its end: " + err.Error())
		}
	}
}

// next returns how much more of a body to make room for: as much as there is of it, so that growing is cheap in the
// sum, but not more than can come. One byte beyond the limit shows that the body is too long.
func (b *buffer) next(length, limit int64) int {
	left := limit + 1 - int64(len(b.b))
	if length >= 0 {
		left = length - int64(len(b.b))
	}
	return int(max(min(int64(len(b.b)), left), 1))
}

// take charges bytes that the request holds, and reports whether the server has the memory for them.
func (b *buffer) take(bytes int) bool {
	if !b.opened {
		b.held.Open(b.memory, budget.Clients)
		b.opened = true
	}
	return b.held.Take(bytes)
}

// room makes room for more bytes, and reports whether the server has the memory for them.
func (b *buffer) room(more int) bool {
	size := len(b.b) + more
	if size <= cap(b.b) {
		return true
	}
	if !b.take(size - cap(b.b)) {
		return false
	}
	b.b = append(make([]byte, 0, size), b.b...)
	return true
}

// errNoMemory refuses a request before anything was done.
var errNoMemory = &api.Error{
	Code: api.CodeOverloaded,
	Message: "overloaded: the requests and answers in flight take all the memory that this node has for them; " +
		"send fewer or smaller ones at a time, or try again later",
}

func bodyTooLarge(limit int64) error {
	return &api.Error{
		Code: api.CodeTooLarge, Limit: limit,
		Message: fmt.Sprintf("the body is too long; at most %d bytes are allowed here", limit),
	}
}
