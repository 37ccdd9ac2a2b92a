package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/ports"
	"github.com/kontiki-dev/kontiki/node/api"
)

// asProgram makes the test binary run as raftnode itself, so that real processes can be killed.
const asProgram = "KONTIKI_TEST_AS_RAFTNODE"

func TestMain(m *testing.M) {
	if looks := os.Getenv(asHanging); looks != "" {
		hang(looks)
	}
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// fleet is three real raftnode processes.
type fleet struct {
	t       *testing.T
	dir     string
	api     []string // by node, from 0
	peer    []string
	initial string
	own     map[int]string // --initial-cluster per node, instead of initial
	program map[int]string // per node, instead of this one
	join    bool           // start with --join, and wait to be bootstrapped
	flags   []string       // further ones, of every node
	env     []string       // further variables, of every node
	wrap    []string       // a program that runs each node, which takes its process; empty: none
	// descriptors is how many each process may have open; 0: as many as this one.
	descriptors int
	running     []*exec.Cmd
	logs        []*syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func freeAddresses(t *testing.T, count int) []string {
	t.Helper()
	addresses, err := ports.FreeAddresses(count)
	if err != nil {
		t.Fatal(err)
	}
	return addresses
}

func newFleet(t *testing.T, prepare ...func(*fleet)) *fleet {
	t.Helper()
	const nodes = 3
	addresses := freeAddresses(t, 2*nodes)
	f := &fleet{
		t: t, dir: t.TempDir(), api: addresses[:nodes], peer: addresses[nodes:],
		running: make([]*exec.Cmd, nodes), logs: make([]*syncBuffer, nodes),
	}
	var members []string
	for i, address := range f.peer {
		members = append(members, fmt.Sprintf("%d=http://%s", i+1, address))
	}
	f.initial = strings.Join(members, ",")
	for _, p := range prepare {
		p(f)
	}
	for i := range nodes {
		f.logs[i] = &syncBuffer{}
		f.start(i)
	}
	t.Cleanup(func() {
		for i := range f.running {
			f.kill(i)
			if t.Failed() {
				t.Logf("node %d output:\n%s", i+1, f.logs[i])
			}
		}
	})
	return f
}

// start starts node i+1 as a process of its own. The election timeout is long enough for a machine that runs many
// tests at once.
func (f *fleet) start(i int) {
	f.t.Helper()
	args := f.serveArgs(i, f.data(i))
	if f.join {
		args = append(args, "--join", "--advertise-peer", f.member(i).Address, "--advertise-api", f.member(i).APIAddress)
	} else {
		args = append(args, "--id", fmt.Sprint(i+1), "--initial-cluster", cmp.Or(f.own[i], f.initial))
	}
	f.run(i, append(args, f.flags...))
}

// startAlone starts node 1 in a data directory that has its identity, without flags about it.
func (f *fleet) startAlone(dir string) {
	f.t.Helper()
	f.run(0, f.serveArgs(0, dir))
}

func (f *fleet) serveArgs(i int, dir string) []string {
	return []string{
		"serve", "--data-dir", dir, "--listen-api", f.api[i], "--listen-peer", f.peer[i], "--election-timeout", "400ms",
	}
}

// run runs this program as node i+1.
func (f *fleet) run(i int, args []string) {
	f.t.Helper()
	line := append(append(slices.Clone(f.wrap), cmp.Or(f.program[i], os.Args[0])), args...)
	c := exec.Command(line[0], line[1:]...)
	if f.descriptors > 0 {
		script := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, f.descriptors)
		c = exec.Command("/bin/sh", append([]string{"-c", script}, c.Args...)...)
	}
	c.Env = append(append(os.Environ(), asProgram+"=1"), f.env...)
	c.Stderr, c.Stdout = f.logs[i], f.logs[i]
	if err := c.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.running[i] = c
}

func (f *fleet) data(i int) string { return filepath.Join(f.dir, fmt.Sprint(i+1)) }

// kill is kill -9.
func (f *fleet) kill(i int) { _ = f.end(i, syscall.SIGKILL) }

func (f *fleet) end(i int, signal os.Signal) error {
	c := f.running[i]
	if c == nil {
		return nil
	}
	f.running[i] = nil
	_ = c.Process.Signal(signal)
	return c.Wait()
}

func (f *fleet) until(what string, condition func() bool) {
	f.t.Helper()
	until(f.t, what, condition)
}

// until polls until the condition holds.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

// leader waits until a node leads, and returns its position.
func (f *fleet) leader() int {
	f.t.Helper()
	leader := -1
	f.until("a leader", func() bool {
		for i := range f.api {
			var c api.ClusterView
			if f.running[i] != nil && f.get(i, "/api/v1/cluster", &c) == nil && c.Role == "LEADER" {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

func (f *fleet) get(i int, path string, into any) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.api[i]+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", path, response.Status, body)
	}
	if text, ok := into.(*string); ok {
		*text = string(body)
		return nil
	}
	return json.Unmarshal(body, into)
}

// put writes one key, and reports whether it was acknowledged.
func (f *fleet) put(i int, key, value string) bool {
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+f.api[i]+"/api/v1/kv/"+key,
		strings.NewReader(value))
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func TestKillingTheLeaderUnderLoadLosesNoAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.leader()
	var mu sync.Mutex
	acknowledged := map[string]string{}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				key, value := fmt.Sprintf("w%d/%d", w, n), fmt.Sprintf("value %d of %d", n, w)
				if f.put((w+n)%3, key, value) {
					mu.Lock()
					acknowledged[key] = value
					mu.Unlock()
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	for range 4 {
		before := count()
		f.until("writes go on", func() bool { return count() > before+50 })
		victim := f.leader()
		f.kill(victim)
		before = count()
		f.until("writes go on without it", func() bool { return count() > before+50 })
		f.start(victim)
	}
	close(stop)
	writers.Wait()
	for i := range f.api {
		f.until(fmt.Sprintf("node %d answers", i+1), func() bool {
			var s string
			return f.get(i, "/readyz", &s) == nil
		})
		for key, want := range acknowledged {
			var got string
			if err := f.get(i, "/api/v1/kv/"+key, &got); err != nil || got != want {
				t.Fatalf("node %d has %q for %s, which was acknowledged as %q: %v", i+1, got, key, want, err)
			}
		}
	}
	t.Logf("%d acknowledged writes, 4 leaders killed, none lost", len(acknowledged))
}

// Inside a container the address that a node advertises to clients outside leads nowhere.
func TestATransferNeedsNoAdvertisedAddress(t *testing.T) {
	t.Parallel()
	f := newFleet(t, func(f *fleet) { f.flags = []string{"--advertise-api", "http://127.0.0.1:1"} })
	leader := f.leader()
	asked, target := (leader+1)%3, (leader+2)%3
	f.until("the follower passes the transfer on", func() bool {
		body := strings.NewReader(fmt.Sprintf(`{"to":%d}`, target+1))
		response, err := http.Post("http://"+f.api[asked]+api.PathLeaderTransfer, "application/json", body)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode == http.StatusGatewayTimeout {
			t.Fatalf("the transfer was answered with %s %s, %v", response.Status, text, err)
		}
		var moved api.TransferResponse
		return response.StatusCode == http.StatusOK && json.Unmarshal(text, &moved) == nil &&
			moved.LeaderID == uint64(target+1)
	})
}

func TestSigtermHandsTheLeadershipOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	leader := f.leader()
	if !f.put(leader, "a", "1") {
		t.Fatal("the leader did not take a write")
	}
	if err := f.end(leader, syscall.SIGTERM); err != nil {
		t.Errorf("a graceful stop ended with %v", err)
	}
	if !strings.Contains(f.logs[f.leader()].String(), "hands over") {
		t.Error("the leadership was not transferred; the new leader had to wait for a timeout")
	}
	if _, err := os.Stat(filepath.Join(f.data(leader), "raft.db-wal")); !errors.Is(err, os.ErrNotExist) {
		if info, err := os.Stat(filepath.Join(f.data(leader), "raft.db-wal")); err == nil && info.Size() > 0 {
			t.Errorf("the write-ahead log was left behind with %d bytes", info.Size())
		}
	}
}

func TestSecondProcessOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.leader()
	free := freeAddresses(t, 2)
	var output bytes.Buffer
	code := run(t.Context(), []string{
		"serve", "--id", "1", "--data-dir", f.data(0), "--listen-api", free[0], "--listen-peer", free[1],
		"--initial-cluster", f.initial,
	}, &output, &output)
	if code != exitFailed || !strings.Contains(output.String(), f.data(0)) {
		t.Errorf("exit code %d, output %q; want a refusal that names the directory", code, output.String())
	}
}
