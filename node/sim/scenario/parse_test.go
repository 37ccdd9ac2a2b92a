package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim"
)

// start is how every scenario of these tests begins.
const start = "scenario A test\nnodes 3\nstart all => a leader within 10 timeouts\n"

func TestAScenarioIsReadLineByLine(t *testing.T) {
	t.Parallel()
	sc, err := Parse(start + `
		election-timeout 150ms
	`)
	if err == nil {
		t.Errorf("a setting behind an event was taken: %+v", sc)
	}
	sc, err = Parse(`# what it is about
		scenario  Three of   three # the title
		nodes 3
		clients 2
		election-timeout 150ms
		limits window=5,age=3s

		start all => a leader within 5 timeouts
		          => all up
		put x = 1 on leader => ok or unknown within 1s`)
	if err != nil {
		t.Fatal(err)
	}
	if sc.Title != "Three of three" || sc.Nodes != 3 || sc.Clients != 2 ||
		sc.ElectionTimeout.Milliseconds() != 150 || sc.Limits != (sim.Limits{Window: 5, Age: 3 * time.Second}) {
		t.Errorf("what is given was read as %+v", sc)
	}
	lines := sc.lines
	if len(lines) != 3 || lines[1].number != 9 || lines[1].do != nil || lines[1].expect == nil ||
		lines[2].text != "put x = 1 on leader => ok or unknown within 1s" || lines[2].do == nil {
		t.Errorf("the lines were read as %+v", lines)
	}
}

func TestAScenarioThatCannotBeReadSaysWhereAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	cases := []struct{ text, says string }{
		{"", "begin with `scenario TITLE`"},
		{"scenario A test\nnodes 3\nstart all", "expects nothing"},
		{"start all", "line 1, start all: the scenario begins with `scenario TITLE` and `nodes NUMBER`"},
		{"scenario A test\nnodes 40", "1 to 9, must come where \"40\" stands"},
		{"scenario A test\nnodes", "something is missing"},
		{"scenario A test\nnodes 3 => ok", "nothing can be expected here"},
		{"scenario A test\nnodes 3\n=> a leader", "no event yet"},
		{"scenario A test\nnodes 3\nlimits window", "such as window=5"},
		{"scenario A test\nnodes 3\nlimits", "something is missing"},
		{start + "boil all", "line 4, boil all: there is no such event; the events are: `let NAME be GROUP`"},
		{start + "kill the king", `nodes must be named where "the" stands`},
		{start + "kill king", `nodes must be named where "king" stands`},
		{start + "kill node 4", "a node, 1 to 3"},
		{start + "kill 3 followers", "followers, 1 to 2"},
		{start + "kill leader leader", `"leader" is too much; write: kill GROUP`},
		{start + "let leader be node 1", `"leader" stands`},
		{start + "let old is leader", `"be" must come where "is" stands`},
		{start + "cut leader", `"|" must come where the words end; write: cut GROUP | GROUP`},
		{start + "freeze leader", `"for" must come where the words end`},
		{start + "wait 2", `a time such as 150ms or 2s, up to 10m0s, must come where "2" stands`},
		{start + "wait -2s", `must come where "-2s" stands`},
		{start + "disk leader sings", `what the disk does must come where "sings" stands`},
		{start + "put x = 1 on leader", "say what the client must be told: => ok, for one"},
		{start + "put x = one on leader => ok", `the number of a value, 1 to 1000000, must come where "one" stands`},
		{start + "put x = 1 on leader => fine", `what the client is told must come where "fine" stands`},
		{start + "put x = 1 on leader => not done", `"ok" must come where "done" stands`},
		{start + "put x = 1 on leader => ok\nput x = 1 on node 1 => ok", "line 5, put x = 1 on node 1 => ok: line 4 puts"},
		{start + "get X on leader => 1", `a key in lower case`},
		{start + "kill leader => another", `"leader" must come where the words end`},
		{start + "kill leader => follower up", "name it before, `let NAME be follower`"},
		{start + "kill leader => all happy", `what must be so must come where "happy" stands`},
		{start + "kill leader => all took two", `what must be so must come where "took" stands`},
		{start + "kill leader => all up within 3", `must come where "3" stands`},
		{start + "kill leader => all up within 3 rounds", `must come where "3" stands`},
	}
	for _, c := range cases {
		if _, err := Parse(c.text); err == nil {
			t.Errorf("no error for:\n%s", c.text)
		} else if !strings.Contains(err.Error(), c.says) {
			t.Errorf("the error does not say %q:\n%v\n%s", c.says, err, c.text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(start + "let old be leader, follower\ncut old -> all but old => no leader among old for 3s")
	f.Add("scenario A test\nnodes 3\nlimits window=1,age=3s\nstart all => all took a snapshot within 3s")
	f.Add(start + "put x = 1 on leader => ok or 3 within 2s\n => all behind by 3")
	f.Fuzz(func(t *testing.T, text string) {
		sc, err := Parse(text)
		if err == nil && (sc.Nodes < 1 || sc.Nodes > mostMembers || sc.Title == "" || len(sc.lines) == 0) {
			t.Errorf("a scenario was taken that cannot be played: %+v", sc)
		}
	})
}
