//go:build linux && !race

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// podMemory is the default memory limit of a pod of a RaftCluster, and podGoMemory the GOMEMLIMIT that the operator
// sets for it.
const (
	podMemory   = 512 << 20
	podGoMemory = "512000000"
)

// memoryGroup is a memory cgroup for processes; the zero value is none.
type memoryGroup struct{ dir, limit string }

// newMemoryGroup creates a cgroup with the limit of a pod, v2 or v1. Without root or a writable cgroup it returns
// none, and the test checks the peak of the resident memory instead.
func newMemoryGroup(t *testing.T, number int) memoryGroup {
	t.Helper()
	name := fmt.Sprintf("kontiki-test-%d-%d", os.Getpid(), number)
	for _, g := range []memoryGroup{
		{"/sys/fs/cgroup", "memory.max"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
	} {
		g.dir = filepath.Join(g.dir, name)
		if err := os.Mkdir(g.dir, 0o700); err != nil {
			continue
		}
		dir := g.dir
		t.Cleanup(func() { _ = os.Remove(dir) }) // its processes have ended: cleanups run last first
		if os.WriteFile(filepath.Join(dir, g.limit), []byte(strconv.Itoa(podMemory)), 0o600) == nil {
			return g
		}
	}
	return memoryGroup{}
}

func (g memoryGroup) add(t *testing.T, pid int) {
	t.Helper()
	if g.dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// peakResident returns the peak resident memory of a process, in bytes.
func peakResident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("this system does not report the memory of a process: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no peak in %s", text)
	return 0
}

// forgetPeak resets the peak of the resident memory, if the system supports it.
func forgetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600)
}

// attacker opens connections, sends the same on each, and reads no response.
type attacker struct {
	t       *testing.T
	address string
	request string
	conns   []net.Conn
	sending sync.WaitGroup
}

func attack(t *testing.T, address string, count int, request string) *attacker {
	t.Helper()
	a := &attacker{t: t, address: address, request: request, conns: make([]net.Conn, count)}
	a.start()
	return a
}

