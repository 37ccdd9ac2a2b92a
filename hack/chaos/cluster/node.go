// Package cluster runs `raftnode serve` processes, and kills, stops and starts them.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/kontiki-dev/kontiki/hack/chaos/disk"
	"github.com/kontiki-dev/kontiki/hack/lab/process"
)

// Node is one node, whose process may end and be started again.
type Node struct {
	Index int
	// Disk is what can be done to the node's disk, nil: nothing.
	Disk *disk.Disk

	api     string
	log     string
	command func() *exec.Cmd

	mu      sync.Mutex
	process *process.Process
	dies    bool    // the process was killed, or told to stop
	allowed bool    // to end by itself
	ended   []error // one for each time that a process ended without leave
}

// API is the URL of the node's API.
func (n *Node) API() string { return "http://" + n.api }

// Start starts the process, for the first time or again.
func (n *Node) Start() (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cmd := n.command()
	// A group of its own: an interrupt at the terminal is for this program, which ends the nodes itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	n.dies = false
	n.process, err = process.Start(fmt.Sprintf("node %d", n.Index+1), cmd, n.log, n.note)
	return err
}

// note notes the end of a process that had no leave.
func (n *Node) note(p *process.Process, state *os.ProcessState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dies || n.allowed && state.ExitCode() == gaveUp {
		return
	}
	n.ended = append(n.ended,
		fmt.Errorf("%s ended by itself: %s; its log ends with\n%s", p.Name, state, p.LogEnd(2<<10)))
}

// Kill ends the process as a power cut would: kill -9.
func (n *Node) Kill() { n.condemn().Kill() }

// Stop asks the process to end, and kills it if it does not within ten seconds.
func (n *Node) Stop() error { return n.condemn().Stop() }

// condemn returns the process that is about to be ended.
func (n *Node) condemn() *process.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dies = true
	return n.process
}

// Signal sends a signal to the process, if it has not ended.
func (n *Node) Signal(s syscall.Signal) error { return n.current().Signal(s) }

// Running reports whether the process has not ended.
func (n *Node) Running() bool { return n.current().Running() }

func (n *Node) current() *process.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// gaveUp is the exit code of a raftnode that says why it cannot go on. One that panics ends with another.
const gaveUp = 1

// MayEnd gives the process leave to give up by itself, or takes it back. It is no leave to crash.
func (n *Node) MayEnd(leave bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.allowed = leave
}

// Ended gives an error for each time that the process ended without leave.
func (n *Node) Ended() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.ended...)
}

// arguments are those of `raftnode serve` for one node of some.
func arguments(network Network, nodes, i int, dataDir string) []string {
	var members []string
	for j := range nodes {
		members = append(members, fmt.Sprintf("%d=%s", j+1, network.PeerURL(j)))
	}
	return []string{
		"serve", "--data-dir", dataDir, "--listen-api", network.ListenAPI(i), "--listen-peer", network.ListenPeer(i),
		"--id", strconv.Itoa(i + 1), "--initial-cluster", strings.Join(members, ","),
		"--advertise-api", "http://" + network.ListenAPI(i),
	}
}
