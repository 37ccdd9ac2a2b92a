package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func newReader(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }

// room is memory of so many bytes.
type room struct{ left, took int }

func (r *room) Take(n int) bool {
	if n > r.left {
		return false
	}
	r.left -= n
	r.took += n
	return true
}

func TestBodiesGetTheMemoryThatTheyNeed(t *testing.T) { // H4
	t.Parallel()
	for _, size := range []int{0, 1, exactBytes - 1, exactBytes, exactBytes + 1, 3 * exactBytes} {
		for _, known := range []bool{true, false} {
			text := strings.Repeat("b", size)
			length := int64(-1)
			if known {
				length = int64(size)
			}
			held := &room{left: 16 * exactBytes}
			body, err := ReadBody(strings.NewReader(text), length, 4*exactBytes, held)
			if err != nil || string(body) != text {
				t.Fatalf("%d bytes: got %d, %v", size, len(body), err)
			}
			if known && (cap(body) != size || held.took != size) {
				t.Errorf("%d bytes: has memory of %d, and charged %d", size, cap(body), held.took)
			}
			if held.took < size {
				t.Errorf("%d bytes: charged %d", size, held.took)
			}
		}
	}
}

func TestBodiesBeyondTheirBounds(t *testing.T) { // H4
	t.Parallel()
	endless := func() io.Reader { return iotest.OneByteReader(strings.NewReader(strings.Repeat("b", 2000))) }
	plenty := func() *room { return &room{left: 16 * exactBytes} }
	for name, c := range map[string]struct {
		r             io.Reader
		length, limit int64
		held          *room
		want          error
	}{
		"announced":                {endless(), 1001, 1000, plenty(), ErrTooLarge},
		"not announced":            {endless(), -1, 1000, plenty(), ErrTooLarge},
		"no memory":                {endless(), 900, 1000, &room{left: 899}, ErrNoMemory},
		"no memory to begin with":  {endless(), -1, 1000, &room{}, ErrNoMemory},
		"shorter":                  {strings.NewReader("b"), 900, 1000, plenty(), io.ErrUnexpectedEOF},
		"none":                     {strings.NewReader(""), 900, 1000, plenty(), io.EOF},
		"long, and shorter":        {strings.NewReader("b"), 2 * exactBytes, 3 * exactBytes, plenty(), io.ErrUnexpectedEOF},
		"long, and no memory":      {strings.NewReader("b"), 2 * exactBytes, 3 * exactBytes, &room{left: 1000}, ErrNoMemory},
		"a reader that fails":      {iotest.ErrReader(io.ErrClosedPipe), -1, 1000, plenty(), io.ErrClosedPipe},
		"a reader that fails soon": {iotest.TimeoutReader(endless()), -1, 1000, plenty(), iotest.ErrTimeout},
	} {
		if body, err := ReadBody(c.r, c.length, c.limit, c.held); !errors.Is(err, c.want) {
			t.Errorf("%s: got %d bytes, %v; want %v", name, len(body), err, c.want)
		}
	}
	// What a header announces must not be allocated before it arrives.
	held := &room{left: 1 << 40}
	if _, err := ReadBody(strings.NewReader("b"), 1<<30, 1<<31, held); err == nil || held.took > exactBytes {
		t.Errorf("a header alone took %d bytes, %v", held.took, err)
	}
}

func TestAppendedBodiesUseTheirMemoryAgain(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("b", 10_000)
	memory, err := AppendBody(nil, strings.NewReader(text), 10_000)
	if err != nil || string(memory) != text {
		t.Fatalf("got %d bytes, %v", len(memory), err)
	}
	again, err := AppendBody(memory[:0], strings.NewReader(text[:100]), 10_000)
	if err != nil || string(again) != text[:100] || &again[0] != &memory[0] {
		t.Errorf("got %d bytes, of other memory %t, %v", len(again), &again[0] != &memory[0], err)
	}
	got, err := AppendBody(again[:1], strings.NewReader(text), 9_999)
	if !errors.Is(err, ErrTooLarge) || len(got) < 9_999 {
		t.Errorf("got %d bytes, %v, want %v", len(got), err, ErrTooLarge)
	}
	if _, err := AppendBody(nil, iotest.ErrReader(io.ErrClosedPipe), 10); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
	}
}
