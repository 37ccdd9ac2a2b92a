package scenario

import (
	"os"
	"strings"
	"testing"
)

// DESIGN.md of package sim lists every action.
func TestTheDesignNamesEveryAction(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verbs {
		if !strings.Contains(string(text), "`"+v.name+" ") && !strings.Contains(string(text), "`"+v.name+"`") {
			t.Errorf("the table of actions lacks %q", v.form)
		}
	}
}
