package ports

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

func TestPortsAreGivenOnce(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 5 {
		addresses, err := FreeAddresses(7)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			if seen[a] {
				t.Errorf("%s was returned twice", a)
			}
			seen[a] = true
			l, err := net.Listen("tcp", a)
			if err != nil {
				t.Error(err)
				continue
			}
			defer l.Close()
		}
	}
}

// Before a server starts, and while it is down, an outgoing connection of another process can take its port: the
// system assigns those from 32768 on.
func TestPortsLieBelowThoseOfOutgoingConnections(t *testing.T) {
	t.Parallel()
	base, err := Free(10)
	if err != nil {
		t.Fatal(err)
	}
	if base < first || base+10 > 32768 {
		t.Errorf("ports from %d on were returned", base)
	}
}

func TestAnotherProcessIsGivenOtherPorts(t *testing.T) {
	if os.Getenv("PORTS_OF_ANOTHER") != "" {
		base, err := Free(3)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(base))
		os.Exit(0)
	}
	t.Parallel()
	base, err := Free(3)
	if err != nil {
		t.Fatal(err)
	}
	another := exec.Command(os.Args[0], "-test.run=^TestAnotherProcessIsGivenOtherPorts$")
	another.Env = append(os.Environ(), "PORTS_OF_ANOTHER=1")
	out, err := another.Output()
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := strconv.Atoi(string(out)); err != nil || (theirs > base-3 && theirs < base+3) {
		t.Errorf("this process received %d to %d, another one %q (%v)", base, base+2, out, err)
	}
}

func TestAListenersPortIsNotGiven(t *testing.T) {
	t.Parallel()
	base, err := Free(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(base)))
		if err != nil {
			t.Fatal(err)
		}
		if listens(base) == nil {
			t.Errorf("%s has a listener, but counts as free", l.Addr())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
