// Package cluster runs `raftnode serve` processes, and kills, stops and starts them.
package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/disk"
)

// Node is one process, which may live many times.
type Node struct {
	Index int
	// Disk is what can be done to the node's disk, nil: nothing.
	Disk *disk.Disk

	api     string
	log     string
	command func() *exec.Cmd

	mu      sync.Mutex
	life    *life
	allowed bool    // to end by itself
	ended   []error // the lives that ended without leave
}

// life is one process.
type life struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
	dies bool          // it was killed, or told to stop
}

// API is the URL of the node's API.
func (n *Node) API() string { return "http://" + n.api }

// Start begins a life.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := n.command()
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own: an interrupt at the terminal is for this program, which ends the nodes itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node %d: %w", n.Index+1, err)
	}
	l := &life{cmd: cmd, done: make(chan struct{})}
	n.life = l
	go n.watch(l)
	return nil
}

// watch waits for the end of a life, and notes one without leave.
func (n *Node) watch(l *life) {
	_ = l.cmd.Wait() // how it ended is in cmd.ProcessState
	n.mu.Lock()
	mayEnd := l.dies || n.allowed && l.cmd.ProcessState.ExitCode() == gaveUp
	if !mayEnd {
		n.ended = append(n.ended, fmt.Errorf("node %d ended by itself: %s; its log ends with\n%s",
			n.Index+1, l.cmd.ProcessState, n.logEnd()))
	}
	n.mu.Unlock()
	close(l.done)
}

// Kill ends the process as a power cut would: kill -9.
func (n *Node) Kill() {
	l := n.condemn()
	_ = l.cmd.Process.Kill() // fails only if it has ended already
	<-l.done
}

// Stop asks the process to end, and kills it if it does not within ten seconds.
func (n *Node) Stop() error {
	l := n.condemn()
	_ = l.cmd.Process.Signal(syscall.SIGCONT)
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-l.done:
		return nil
	case <-time.After(10 * time.Second):
		n.Kill()
		return fmt.Errorf("node %d did not stop within 10 s of SIGTERM", n.Index+1)
	}
}

// condemn gives the life that is about to be ended.
func (n *Node) condemn() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life.dies = true
	return n.life
}

// Signal sends a signal to the process, if it lives.
func (n *Node) Signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.life.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s to node %d: %w", s, n.Index+1, err)
	}
	return nil
}

// Lives tells whether the process has not ended.
func (n *Node) Lives() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.life.done:
		return false
	default:
		return true
	}
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

// logEnd is what the process said last.
func (n *Node) logEnd() string {
	const most = 2 << 10
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	if len(text) > most {
		text = text[len(text)-most:]
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	return string(text)
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
