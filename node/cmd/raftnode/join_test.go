package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// newJoinFleet starts three processes that wait to be bootstrapped.
func newJoinFleet(t *testing.T, flags ...string) (*fleet, *client.Direct) {
	t.Helper()
	d := client.NewDirect(client.Config{})
	t.Cleanup(d.Close)
	f := newFleet(t, func(f *fleet) { f.join, f.flags = true, flags })
	for i := range f.api {
		f.until(fmt.Sprintf("node %d answers", i+1), func() bool {
			v, err := d.View(t.Context(), f.url(i))
			return err == nil && v.State == api.StateEmpty && v.NodeID == 0 && !v.Ready
		})
	}
	return f, d
}

func (f *fleet) url(i int) string { return "http://" + f.api[i] }

// member is node i+1 in a bootstrap request.
func (f *fleet) member(i int) api.ConfigMember {
	return api.ConfigMember{
		ID: uint64(i + 1), Address: "http://" + f.peer[i], APIAddress: f.url(i), Role: api.RoleVoter,
	}
}

// identity is the bootstrap request for node i+1.
func (f *fleet) identity(i int) api.BootstrapRequest {
	r := api.BootstrapRequest{ClusterID: "9f0c-test", NodeID: uint64(i + 1)}
	for j := range f.api {
		r.Members = append(r.Members, f.member(j))
	}
	return r
}

// bootstrap bootstraps every node, and waits until all are ready.
func (f *fleet) bootstrap(d *client.Direct) {
	f.t.Helper()
	for i := range f.api {
		v, err := d.Bootstrap(f.t.Context(), f.url(i), f.identity(i))
		if err != nil || v.State != api.StateMember || v.NodeID != uint64(i+1) || v.ClusterID != "9f0c-test" {
			f.t.Fatalf("node %d was bootstrapped as %+v, %v", i+1, v, err)
		}
	}
	f.untilReady(d)
}

func (f *fleet) untilReady(d *client.Direct) {
	f.t.Helper()
	for i := range f.api {
		f.until(fmt.Sprintf("node %d is ready", i+1), func() bool {
			v, err := d.View(f.t.Context(), f.url(i))
			return err == nil && v.Ready
		})
	}
}

