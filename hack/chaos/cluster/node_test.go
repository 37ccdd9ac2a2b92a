package cluster

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run makes a node that runs a shell command, does something to it, and waits until it has ended.
func run(t *testing.T, command string, leave bool, do func(*Node)) *Node {
	t.Helper()
	n := &Node{Index: 1, log: filepath.Join(t.TempDir(), "log")}
	n.MayEnd(leave)
	n.command = func() *exec.Cmd { return exec.Command("sh", "-c", command) }
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	do(n)
	for deadline := time.Now().Add(time.Minute); n.Running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process does not end")
		}
	}
	return n
}

func TestAProcessThatEndsWithoutLeaveIsNoticed(t *testing.T) {
	t.Parallel()
	n := run(t, "echo no more; sleep 0.05; exit 3", false, func(*Node) {})
	err := n.Ended()
	if err == nil || !strings.Contains(err.Error(), "node 2") || !strings.Contains(err.Error(), "exit status 3") ||
		!strings.Contains(err.Error(), "no more") {
		t.Errorf("got %v", err)
	}
}

func TestWhoIsKilledOrHasLeaveMayEnd(t *testing.T) {
	t.Parallel()
	if n := run(t, "sleep 60", false, func(n *Node) { n.Kill() }); n.Ended() != nil {
		t.Error(n.Ended())
	}
	if n := run(t, "sleep 60", false, func(n *Node) { _ = n.Stop() }); n.Ended() != nil {
		t.Error(n.Ended())
	}
	if n := run(t, "exit 1", true, func(*Node) {}); n.Ended() != nil {
		t.Error(n.Ended())
	}
}

func TestLeaveToGiveUpIsNoneToCrash(t *testing.T) {
	t.Parallel()
	for _, crash := range []string{"exit 2", "kill -SEGV $$"} { // Go's runtime ends a process that panics with 2
		if n := run(t, crash, true, func(*Node) {}); n.Ended() == nil {
			t.Errorf("there is no error although it ended with: %s", crash)
		}
	}
}
