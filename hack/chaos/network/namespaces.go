package network

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	peerPort = 7080
	apiPort  = 8080
	// wideRate is the rate of a link without faults.
	wideRate = "10gbit"
	// packetBits is about the size of a heartbeat with its headers. If the kernel cannot delay packets, the rate of a
	// link is reduced so that one of these takes as long as the delay.
	packetBits = 600 * 8
)

// Namespaces is a network of one network namespace per node, all on one bridge, with real packet loss. Cuts and losses
// are packet filters at the receiver; delays are tc's netem if the kernel has it, and low rates (tc's htb) otherwise.
// Clients reach the nodes over a second interface, without faults.
type Namespaces struct {
	prefix string
	nodes  int
	apiNet int  // the third number of the clients' addresses
	netem  bool // the kernel can delay packets
	now    Matrix
}

// ErrNotHere reports that this machine cannot make network namespaces, or does not permit it.
var ErrNotHere = errors.New("network namespaces need root, and ip, tc, nft and nsenter")

// NewNamespaces makes the network of some nodes. The error wraps ErrNotHere if this machine cannot.
func NewNamespaces(nodes int) (*Namespaces, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotHere
	}
	for _, tool := range []string{"ip", "tc", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
		}
	}
	n := &Namespaces{prefix: fmt.Sprintf("chaos%d", os.Getpid()), nodes: nodes, apiNet: os.Getpid() % 256}
	n.now = Clear(nodes)
	if err := n.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNotHere, err), n.Close())
	}
	probe := "tc -n " + n.space(0) + " qdisc replace dev peer parent 1:1 netem delay 0ms"
	n.netem = run("", strings.Fields(probe)...) == nil
	return n, nil
}

// Name is the name of this kind of network.
func (n *Namespaces) Name() string { return "namespaces" }

// Slow describes how this network makes a delay.
func (n *Namespaces) Slow() string {
	if n.netem {
		return "delayed by tc netem"
	}
	return "narrowed by tc htb, as this kernel has no netem"
}

// PeerURL is the address of a node for the other nodes.
func (n *Namespaces) PeerURL(node int) string { return "http://" + n.ListenPeer(node) }

// ListenPeer is where a node listens for other nodes.
func (n *Namespaces) ListenPeer(node int) string { return fmt.Sprintf("%s:%d", peerIP(node), peerPort) }

// ListenAPI is where a node listens for clients, which no fault affects.
func (n *Namespaces) ListenAPI(node int) string {
	return fmt.Sprintf("%s:%d", n.apiIP(node, 2), apiPort)
}

// Command returns the command that runs a program as a node.
func (n *Namespaces) Command(node int, program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + n.space(node), program}, args...)...)
}

func (n *Namespaces) space(node int) string { return fmt.Sprintf("%s-%d", n.prefix, node+1) }
func (n *Namespaces) bridge() string        { return n.prefix + "-bridge" }
func (n *Namespaces) cable(node int) string { return fmt.Sprintf("k%dn%d", os.Getpid(), node+1) }

// The addresses are of the networks that are reserved for measurements (RFC 2544).
func peerIP(node int) string { return fmt.Sprintf("198.18.0.%d", node+1) }

func (n *Namespaces) apiIP(node, end int) string {
	return fmt.Sprintf("198.19.%d.%d", n.apiNet, 4*node+end)
}

// build makes the namespaces and their links.
func (n *Namespaces) build() error {
	steps := []string{
		"ip netns add " + n.bridge(),
		"ip -n " + n.bridge() + " link add bridge type bridge",
		"ip -n " + n.bridge() + " link set bridge up",
	}
	for i := range n.nodes {
		steps = append(steps, n.plug(i)...)
		steps = append(steps, n.shape(i)...)
	}
	for _, step := range steps {
		if err := run("", strings.Fields(step)...); err != nil {
			return err
		}
	}
	for i := range n.nodes {
		if err := n.filter(i, "add table inet chaos\n"+
			"add chain inet chaos in { type filter hook input priority 0; }\n"); err != nil {
			return err
		}
	}
	return nil
}

