package sim

import (
	"os"
	"strings"
	"testing"
)

// Whoever reads what is promised must find all of it: a new checker and a new event of scenarios stand in DESIGN.md.
func TestTheDesignNamesEveryPromiseAndEveryEvent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range newCheckers() {
		if !strings.Contains(string(text), "| "+c.promise()+" |") {
			t.Errorf("the table of promises lacks %q", c.promise())
		}
	}
	for _, v := range verbs {
		if !strings.Contains(string(text), "`"+v.name+" ") && !strings.Contains(string(text), "`"+v.name+"`") {
			t.Errorf("the table of events lacks %q", v.form)
		}
	}
}
