package check

import (
	"os"
	"strings"
	"testing"
)

// DESIGN.md of package sim lists every invariant that is checked after each step.
func TestTheDesignNamesEveryInvariant(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range newCheckers() {
		if !strings.Contains(string(text), "| `"+c.invariant()+"` |") {
			t.Errorf("the table of invariants lacks %q", c.invariant())
		}
	}
}