func wantCode(t *testing.T, err error, want api.Code) {
	t.Helper()
	if api.ErrorCode(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestProcessesAreInertUntilTheyAreBootstrapped(t *testing.T) { // O1, O2
	t.Parallel()
	f, d := newJoinFleet(t)
	for path, works := range map[string]bool{"/livez": true, "/startupz": true, "/readyz": false, "/": true} {
		var text string
		if err := f.get(0, path, &text); (err == nil) != works {
			t.Errorf("%s of an empty node: %v", path, err)
		}
	}
	var status api.ClusterStatus
	if err := f.get(0, "/api/status", &status); err != nil || status.Nodes == nil || status.Config.Members == nil ||
		status.Health.State != api.NoQuorum || len(status.Health.Reasons) == 0 {
		t.Errorf("/api/status of an empty node: %+v, %v", status, err)
	}
	if f.put(0, "a", "1") {
		t.Error("an empty node accepted a write")
	}
	_, err := d.Bootstrap(t.Context(), f.url(0), f.identity(1))
	wantCode(t, err, api.CodeInvalid) // the address under that id is another node's
	f.bootstrap(d)
	f.bootstrap(d) // a repeated bootstrap changes nothing
	again := f.identity(0)
	again.ClusterID = "other"
	_, err = d.Bootstrap(t.Context(), f.url(0), again)
	wantCode(t, err, api.CodeConflict)
	again = f.identity(0)
	again.Members = again.Members[:2]
	_, err = d.Bootstrap(t.Context(), f.url(0), again)
	wantCode(t, err, api.CodeConflict)
	if !f.put(2, "a", "1") {
		t.Error("the new cluster accepts no write")
	}
	var metrics string
	queue := `kontiki_peer_queue_depth{peer="3"}`
	if err := f.get(0, "/metrics", &metrics); err != nil || !strings.Contains(metrics, queue) {
		t.Errorf("the queues of peers that were added later are not measured: %v", err)
	}
}

func TestBootstrappedProcessesRememberAndAnEmptyDiskStaysOut(t *testing.T) { // T28, O6
	t.Parallel()
	f, d := newJoinFleet(t)
	f.bootstrap(d)
	if !f.put(0, "a", "1") {
		t.Fatal("the new cluster accepts no write")
	}
	for i := range f.api {
		f.kill(i)
	}
	for i := range f.api {
		f.start(i)
	}
	f.untilReady(d)
	var value string
	if err := f.get(1, "/api/v1/kv/a", &value); err != nil || value != "1" {
		t.Fatalf("after kill -9 of all, a is %q, %v", value, err)
	}

	lost := (f.leader() + 1) % len(f.api)
	f.kill(lost)
	if err := os.RemoveAll(f.data(lost)); err != nil {
		t.Fatal(err)
	}
	f.start(lost)
	f.until("the other nodes report it as empty, with its former id", func() bool {
		leader := f.leader()
		var status api.ClusterStatus
		v, err := d.View(t.Context(), f.url(leader))
		return err == nil && slices.Contains(v.SeenMembers, uint64(lost+1)) &&
			f.get(leader, "/api/status", &status) == nil &&
			strings.Contains(strings.Join(status.Health.Reasons, "\n"), fmt.Sprintf("node %d takes no part yet", lost+1))
	})
	// An election that would need its vote, and writes that it would acknowledge.
	f.until("the leadership is transferred", func() bool {
		_, err := d.Transfer(t.Context(), f.url(f.leader()), api.TransferRequest{})
		return err == nil
	})
	for n := range 20 {
		if leader := f.leader(); !f.put(leader, fmt.Sprint(n), "x") {
			t.Errorf("write %d failed with two of three members", n)
		}
	}
	v, err := d.View(t.Context(), f.url(lost))
	if err != nil || v.State != api.StateEmpty || v.NodeID != 0 || v.Term != 0 || v.LastLogIndex != 0 || v.Ready {
		t.Errorf("the node with the empty disk: %+v, %v", v, err)
	}
}

func TestAProcessServesDuringItsShutdownDelay(t *testing.T) { // O25
	t.Parallel()
	f, d := newJoinFleet(t, "--shutdown-delay", "10m")
	f.bootstrap(d)
	leaving := f.leader()
	if err := f.running[leaving].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.until("the node is not ready and does not lead", func() bool {
		v, err := d.View(t.Context(), f.url(leaving))
		return err == nil && !v.Ready && v.Role == "FOLLOWER" && v.LeaderID != 0
	})
	if !f.put(leaving, "a", "1") {
		t.Error("a request during the shutdown delay was not served")
	}
	var text string
	if err := f.get(leaving, "/livez", &text); err != nil {
		t.Errorf("/livez fails: %v", err)
	}
	if err := f.end(leaving, syscall.SIGTERM); err != nil { // a second signal
		t.Errorf("the process exited with %v", err)
	}
	info, err := os.Stat(f.data(leaving) + "/raft.db-wal")
	if !errors.Is(err, fs.ErrNotExist) && (err != nil || info.Size() > 0) {
		t.Errorf("the write-ahead log was not removed: %v, %v", info, err)
	}
}

// A pod that was deleted by force runs for its delay, and the next one starts beside it on the same volume.
func TestAProcessWaitsForTheOneBeforeIt(t *testing.T) { // O19
	t.Parallel()
	f, d := newJoinFleet(t)
	f.bootstrap(d)
	before := f.running[0]
	f.api[0] = freeAddresses(t, 1)[0] // each pod has its own address
	f.start(0)
	f.until("the second process waits", func() bool {
		return strings.Contains(f.logs[0].String(), "waits for the data directory")
	})
	if err := before.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = before.Wait() // it was killed
	f.until("it continues with the data of the first", func() bool {
		v, err := d.View(t.Context(), f.url(0))
		return err == nil && v.Ready && v.NodeID == 1
	})
}

func TestAStaticNodeCannotBeBootstrapped(t *testing.T) { // O3
	t.Parallel()
	f := newFleet(t)
	f.leader()
	d := client.NewDirect(client.Config{})
	t.Cleanup(d.Close)
	_, err := d.Bootstrap(t.Context(), f.url(0), f.identity(0))
	wantCode(t, err, api.CodeConflict)
}

// On Kubernetes every name is fully qualified, with the final dot, and the API listens on all addresses.
func TestTheAPIsURLFollowsTheNameOfThePeers(t *testing.T) {
	t.Parallel()
	l, err := listen("--listen-api", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const name = "http://demo-0.demo-peers.ns.svc.cluster.local."
	for what, got := range map[string]string{
		"before it is a member": apiURL(nil, 0, name+":7080", l),
		"as a member":           apiURL([]identity.Member{{ID: 1, Address: name + ":7080"}}, 1, "", l),
	} {
		if want := name + ":" + port; got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	flags := serveFlags{
		commonFlags: commonFlags{
			heartbeat: time.Second, election: 10 * time.Second, stall: time.Minute, drift: 0.1,
			historyFlags: historyFlags{age: time.Minute, revisions: 1, bytes: "1MiB", checkpoint: time.Second},
		}, dataDir: "d", inflight: 1, join: true,
		listenAPI: ":8080", listenPeer: ":7080", advertisePeer: name + ":7080/", advertiseAPI: name + ":8080",
	}
	config, err := flags.config()
	if err != nil || config.advertisePeer != name+":7080" || config.advertiseAPI != name+":8080" {
		t.Errorf("the operator's flags result in %+v, %v", config, err)
	}
}
