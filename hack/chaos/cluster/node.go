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
	Data  string // the data directory
	// Disk injects faults of the node's disk, or is nil.
	Disk *disk.Disk

	api     string
	log     string
	command func() *exec.Cmd

	mu      sync.Mutex
	process *process.Process
	dies    bool    // the process was killed, or asked to stop
	allowed bool    // to end by itself
	ended   []error // one for each time that a process ended without permission
}

// API is the URL of the node's API.
func (n *Node) API() string { return "http://" + n.api }

// Start starts the process, for the first time or again.
func (n *Node) Start() (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cmd := n.command()
	// A process group of its own: an interrupt at the terminal is for this program, which ends the nodes itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	n.dies = false
	n.process, err = process.Start(fmt.Sprintf("node %d", n.Index+1), cmd, n.log, n.note)
	return err
}

// note records the end of a process that ended without permission.
func (n *Node) note(p *process.Process, state *os.ProcessState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dies || n.allowed && state.ExitCode() == gaveUp {
		return
	}
	n.ended = append(n.ended,
		fmt.Errorf("%s ended by itself: %s; its log ends with\n%s", p.Name, state, p.LogEnd(2<<10)))
}

// Kill ends the process like a power failure: kill -9.
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

// gaveUp is the exit code of a raftnode that logs why it cannot go on. One that panics has another exit code.
const gaveUp = 1

// MayEnd permits the process to end by itself, or revokes that. A crash is never permitted.
func (n *Node) MayEnd(leave bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.allowed = leave
}

// Ended returns an error for each time that the process ended without permission.
func (n *Node) Ended() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.ended...)
}

// arguments returns those of `raftnode serve` for one of several nodes.
func arguments(network Network, nodes, i int, dataDir string) []string {
	var members []string
	for j := range nodes {
		members = append(members, fmt.Sprintf("%d=%s", j+1, network.PeerURL(j)))
	}
	return []string{
		"serve", "--data-dir", dataDir, "--listen-api", network.ListenAPI(i), "--listen-peer", network.ListenPeer(i),
		"--id", strconv.Itoa(i + 1), "--initial-cluster", strings.Join(members, ","),
		// Small limits, so that logs are cut and followers need snapshots all the time.
		"--history-revisions", "2000", "--checkpoint-interval", "300ms", "--log-entries", "200",
		// States are compared often, so that a wrong one is found within an episode.
		"--check-interval", "1s",
		"--advertise-api", "http://" + network.ListenAPI(i),
	}
}
