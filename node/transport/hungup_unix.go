//go:build unix

package transport

import (
	"errors"
	"net"
	"syscall"
)

// hungUp reports whether the peer has closed a connection on which nothing is under way, or sent what nobody asked
// for. It looks without waiting; net/http's client learns the same from a goroutine that always reads.
func hungUp(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := tcp.SyscallConn()
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
