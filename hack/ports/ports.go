// Package ports finds free ports on this machine for servers that tests start, end and start again.
package ports

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Ports are in this range. Browsers refuse 10080 and several below. Systems assign the ports from 32768 on, or from
// 49152, to outgoing connections and to listeners without a given port: one of those may take such a port before its
// server starts, or while it is down.
const (
	first = 12000
	end   = 30000
)

var (
	mu sync.Mutex
	// claims are UDP sockets on the ports that this process received. They show other processes that use this package
	// that the ports are taken, and end with this process, however it ends.
	claims []net.PacketConn
)

// Free returns the first of count consecutive ports without a listener. Until this process ends, Free returns none of
// them again, in this process or another.
func Free(count int) (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for base := first; base+count <= end; {
		claimed, taken := claim(base, count)
		if taken == 0 {
			claims = append(claims, claimed...)
			return base, nil
		}
		for _, c := range claimed {
			_ = c.Close()
		}
		base = taken + 1
	}
	return 0, fmt.Errorf("no %d free ports in a row from %d to %d", count, first, end-1)
}

// FreeAddresses returns count loopback addresses with ports from Free, like "127.0.0.1:12000".
func FreeAddresses(count int) ([]string, error) {
	base, err := Free(count)
	if err != nil {
		return nil, err
	}
	var all []string
	for i := range count {
		all = append(all, address(base+i))
	}
	return all, nil
}

// claim claims consecutive ports. It stops at the first port that is taken and returns it, or 0 if none is.
func claim(base, count int) (claimed []net.PacketConn, taken int) {
	for port := base; port < base+count; port++ {
		c, err := net.ListenPacket("udp", address(port))
		if err != nil {
			return claimed, port
		}
		claimed = append(claimed, c)
		if err := listens(port); err != nil {
			return claimed, port
		}
	}
	return claimed, 0
}

// listens returns why a port cannot be listened on, on loopback or on all addresses, or nil if it can.
func listens(port int) error {
	// A process forked meanwhile would keep this listener open until it runs its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var errs []error
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			err = l.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