func (a *attacker) start() {
	a.t.Helper()
	for i := range a.conns {
		conn, err := net.Dial("tcp", a.address)
		if err != nil {
			a.t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		a.conns[i] = conn
		a.t.Cleanup(func() { _ = conn.Close() })
		a.sending.Go(func() { _, _ = io.WriteString(conn, a.request) }) // fails when it is cut off, as expected
	}
}

// until attacks until the condition holds, every few seconds on new connections: a busy machine may refuse all
// requests of an attack for another reason.
func (a *attacker) until(what string, condition func() bool) {
	a.t.Helper()
	const checks = 300
	count := 0
	until(a.t, what, func() bool {
		if count++; count%checks == 0 {
			a.end()
			a.start()
		}
		return condition()
	})
}

func (a *attacker) end() {
	for _, conn := range a.conns {
		_ = conn.Close()
	}
	a.sending.Wait()
}

// beyondSockets is how many responses of a MiB or two exceed what the kernel buffers for one connection, 4 MiB. A
// single response may be buffered there, and then costs the process nothing.
const beyondSockets = 8

// memoryAttacks are inputs of clients and of unidentified peers. Each would exceed the memory limit if nothing
// bounded it.
var memoryAttacks = []struct {
	name    string
	isPeer  bool // sent to the peer port
	conns   int
	request func(cluster string) string
}{
	{"unfinished batches", false, 100, func(string) string {
		return "POST /api/v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n" +
			strings.Repeat("\n", 8<<20-10)
	}},
	{"unfinished chunks", false, 200, func(string) string {
		return "POST /api/command HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n" +
			strings.Repeat(" ", 4<<20-10)
	}},
	{"unread gets", false, 60, func(string) string {
		return post("/api/v1/batch", strings.Repeat(`{"op":"get","key":"0"}`+"\n", 50))
	}},
	{"unread records", false, 200, func(string) string {
		return strings.Repeat("GET /api/v1/kv/1 HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n",
			beyondSockets)
	}},
	{"unread pages of the log", false, 200, func(string) string {
		return strings.Repeat("GET /api/logs?from=1&limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n", beyondSockets)
	}},
	{"slow headers of many fields", false, 300, func(string) string {
		var fields strings.Builder
		for i := range 9000 {
			fmt.Fprintf(&fields, "%x:\r\n", i)
		}
		return "GET /livez HTTP/1.1\r\nHost: localhost\r\n" + fields.String()
	}},
	{"unfinished appends", true, 60, func(cluster string) string {
		return "POST /raft/v1/append-entries HTTP/1.1\r\nHost: localhost\r\nX-Kontiki-Cluster: " + cluster +
			"\r\nX-Kontiki-From: %FROM\r\nX-Kontiki-To: %TO\r\nX-Kontiki-Protocol: 1\r\nContent-Length: 16777216\r\n\r\n" +
			strings.Repeat(" ", 16<<20-10)
	}},
	{"failed comparisons", false, 1, func(string) string {
		return post("/api/v1/batch", strings.Repeat(`{"op":"cas","key":"0","expected":1,"value":1}`+"\n", 80))
	}},
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func TestANodeKeepsToItsMemoryLimitUnderEachAttack(t *testing.T) {
	groups := []memoryGroup{newMemoryGroup(t, 0), newMemoryGroup(t, 1), newMemoryGroup(t, 2)}
	f := newFleet(t, func(f *fleet) {
		f.env = []string{"GOMEMLIMIT=" + podGoMemory}
		f.flags = []string{"--election-timeout", "3s"} // the attacks use the processors too
	})
	for i := range f.running {
		groups[i].add(t, f.running[i].Process.Pid)
	}
	leader := f.leader()
	for i := range 4 {
		f.until("a large value is written", func() bool {
			return f.put(leader, strconv.Itoa(i), strings.Repeat("\n", 1<<20))
		})
	}
	var view api.ClusterView
	if err := f.get(leader, api.PathCluster, &view); err != nil {
		t.Fatal(err)
	}
	for _, c := range memoryAttacks {
		request, address := c.request(view.ClusterID), f.api[leader]
		if c.isPeer {
			request = strings.NewReplacer("%FROM", strconv.Itoa((leader+1)%3+1), "%TO", strconv.Itoa(leader+1)).Replace(request)
			address = f.peer[leader]
		}
		before := f.refused()
		for _, p := range f.running {
			forgetPeak(p.Process.Pid)
		}
		a := attack(t, address, c.conns, request)
		a.until("something is refused for want of memory: "+c.name, func() bool { return f.refused() > before })
		a.sending.Wait()
		f.until("a small write is done under "+c.name, func() bool { return f.put(leader, "small", c.name) })
		f.until("a follower writes under "+c.name, func() bool { return f.put((leader+1)%3, "small", c.name) })
		usual := f.slowestOf(leader, 200)
		a.end()
		for i, p := range f.running {
			if peak := peakResident(t, p.Process.Pid); peak > podMemory {
				t.Errorf("%s: node %d has used %d MiB, which is more than its pod may", c.name, i+1, peak>>20)
			} else if i == leader {
				t.Logf("%s: the peak is %d MiB, and 99%% of small writes take %v at most", c.name, peak>>20, usual)
			}
		}
	}
	for i := range f.running {
		var view api.ClusterView
		if err := f.get(i, api.PathCluster, &view); err != nil {
			t.Errorf("node %d does not answer after the attacks: %v", i+1, err)
		}
	}
}

// slowestOf writes small values one after the other, and returns the 99th percentile of the write times. A refused
// write is retried within its time.
func (f *fleet) slowestOf(i, writes int) time.Duration {
	f.t.Helper()
	var took []time.Duration
	for range writes {
		began := time.Now()
		f.until("a small write is done", func() bool { return f.put(i, "small", "v") })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100].Round(100 * time.Microsecond)
}

// refused returns how often the nodes refused something for lack of memory.
func (f *fleet) refused() int {
	count := 0
	for i := range f.running {
		var text string
		if err := f.get(i, api.PathMetrics, &text); err != nil {
			f.t.Logf("no metrics of node %d: %v", i+1, err)
		}
		count += f.countRefused(text)
	}
	return count
}

func (f *fleet) countRefused(text string) int {
	count := 0
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, "kontiki_request_memory_refused_total{"); found {
			_, number, _ := strings.Cut(strings.TrimSpace(rest), " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				f.t.Fatalf("%q is no count: %v", line, err)
			}
			count += n
		}
	}
	return count
}

func TestIdleConnectionsLeaveRoomForPeersAndProbes(t *testing.T) {
	const descriptors = 100
	f := newFleet(t, func(f *fleet) { f.descriptors = descriptors })
	leader := f.leader()
	for i := range f.running {
		if i == leader {
			continue
		}
		for range 2 * descriptors {
			f.idle(i)
		}
	}
	f.kill(leader)
	f.until("the others elect, and a probe sees it", func() bool {
		for i := range f.running {
			var text string
			if i != leader && (f.probe(i, api.PathReady, &text) != nil || f.probe(i, api.PathMetrics, &text) != nil) {
				return false
			}
		}
		return true
	})
	for i := range f.running {
		var text string
		if i == leader {
			continue
		}
		f.until("a request beyond the limit is refused with 503 not_ready", func() bool {
			f.idle(i) // replaces a closed connection
			err := f.probe(i, api.PathCluster, &text)
			return err != nil && strings.Contains(err.Error(), "503") && strings.Contains(err.Error(), "not_ready")
		})
		if !strings.Contains(f.logs[i].String(), "level=WARN") {
			t.Errorf("node %d does not log that it refuses connections", i+1)
		}
	}
}

// idle opens a connection to a node's API that sends one request, and then stays open.
func (f *fleet) idle(i int) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.api[i])
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	go func() { _, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
}

// probe is get on a connection of its own.
func (f *fleet) probe(i int, path string, into *string) error {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return f.get(i, path, into)
}
