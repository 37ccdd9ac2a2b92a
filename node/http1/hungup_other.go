//go:build !unix

package http1

import "net"

// hungUp cannot look without waiting here, so no connection is used for a second request that may be sent only once.
func hungUp(*net.TCPConn) bool { return true }