// plug returns the steps that make the namespace of a node, with a link to the bridge and one to the clients.
func (n *Namespaces) plug(i int) []string {
	in := "ip -n " + n.space(i) + " "
	port := fmt.Sprintf("port%d", i+1)
	return []string{
		"ip netns add " + n.space(i),
		in + "link set lo up",
		in + "link add peer type veth peer name " + port + " netns " + n.bridge(),
		"ip -n " + n.bridge() + " link set " + port + " master bridge up",
		in + "addr add " + peerIP(i) + "/24 dev peer",
		in + "link set peer up",
		in + "link add api type veth peer name " + n.cable(i),
		in + "link set " + n.cable(i) + " netns " + fmt.Sprint(os.Getpid()),
		"ip addr add " + n.apiIP(i, 1) + "/30 dev " + n.cable(i),
		"ip link set " + n.cable(i) + " up",
		in + "addr add " + n.apiIP(i, 2) + "/30 dev api",
		in + "link set api up",
	}
}

// shape returns the steps that give each outgoing link of a node its own class.
func (n *Namespaces) shape(i int) []string {
	tc := "tc -n " + n.space(i) + " "
	steps := []string{
		tc + "qdisc add dev peer root handle 1: htb default 1",
		tc + "class add dev peer parent 1: classid 1:1 htb rate " + wideRate,
	}
	for j := range n.nodes {
		if j != i {
			steps = append(
				steps,
				fmt.Sprintf("%sclass add dev peer parent 1: classid 1:%d htb rate %s", tc, j+2, wideRate),
				fmt.Sprintf("%sfilter add dev peer parent 1: protocol ip u32 match ip dst %s/32 flowid 1:%d", tc, peerIP(j), j+2),
			)
		}
	}
	return steps
}

// Apply applies a matrix to the network.
func (n *Namespaces) Apply(m Matrix) error {
	for to := range m {
		if err := n.filter(to, rules(m, to)); err != nil {
			return err
		}
	}
	for from := range m {
		for to, c := range m[from] {
			before := n.now[from][to]
			if from == to || c.Delay == before.Delay && c.Jitter == before.Jitter {
				continue
			}
			if err := run("", strings.Fields(n.delay(from, to, c))...); err != nil {
				return err
			}
			n.now[from][to] = c
		}
	}
	return nil
}

// rules returns the packet filter of a node: what it does not receive from the others.
func rules(m Matrix, to int) string {
	text := "flush chain inet chaos in\n"
	for from := range m {
		switch c := m[from][to]; {
		case c.Cut:
			text += fmt.Sprintf("add rule inet chaos in ip saddr %s drop\n", peerIP(from))
		case c.Loss > 0:
			text += fmt.Sprintf("add rule inet chaos in ip saddr %s numgen random mod 1000 < %d drop\n", peerIP(from),
				int(1000*c.Loss))
		}
	}
	return text
}

// delay returns the command that gives a link its delay.
func (n *Namespaces) delay(from, to int, c Condition) string {
	tc := "tc -n " + n.space(from)
	if n.netem {
		return fmt.Sprintf("%s qdisc replace dev peer parent 1:%d netem delay %dus %dus", tc, to+2, c.Delay.Microseconds(),
			c.Jitter.Microseconds())
	}
	rate := wideRate
	if c.Delay > 0 {
		rate = fmt.Sprintf("%dbit", packetBits*int64(time.Second)/int64(c.Delay))
	}
	return fmt.Sprintf("%s class change dev peer parent 1: classid 1:%d htb rate %s", tc, to+2, rate)
}

func (n *Namespaces) filter(node int, commands string) error {
	return run(commands, "ip", "netns", "exec", n.space(node), "nft", "-f", "-")
}

// Close removes the namespaces. The processes in them must have ended.
func (n *Namespaces) Close() error {
	left, err := exec.Command("ip", "netns", "list").Output()
	for line := range strings.Lines(string(left)) {
		// A line is a name, perhaps followed by the namespace's number. Deleting it deletes both ends of every link.
		if name := strings.Fields(line)[0]; strings.HasPrefix(name, n.prefix+"-") {
			err = errors.Join(err, run("", "ip", "netns", "del", name))
		}
	}
	return err
}

// run runs a command with some input, and returns its output as an error if it fails.
func run(input string, command ...string) error {
	c := exec.Command(command[0], command[1:]...)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
