package network_test

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/chaos/network"
)

// pings reports whether a packet of one node reaches another and comes back.
func pings(t *testing.T, n *network.Namespaces, from, to int) bool {
	t.Helper()
	host := n.ListenPeer(to)[:len(n.ListenPeer(to))-len(":7080")]
	return n.Command(from, "ping", "-c", "1", "-W", "1", host).Run() == nil
}

func TestNamespacesCarryPacketsAndLoseThem(t *testing.T) {
	t.Parallel()
	n, err := network.NewNamespaces(3)
	if errors.Is(err, network.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("ping is not installed")
	}
	slow := network.Clear(3)
	slow[0][1].Delay = 1
	for _, c := range []struct {
		name   string
		matrix network.Matrix
		want   bool
	}{
		{"no fault", network.Clear(3), true},
		{"the direction is cut", cut(3, [2]int{0, 1}), false},
		{"the opposite direction is cut", cut(3, [2]int{1, 0}), false},
		{"another direction is cut", cut(3, [2]int{0, 2}), true},
		{"the direction is slow", slow, true},
		{"no fault again", network.Clear(3), true},
	} {
		if err := n.Apply(c.matrix); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := pings(t, n, 0, 1); got != c.want {
			t.Errorf("%s: got an answer: %t", c.name, got)
		}
	}
}
