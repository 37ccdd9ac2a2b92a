package node

import "testing"

func TestOrdersOfTheFoundingAreBounded(t *testing.T) {
	t.Parallel()
	g := newGenesisOrders()
	put := func() bool { return g.put(&genesisOrder{done: make(chan struct{})}) }
	for range maxGenesisOrders {
		if !put() {
			t.Fatal("an order within the bound is refused")
		}
	}
	if put() {
		t.Error("an order beyond the bound waits")
	}
	if taken := len(g.take()); taken != maxGenesisOrders || !put() {
		t.Errorf("%d orders were taken, and the next does not wait", taken)
	}
	g.close()
	if put() {
		t.Error("an order waits that nobody will take")
	}
}
