package rest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/kontiki-dev/kontiki/node/client"
)

// buffer holds a request's body, and then the answer. Buffers are used again, so nothing may keep a part of one
// beyond its request: commands are copied out when they are encoded for the log.
type buffer struct{ b []byte }

const (
	freshBuffer = 2 << 10
	// keptBuffer is the largest buffer that is kept; a few huge requests must not pin memory.
	keptBuffer = 256 << 10
	// trustedLength is how much memory a mere Content-Length gets before the bytes are there.
	trustedLength = 64 << 10
)

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, freshBuffer)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) release() {
	if cap(b.b) <= keptBuffer {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// read takes in the whole body, of at most limit bytes. The errors are *client.Error: too_large, or invalid if
// the body breaks off.
func (b *buffer) read(r *http.Request, limit int64) error {
	if r.ContentLength > limit {
		return bodyTooLarge(limit)
	}
	b.b = grow(b.b[:0], int(min(max(r.ContentLength, 0), trustedLength)))
	for {
		if len(b.b) == cap(b.b) {
			if int64(len(b.b)) == r.ContentLength {
				return nil
			}
			b.b = grow(b.b, cap(b.b)+1)
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

// grow gives room for size bytes at least, and doubles so that growing is cheap in the sum.
func grow(b []byte, size int) []byte {
	if cap(b) >= size {
		return b
	}
	return append(make([]byte, 0, max(size, 2*cap(b))), b...)
}

func bodyTooLarge(limit int64) error {
	return &client.Error{
		Code: client.CodeTooLarge, Limit: limit,
		Message: fmt.Sprintf("the body is too long; at most %d bytes are allowed here", limit),
	}
}
