package budget

import (
	"math"
	"sync"
	"testing"
)

func TestClientsLeaveTheLastQuarterToThePeers(t *testing.T) {
	t.Parallel()
	m := NewMemory(1 << 20)
	client := m.NewAccount(Clients, 0)
	if !client.Take(Allowance + 3<<18) {
		t.Fatal("three quarters of the memory and the allowance are not the clients'")
	}
	if client.Take(1) || m.NewAccount(Clients, 0).Take(Allowance+1) {
		t.Error("clients take more than three quarters")
	}
	peer := m.NewAccount(Peers, 0)
	if !peer.Take(Allowance + 1<<18) {
		t.Error("there is no room for a peer's message while clients have filled theirs")
	}
	if peer.Take(1) {
		t.Error("more than the whole memory was taken")
	}
	client.Close()
	peer.Close()
	if m.Used() != 0 {
		t.Errorf("%d bytes are charged though every account is closed", m.Used())
	}
}

func TestTheAllowanceCostsNothing(t *testing.T) {
	t.Parallel()
	m := NewMemory(0)
	a := m.NewAccount(Clients, 0)
	if !a.Take(Allowance) || m.Used() != 0 {
		t.Errorf("a small request is refused, or charged with %d bytes", m.Used())
	}
	if a.Take(1) {
		t.Error("more than the allowance was taken of a memory that has nothing")
	}
}

func TestAnAccountEndsOnce(t *testing.T) {
	t.Parallel()
	m := NewMemory(1 << 30)
	a := m.NewAccount(Clients, 0)
	if !a.Take(1 << 20) {
		t.Fatal("there should be room")
	}
	a.Close()
	a.Close()
	if a.Take(1) {
		t.Error("what comes after the end of a request is charged to it, and never returned")
	}
	if m.Used() != 0 {
		t.Errorf("%d bytes are still charged", m.Used())
	}
	a.Open(m, Clients)
	if !a.Take(1<<20) || m.Used() != 1<<20-Allowance {
		t.Errorf("an account that was opened again holds %d bytes", m.Used())
	}
	a.Close()
}

func TestAnAccountHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	m := NewMemory(1 << 30)
	a := m.NewAccount(Peers, 100)
	if !(Twice{a}).Take(50) || (Twice{a}).Take(1) {
		t.Error("50 bytes, held twice, should be all that an account of 100 has room for")
	}
}

func TestNothingIsLostOrTakenTwiceAtOnce(t *testing.T) {
	t.Parallel()
	const workers, size = 8, 1 << 10
	m := NewMemory(workers * size) // less than all need
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for range 1000 {
				a := m.NewAccount(Clients, 0)
				a.Take(Allowance + size)
				if used := m.Used(); used < 0 || used > m.Limit() {
					t.Errorf("%d of %d bytes are used", used, m.Limit())
				}
				a.Close()
			}
		})
	}
	wait.Wait()
	if m.Used() != 0 {
		t.Errorf("%d bytes are left", m.Used())
	}
}

func TestSharesOfTheLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limit, machine, want int64 }{
		{512 << 20, 64 << 30, 128 << 20},
		{math.MaxInt64, 64 << 30, 128 << 20}, // no limit: as with the usual one
		{math.MaxInt64, 256 << 20, 64 << 20},
		{8 << 30, 64 << 30, 2 << 30},
		{64 << 20, 64 << 30, leastMemory},
	} {
		if got := memoryFor(c.limit, c.machine); got != c.want {
			t.Errorf("a limit of %d on a machine of %d bytes: %d, want %d", c.limit, c.machine, got, c.want)
		}
	}
	for _, c := range []struct {
		descriptors int
		memory      int64
		nodes       int
	}{
		{100, 24 << 30, 1}, {1024, 24 << 30, 1}, {1024, 24 << 30, 5}, {1 << 20, 512 << 20, 1}, {1 << 20, 1 << 40, 9},
	} {
		l := limitsFor(c.descriptors, c.memory, c.nodes)
		const files = 14 // of a node: SQLite's, the listeners', Go's own
		if left := c.descriptors - l.API - l.Spare - l.Peers; left < files {
			t.Errorf("%+v leaves %d of %d descriptors for files and calls to peers", l, left, c.descriptors)
		}
		if cost := int64(l.API+l.Spare) * connectionCost; cost > c.memory/connectionShare {
			t.Errorf("%+v may cost %d of %d bytes", l, cost, c.memory)
		}
		if l.API < 30 || l.Spare < 4 || l.Peers < 8 {
			t.Errorf("%d descriptors and %d bytes give only %+v", c.descriptors, c.memory, l)
		}
	}
}

func TestTheQueuesOfAllNodesFollowTheBudget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		memory int64
		nodes  int
		want   int
	}{
		{memory: 128 << 20, nodes: 1, want: 64 << 20}, // the usual pod
		{memory: 8 << 30, nodes: 1, want: 64 << 20},
		{memory: 32 << 20, nodes: 1, want: 16 << 20},
		{memory: 128 << 20, nodes: 4, want: 16 << 20},
		{memory: 32 << 20, nodes: 50, want: 2 << 20}, // one message of a peer must fit
	} {
		if got := NewMemory(c.memory).QueueBytes(c.nodes); got != c.want {
			t.Errorf("%d bytes for %d nodes: queues of %d, want %d", c.memory, c.nodes, got, c.want)
		}
	}
}
