//go:build !race

package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// previousRelease is the commit of the release before this one. A new release names its predecessor there.
//
//go:embed testdata/previous-release
var previousRelease string

// buildPrevious builds the raftnode of the previous release from the history of this repository. The test is skipped in
// a copy without the history, and in a shallow clone.
func buildPrevious(t *testing.T) string {
	t.Helper()
	dir, commit := t.TempDir(), strings.TrimSpace(previousRelease)
	run := func(name string, input []byte, args ...string) ([]byte, error) {
		var problem bytes.Buffer
		c := exec.Command(name, args...)
		c.Stdin, c.Stderr = bytes.NewReader(input), &problem
		output, err := c.Output()
		if err != nil {
			err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, problem.Bytes())
		}
		return output, err
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	shallow, err := run("git", nil, "-C", root, "rev-parse", "--is-shallow-repository")
	if err != nil || strings.TrimSpace(string(shallow)) != "false" {
		t.Skipf("the history is missing: %s %v", shallow, err)
	}
	archive, err := run("git", nil, "-C", root, "archive", commit)
	if err == nil {
		_, err = run("tar", archive, "-x", "-C", dir)
	}
	program := filepath.Join(dir, "raftnode")
	if err == nil {
		_, err = run("go", nil, "build", "-C", dir, "-o", program, "./node/cmd/raftnode")
	}
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// load writes keys to every node, and keeps those that were acknowledged.
type load struct {
	f       *fleet
	mu      sync.Mutex
	written []string
	done    chan struct{}
	writers sync.WaitGroup
}

func startLoad(f *fleet) *load {
	l := &load{f: f, done: make(chan struct{})}
	for w := range 4 {
		l.writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.done:
					return
				default:
				}
				if key := fmt.Sprintf("w%d/%d", w, n); f.put((w+n)%3, key, "value of "+key) {
					l.mu.Lock()
					l.written = append(l.written, key)
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.written)
}

// goesOn waits until more writes are acknowledged.
func (l *load) goesOn() {
	l.f.t.Helper()
	before := l.count()
	l.f.until("writes go on", func() bool { return l.count() > before+20 })
}

// stop ends the writers, and checks that every node has every acknowledged write.
func (l *load) stop() {
	l.f.t.Helper()
	close(l.done)
	l.writers.Wait()
	l.f.t.Logf("%d writes were acknowledged", len(l.written))
	for n, key := range l.written {
		var value string
		i := n % 3
		l.f.until("a key can be read", func() bool { return l.f.get(i, "/api/v1/kv/"+key, &value) == nil })
		if value != "value of "+key {
			l.f.t.Errorf("node %d has %q for %s", i+1, value, key)
		}
	}
}

// roll replaces the programs one by one, the leader last, and wants writes to go on with each mixture.
func (f *fleet) roll(l *load, program string) {
	f.t.Helper()
	leader := f.leader()
	for n := 1; n <= 3; n++ {
		f.replace((leader+n)%3, program)
		l.goesOn()
	}
}

// replace starts another program as a node, and waits until it is ready.
func (f *fleet) replace(i int, program string) {
	f.t.Helper()
	if err := f.end(i, syscall.SIGTERM); err != nil {
		f.t.Fatalf("node %d ended: %v", i+1, err)
	}
	f.program[i] = program
	f.start(i)
	f.until("it is ready", func() bool { return f.get(i, "/readyz", new(string)) == nil })
}

// A cluster of the previous release is replaced node by node with this one under load, back again, and once more. In
// each mixture of the two, either of them leads for a while, writes go on, and none that was acknowledged is lost.
func TestARollingUpgradeAndBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the previous release")
	}
	previous := buildPrevious(t)
	f := newFleet(t, func(f *fleet) {
		f.program = map[int]string{0: previous, 1: previous, 2: previous}
		f.flags = []string{"--checkpoint-interval", "500ms", "--log-entries", "200"}
	})
	f.leader()
	l := startLoad(f)
	l.goesOn()
	for _, program := range []string{"", previous, ""} {
		f.roll(l, program)
		f.eachLeads(l)
	}
	l.stop()
	f.noWayBack(previous)
}

// noWayBack wants a change of the members to wait for the last node of the previous release, and that release to refuse
// the data directories after the change.
func (f *fleet) noWayBack(previous string) {
	f.t.Helper()
	f.replace(0, previous)
	c := f.client()
	f.until("node 2 leads", func() bool {
		_, err := c.TransferLeadership(f.t.Context(), 2)
		return err == nil && f.leader() == 1
	})
	change := func() error {
		_, err := c.UpdateMember(f.t.Context(), 3, api.UpdateMemberRequest{
			Address: "http://" + f.peer[2], APIAddress: "http://" + f.api[2],
		})
		return err
	}
	var refusal *api.Error
	f.until("the change is refused", func() bool {
		return errors.As(change(), &refusal) && refusal.Code == api.CodeConflict
	})
	if !strings.Contains(refusal.Message, "node 1; start the same version there") {
		f.t.Errorf("beside an older version: %v", refusal)
	}
	f.replace(0, "")
	f.until("the change is made", func() bool { return change() == nil })
	f.until("node 1 has it, which the others did not wait for", func() bool {
		var view api.ClusterView
		return f.get(0, "/api/v1/cluster", &view) == nil && view.Config.CommittedIndex > 0
	})
	if err := f.end(0, syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	f.program[0] = previous
	f.start(0)
	f.until("the previous release refuses the directory", func() bool {
		return strings.Contains(f.logs[0].String(), "its format is 3, and this program reads formats up to 2")
	})
	if err := f.running[0].Wait(); err == nil {
		f.t.Error("the previous release ends without an error on a log with a configuration")
	}
	f.running[0] = nil
}

// eachLeads transfers the leadership to each node.
func (f *fleet) eachLeads(l *load) {
	f.t.Helper()
	c := f.client()
	for i := range f.running {
		f.until("it leads", func() bool {
			_, _ = c.TransferLeadership(f.t.Context(), uint64(i)+1) // refused until the node has the whole log
			var view api.ClusterView
			return f.get(i, "/api/v1/cluster", &view) == nil && view.Role == "LEADER"
		})
		l.goesOn()
	}
}
