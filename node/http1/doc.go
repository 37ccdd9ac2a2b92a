// Package http1 is the client side of HTTP/1.1 for the two hot paths, between nodes and from the Go client: one
// connection, one request at a time, without a goroutine of its own. It reports what net/http does not: whether a byte
// of a request has left the process, which decides between "not done" and "unknown" (trap T49).
package http1
