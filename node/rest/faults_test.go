package rest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A client that can cause a fault does not fill the log with it.
func TestFaultsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	a := serve(t)
	lines := func(text string) int { return strings.Count(a.log.String(), text) }
	for i := range 100 {
		_ = a.rest.explain(fmt.Errorf("an unexpected error, %d", i))
	}
	if n := lines("no code for"); n != 1 {
		t.Fatalf("100 faults are %d lines, want 1:\n%s", n, a.log)
	}
	a.rest.faults.mu.Lock()
	for _, k := range a.rest.faults.kinds {
		k.last = time.Now().Add(-faultEvery)
	}
	a.rest.faults.mu.Unlock()
	_ = a.rest.explain(errors.New("the next"))
	_ = a.rest.explain(errors.New("and the next"))
	if n := lines("no code for"); n != 2 || lines("omitted=99") != 1 {
		t.Errorf("after a while there are %d lines, want 2, of which one has omitted=99:\n%s", n, a.log)
	}
}

// Panics of different handlers are different faults.
func TestPanicsOfAHandlerAreOneLine(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.panics = true })
	for range 5 {
		a.want(500, "PUT", "/api/v1/kv/x", "1")
		a.want(500, "POST", "/api/command", `{"op":"set","key":"x","value":1}`)
	}
	if n := strings.Count(a.log.String(), "handler panicked"); n != 2 {
		t.Errorf("10 panics of two handlers are %d lines, want 2:\n%s", n, a.log)
	}
}
