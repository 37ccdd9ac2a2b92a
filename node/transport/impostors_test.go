package transport

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// asks sends heartbeats to node 2, as a leader does, until a condition holds.
func asks(t *testing.T, from *testNode, what string, holds func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		from.Send([]raft.Message{heartbeat(2, 1)})
		select {
		case <-from.fake.unreachable:
		case <-time.After(5 * time.Millisecond):
		}
		return holds()
	})
}

// emptyNode is a node of some other cluster that waits for an identity. It gives where it listens.
func emptyNode(t *testing.T) string {
	t.Helper()
	empty := &testNode{Transport: New(Config{}), fake: newFakeNode(), listener: listen(t)}
	empty.fake.status.LifeCycle = api.StateEmpty
	start(t, empty)
	return empty.listener.Addr().String()
}

// program is a program that is no node, and handles each connection with a function. It returns where it listens.
func program(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func hangUp(net.Conn) {}

// agree answers 200 to everything, as some web servers do.
func agree(conn net.Conn) {
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = in.Discard(int(r.ContentLength))
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	}
}

// A pod that waits to be bootstrapped, perhaps without end, has the address that the peer had before.
func TestAnEmptyNodeAtThePeersNameIsLeft(t *testing.T) { // O20
	t.Parallel()
	t.Run("for where the peer called from", func(t *testing.T) {
		t.Parallel()
		one, two, _, n := movedPeer(t, podName)
		n.set(podName, emptyNode(t))
		beats(t, one, two)
	})
	t.Run("when the name is right again", func(t *testing.T) {
		t.Parallel()
		one, two, _, n := movedPeer(t, podName)
		empty := emptyNode(t)
		n.set(podName, empty)
		n.set("10.0.0.9", empty)
		one.Send([]raft.Message{bulkAppend(2, 1)}) // on the one connection for entries, which it will have again
		next(t, one.fake.unreachable, "the report that they were lost")
		n.set(podName, two.listener.Addr().String())
		eventually(t, "the entries arrive", func() bool {
			one.Send([]raft.Message{bulkAppend(2, 1)})
			select {
			case <-two.fake.delivered:
				return true
			case <-one.fake.unreachable:
				return false
			}
		})
	})
}

// called reports whether a host was tried.
func called(n *names, host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.calls, host)
}

func TestAStrangerAtThePeersNameIsLeft(t *testing.T) { // O20
	t.Parallel()
	for what, handle := range map[string]func(net.Conn){"hangs up": hangUp, "agrees to everything": agree} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			one, two, _, n := movedPeer(t, podName)
			n.set(podName, program(t, handle))
			beats(t, one, two)
		})
	}
}

// Behind a proxy a peer calls from a host that takes every connection, and answers as it likes. The name was wrong
// once, so that the hint goes first.
func TestAHintThatLeadsToAStrangerIsLeft(t *testing.T) { // O20
	t.Parallel()
	for what, handle := range map[string]func(net.Conn){"hangs up": hangUp, "agrees to everything": agree} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			one, two, three, n := movedPeer(t, podName)
			n.set("10.0.0.9", program(t, handle))
			n.set(podName, three.listener.Addr().String())
			asks(t, one, "the hint was tried", func() bool { return called(n, "10.0.0.9") })
			n.set(podName, two.listener.Addr().String())
			beats(t, one, two)
		})
	}
}

// A name takes longer than the hint's delay: a slow resolver, or a peer far away. The hint leads somewhere else, at
// once and always.
func TestASlowNameIsNotLostToAWrongHint(t *testing.T) { // O20
	t.Parallel()
	one, two, three, n := movedPeer(t, podName)
	n.set(podName, two.listener.Addr().String())
	n.set("10.0.0.9", three.listener.Addr().String())
	n.mu.Lock()
	n.slow = map[string]time.Duration{podName: 2 * hintDelay}
	n.mu.Unlock()
	beats(t, one, two)
}
