package network

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/hack/ports"
)

// The proxies' memory: how many pieces of how many bytes may be in flight in one direction of a connection.
const (
	pieces     = 64
	pieceBytes = 32 << 10
	// headBytes limits the header of a first request, as the peer port does.
	headBytes = 16 << 10
	// headerFrom is the header of a request between nodes that names its sender.
	headerFrom = "X-Kontiki-From: "
)

// Proxies is a network of one TCP proxy per node on loopback. All nodes use the addresses of the proxies, so that they
// agree about the members. A proxy learns from the first request of a connection which node it comes from: every
// request between nodes names its sender, and two nodes never share a connection.
type Proxies struct {
	fronts []net.Listener
	peers  []string // where the nodes themselves listen
	apis   []string
	ways   [][]*way

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	tasks  sync.WaitGroup
}

// NewProxies makes the network of some nodes.
func NewProxies(nodes int) (*Proxies, error) {
	p := &Proxies{conns: make(map[net.Conn]bool)}
	addresses, err := ports.FreeAddresses(2 * nodes)
	if err != nil {
		return nil, err
	}
	p.peers, p.apis = addresses[:nodes], addresses[nodes:]
	for i := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.fronts = append(p.fronts, l)
		p.ways = append(p.ways, make([]*way, nodes))
		for j := range nodes {
			p.ways[i][j] = &way{changed: make(chan struct{})}
		}
	}
	for i := range p.fronts {
		p.tasks.Go(func() { p.serve(i) })
	}
	return p, nil
}

// Name is the name of this kind of network.
func (p *Proxies) Name() string { return "proxies" }

// Slow describes how this network makes a delay.
func (p *Proxies) Slow() string { return "delayed" }

// PeerURL is the address of a node for the other nodes.
func (p *Proxies) PeerURL(node int) string { return "http://" + p.fronts[node].Addr().String() }

// ListenPeer is where a node listens for other nodes.
func (p *Proxies) ListenPeer(node int) string { return p.peers[node] }

// ListenAPI is where a node listens for clients, which no fault affects.
func (p *Proxies) ListenAPI(node int) string { return p.apis[node] }

// Command returns the command that runs a program as a node.
func (p *Proxies) Command(_ int, program string, args ...string) *exec.Cmd {
	return exec.Command(program, args...)
}

// Apply applies a matrix to the network.
func (p *Proxies) Apply(m Matrix) error {
	for from := range m {
		for to, c := range m[from] {
			p.ways[from][to].set(c)
		}
	}
	return nil
}

// Close ends all connections.
func (p *Proxies) Close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	var errs []error
	for _, l := range p.fronts {
		errs = append(errs, l.Close())
	}
	_ = p.Apply(Clear(len(p.ways))) // a connection that waits for the end of a cut goes on, and finds itself closed
	p.tasks.Wait()
	return errors.Join(errs...)
}

// keep registers a connection, so that it is closed with the network. It returns false if the network is closed
// already.
func (p *Proxies) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxies) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// serve accepts the connections to one node.
func (p *Proxies) serve(to int) {
	for {
		c, err := p.fronts[to].Accept()
		if err != nil {
			return // closed
		}
		p.tasks.Go(func() {
			if p.keep(c) {
				defer p.drop(c)
				p.connect(c, to)
			}
		})
	}
}

// connect determines the sender, and carries the data of both nodes.
func (p *Proxies) connect(caller net.Conn, to int) {
	reader := bufio.NewReaderSize(caller, headBytes)
	from, err := sender(reader)
	if err != nil || from > len(p.ways) {
		return // not a node: the connection is closed
	}
	there, back := p.ways[from-1][to], p.ways[to][from-1]
	there.open() // connecting takes a packet, too
	node, err := net.Dial("tcp", p.peers[to])
	if err != nil || !p.keep(node) {
		return
	}
	defer p.drop(node)
	var both sync.WaitGroup
	both.Go(func() { there.carry(node, reader, caller) })
	both.Go(func() { back.carry(caller, node, node) })
	both.Wait()
}

// sender returns the number of the node whose request starts in the reader, which keeps it.
func sender(reader *bufio.Reader) (int, error) {
	for want := 1; ; {
		if _, err := reader.Peek(want); err != nil {
			return 0, err
		}
		head, _ := reader.Peek(reader.Buffered())
		if _, after, found := bytes.Cut(head, []byte("\r\n"+headerFrom)); found {
			if number, _, whole := bytes.Cut(after, []byte("\r\n")); whole {
				from, err := strconv.Atoi(string(number))
				if err != nil || from < 1 {
					return 0, fmt.Errorf("the sender of a request is %q, which is not a node", number)
				}
				return from, nil
			}
		} else if bytes.Contains(head, []byte("\r\n\r\n")) {
			return 0, errors.New("a request does not name its sender")
		}
		want = len(head) + 1
	}
}

// way is one direction between two nodes.
type way struct {
	mu        sync.Mutex
	condition Condition
	changed   chan struct{} // closed when the condition changes
}

func (w *way) set(c Condition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.condition != c {
		w.condition = c
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

func (w *way) get() (Condition, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.condition, w.changed
}

// open waits until the direction is not cut.
func (w *way) open() {
	for {
		c, changed := w.get()
		if !c.Cut {
			return
		}
		<-changed
	}
}

// piece is a number of bytes in flight.
type piece struct {
	bytes []byte
	due   time.Time
}

// carry carries bytes from one node to another until one of them closes the connection. What a cut holds up is carried
// when the cut is over, as TCP would retransmit it: late messages, perhaps of an earlier run of the node. A loss also
// drops everything that would follow on the connection, whose ends notice by their timeouts.
func (w *way) carry(to net.Conn, from io.Reader, source net.Conn) {
	queue := make(chan piece, pieces)
	go func() {
		defer close(queue)
		lost := false
		for {
			buffer := make([]byte, pieceBytes)
			n, err := from.Read(buffer)
			c, _ := w.get()
			if lost = lost || rand.Float64() < c.Loss; n > 0 && !lost {
				queue <- piece{buffer[:n], time.Now().Add(c.Delay + time.Duration(rand.Float64()*float64(c.Jitter)))}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range queue {
		time.Sleep(time.Until(p.due))
		w.open()
		if _, err := to.Write(p.bytes); err != nil {
			_ = source.Close() // ends the reader, too
			for range queue {
			}
			return
		}
	}
	w.open()
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // the other side may still have data to send
	}
}
