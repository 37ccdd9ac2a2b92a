package http1

import (
	"errors"
	"fmt"
	"net"
	"net/http"
)

// maxInterim bounds how many interim answers may precede an answer, as in net/http.
const maxInterim = 5

// ErrTooLong is the error of an answer that has more bytes than allowed.
var ErrTooLong = errors.New("the answer is too long")

// bounded reads an answer from the connection up to a number of bytes (trap H4).
type bounded struct {
	conn net.Conn
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, ErrTooLong
	}
	n, err := b.conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Await waits until the first byte of an answer is there, or the connection ends. A goroutine that always waits notices
// the end of an idle connection at once.
func (c *Conn) Await() error {
	c.in.left = c.maxHead
	_, err := c.reader.Peek(1)
	return err
}

// Receive reads the head of the answer. It skips interim answers, such as 100 Continue, because one of them taken for
// the answer would leave the answer itself to the next request. The body is read from the response with ReadBody or
// AppendBody; of the connection it takes limit bytes, and as many as a head for chunks and trailers.
func (c *Conn) Receive(limit int64) (*http.Response, error) {
	c.in.left = c.maxHead
	for range maxInterim + 1 {
		response, err := http.ReadResponse(c.reader, nil)
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode >= http.StatusOK:
			c.in.left = limit + c.maxHead
			return response, nil
		case response.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the answer switches protocols, which was not asked for")
		}
	}
	return nil, fmt.Errorf("the answer has more than %d interim answers before it", maxInterim)
}

// IsReusable reports whether the connection may carry another request after the body of an answer was read: the server
// keeps it open, and sent nothing behind the answer, which the next request would take for its own.
func (c *Conn) IsReusable(response *http.Response) bool {
	return !response.Close && c.reader.Buffered() == 0
}
