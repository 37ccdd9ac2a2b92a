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

// buffer holds the body of a request, and then the response. Buffers are reused, so no part of one may be kept beyond
// its request: encoding a command for the log copies it.
type buffer struct {
	b []byte
	// held is the memory charged to the request: this buffer, and whatever else it takes. It is opened when needed.
	memory *budget.Memory
	held   budget.Account
	opened bool
	also   *budget.Account // of a result; nil: none
}

const (
	freshBuffer = 2 << 10
	// keptBuffer is the largest buffer that is reused; a few large requests must not pin memory.
	keptBuffer = 256 << 10
	// trustedLength is how much memory is allocated for a Content-Length before the bytes arrive.
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

// read reads the whole body, of at most limit bytes. The errors are *api.Error: too_large, overloaded if the server has
// no memory for it now, or invalid if the body is truncated.
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

// next returns how many more bytes of a body to make room for: as many as have been read, so that growing takes linear
// time in total, but not more than can follow. One byte beyond the limit shows that the body is too long.
func (b *buffer) next(length, limit int64) int {
	left := limit + 1 - int64(len(b.b))
	if length >= 0 {
		left = length - int64(len(b.b))
	}
	return int(max(min(int64(len(b.b)), left), 1))
}

// take charges bytes to the request, and reports whether the server has the memory for them.
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

// grow makes room for more bytes, and for as many as there are if the server has the memory, so that growing takes
// linear time in total.
func (b *buffer) grow(more int) bool {
	return len(b.b)+more <= cap(b.b) || b.room(max(more, cap(b.b))) || b.room(more)
}

// errNoMemory refuses a request before anything is done.
var errNoMemory = &api.Error{
	Code: api.CodeOverloaded,
	Message: "overloaded: the requests and responses in flight use all the memory that this node has for them; " +
		"send fewer or smaller ones at a time, or retry later",
}

// errResultLost answers a command that was done, and must not be sent again, without its result.
var errResultLost = &api.Error{
	Code:    api.CodeOutcomeUnknown,
	Message: "the command took effect, but there is no memory for its result; read what you need, and do not repeat it",
}

func bodyTooLarge(limit int64) error {
	return &api.Error{
		Code: api.CodeTooLarge, Limit: limit,
		Message: fmt.Sprintf("the body is too long; at most %d bytes are allowed here", limit),
	}
}
