package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

func TestAPortThatCannotBeListenedOnIsExplained(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	const free = "127.0.0.1:0"
	for _, test := range []struct{ api, peer, want, wantNot string }{
		{taken.Addr().String(), free, "--listen-api: cannot listen on " + taken.Addr().String(), "0.0.0.0"},
		{free, taken.Addr().String(), "another process listens there", "0.0.0.0"},
		{"192.0.2.1:8080", free, "no interface of this machine has that address", "another"}, // RFC 5737: reserved
		{free, "no-such-host.invalid:7080", "--listen-peer: cannot listen on no-such-host.invalid:7080", "another"},
	} {
		var output bytes.Buffer
		code := run(t.Context(), []string{
			"serve", "--data-dir", t.TempDir(), "--id", "1", "--initial-cluster", "1=http://127.0.0.1:7080",
			"--listen-api", test.api, "--listen-peer", test.peer,
		}, &output, &output)
		text := output.String()
		if code != exitFailed || !strings.Contains(text, test.want) || strings.Contains(text, test.wantNot) {
			t.Errorf("%s and %s: exit code %d, output %s; want %s", test.api, test.peer, code, &output, test.want)
		}
	}
}

// Nodes that are started with other addresses than in their data report that, in the log and in the status.
func TestAddressesThatDifferFromTheDataAreNamed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.leader()
	for i := range f.running {
		f.kill(i)
	}
	old, moved := f.peer[1], freeAddresses(t, 1)[0]
	f.peer[1], f.initial = moved, strings.Replace(f.initial, old, moved, 1)
	for i := range f.running {
		f.start(i)
	}
	differs := fmt.Sprintf("member 2 is at http://%s in its data and at http://%s in --initial-cluster", old, moved)
	for i := range f.running {
		f.until("node "+fmt.Sprint(i+1)+" warns", func() bool {
			log := f.logs[i].String()
			return strings.Contains(log, "level=WARN") && strings.Contains(log, differs)
		})
	}
	f.until("the status reports it", func() bool {
		var s api.ClusterStatus
		return f.get(0, api.PathStatus, &s) == nil &&
			strings.Contains(strings.Join(s.Health.Reasons, "; "), "node 1 uses the addresses of its data") &&
			strings.Contains(strings.Join(s.Health.Reasons, "; "), differs)
	})
}

// One of three nodes is started for the first time with a wrong address in its list, and so belongs to another
// cluster. Each node reports which entry differs, until the lists are the same.
func TestListsThatDifferAtAFirstStartAreNamed(t *testing.T) {
	t.Parallel()
	var right, wrong string
	f := newFleet(t, func(f *fleet) {
		right, wrong = "http://"+f.peer[1], "http://"+freeAddresses(t, 1)[0]
		f.own = map[int]string{2: strings.Replace(f.initial, right, wrong, 1)}
	})
	for i, want := range []string{
		fmt.Sprintf("has another list of members than member 3: member 2 is at %s in its own list and at %s in the other",
			right, wrong),
		fmt.Sprintf("has another list of members than member 3: member 2 is at %s in its own list and at %s in the other",
			right, wrong),
		fmt.Sprintf("has another list of members than member 1: member 2 is at %s in its own list and at %s in the other",
			wrong, right),
	} {
		f.until(fmt.Sprintf("node %d warns", i+1), func() bool {
			for line := range strings.Lines(f.logs[i].String()) {
				if strings.Contains(line, "level=WARN") && strings.Contains(line, "member 2 is at") {
					return true
				}
			}
			return false
		})
		f.until(fmt.Sprintf("/readyz of node %d reports it", i+1), func() bool {
			var ready string
			err := f.get(i, api.PathReady, &ready)
			return err != nil && strings.Contains(err.Error(), "this node "+want)
		})
		f.until(fmt.Sprintf("the status of node %d reports it", i+1), func() bool {
			var s api.ClusterStatus
			return f.get(i, api.PathStatus, &s) == nil &&
				strings.Contains(strings.Join(s.Health.Reasons, "\n"), fmt.Sprintf("node %d %s", i+1, want))
		})
	}
	f.kill(2)
	f.own = nil
	f.start(2)
	f.leader()
	for i := range f.running {
		f.until(fmt.Sprintf("node %d no longer reports it", i+1), func() bool {
			var s api.ClusterStatus
			return f.get(i, api.PathStatus, &s) == nil &&
				!strings.Contains(strings.Join(s.Health.Reasons, "\n"), "another list")
		})
	}
}

func TestAJoinedNodeNamesAnotherAddressThanItsData(t *testing.T) {
	t.Parallel()
	f := newFleet(t, func(f *fleet) { f.join = true })
	d := client.NewDirect(client.Config{})
	defer d.Close()
	request := api.BootstrapRequest{ClusterID: "c"}
	for i := range f.api {
		request.Members = append(request.Members, f.member(i))
	}
	for i := range f.api {
		request.NodeID = uint64(i + 1)
		f.until("node "+fmt.Sprint(i+1)+" is bootstrapped", func() bool {
			_, err := d.Bootstrap(context.Background(), "http://"+f.api[i], request)
			return err == nil
		})
	}
	f.leader()
	f.kill(0)
	old := f.peer[0]
	f.peer[0] = freeAddresses(t, 1)[0]
	f.start(0)
	f.until("node 1 warns", func() bool {
		return strings.Contains(f.logs[0].String(), fmt.Sprintf(
			"member 1 is at http://%s in its data and at http://%s in --advertise-peer", old, f.peer[0]))
	})
}
