package founding

import "testing"

func TestOrdersOfTheFoundingAreBounded(t *testing.T) {
	t.Parallel()
	g := newOrders()
	put := func() bool { return g.put(&order{done: make(chan struct{})}) }
	for range maxOrders {
		if !put() {
			t.Fatal("an order within the bound is refused")
		}
	}
	if put() {
		t.Error("an order beyond the bound waits")
	}
	if taken := len(g.take()); taken != maxOrders || !put() {
		t.Errorf("%d orders were taken, and the next does not wait", taken)
	}
	g.close()
	if put() {
		t.Error("an order waits after the end")
	}
}
