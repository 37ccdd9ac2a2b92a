package http1

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Head is what the heads of all requests to one server have in common. It is built once and appended to each request.
type Head struct {
	base  string // in front of every path
	lines string // from the end of the target to the value of Content-Length
}

// NewHead returns the head of the requests to a server: host is the value of the Host header, base the encoded path in
// front of every path, without a slash at its end. The header must not contain Host and Content-Length. It fails if
// host or base cannot be part of a request.
func NewHead(host, base string, header http.Header) (Head, error) {
	if host == "" || strings.ContainsFunc(host+base, isNoGraph) {
		return Head{}, fmt.Errorf("host %q and path %q should have ASCII characters only, and no spaces", host, base)
	}
	var lines strings.Builder
	lines.WriteString(" HTTP/1.1\r\nHost: " + host + "\r\n")
	if err := header.Write(&lines); err != nil {
		return Head{}, fmt.Errorf("cannot write the header: %w", err)
	}
	lines.WriteString("Content-Length: ")
	return Head{base: base, lines: lines.String()}, nil
}

// isNoGraph reports whether a character is not one of the printable ASCII characters, without the space.
func isNoGraph(c rune) bool { return c <= ' ' || c > '~' }

// Append appends the head of one request, whose body has length bytes.
func (h *Head) Append(dst []byte, method, path string, length int) []byte {
	dst = append(append(dst, method...), ' ')
	dst = append(append(dst, h.base...), path...)
	dst = append(dst, h.lines...)
	return append(strconv.AppendInt(dst, int64(length), 10), "\r\n\r\n"...)
}
