//go:build unix

package http1

import (
	"errors"
	"net"
	"syscall"
)

// hungUp reports whether something waits to be read, or the other end has closed the connection. It looks without
// waiting; net/http's client learns the same from a goroutine that always reads.
func hungUp(conn *net.TCPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	gone := true
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err != nil || gone
}
