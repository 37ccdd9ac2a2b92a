package mutants

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

const exampleText = `trap: T12
about: it says six where there are five
options: -nodes 5 -steps 100

@@ node/count.go
 	four()
-	five()

+	six()

+	seven()

@@ node/other.go
-	old()
`

func TestAMutantIsReadLikeADiff(t *testing.T) {
	t.Parallel()
	m, err := parse(exampleText)
	if err != nil {
		t.Fatal(err)
	}
	want := Mutant{
		Trap: "T12", About: "it says six where there are five", Options: []string{"-nodes", "5", "-steps", "100"},
		Edits: []Edit{
			{File: "node/count.go", Old: "\tfour()\n\tfive()\n\n\n", New: "\tfour()\n\n\tsix()\n\n\tseven()\n"},
			{File: "node/other.go", Old: "\told()\n"},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestAMutantThatSaysTooLittleIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no edits":            "trap: T1\nabout: nothing\n",
		"an empty body":       "trap: T1\nabout: nothing\n\n",
		"no trap":             "about: nothing\n\n@@ a.go\n-\ta\n",
		"an unknown name":     "trap: T1\nabout: x\ntarp: T2\n\n@@ a.go\n-\ta\n",
		"no colon":            "trap T1\n\n@@ a.go\n-\ta\n",
		"no file":             "trap: T1\nabout: x\n\n-\ta\n",
		"a file outside":      "trap: T1\nabout: x\n\n@@ ../a.go\n-\ta\n",
		"another kind of it":  "trap: T1\nabout: x\n\n@@ a.txt\n-\ta\n",
		"a line with no mark": "trap: T1\nabout: x\n\n@@ a.go\nb\n",
		"nothing to find":     "trap: T1\nabout: x\n\n@@ a.go\n+\ta\n",
		"nothing to change":   "trap: T1\nabout: x\n\n@@ a.go\n \ta\n",
	} {
		if m, err := parse(text); err == nil {
			t.Errorf("%s: read as %+v", name, m)
		}
	}
}

func TestTwoMutantsCannotHaveOneName(t *testing.T) {
	t.Parallel()
	text := &fstest.MapFile{Data: []byte(exampleText)}
	files := fstest.MapFS{"planted/T12-one.mutant": text, "planted/T12b-another.mutant": text}
	got, err := load(files)
	if err != nil || len(got) != 2 || got[0].ID != "T12" || got[1].ID != "T12b" {
		t.Fatalf("got %+v, %v; want T12 and T12b", got, err)
	}
	files["planted/T12-again.mutant"] = text
	if _, err := load(files); err == nil {
		t.Error("two mutants are called T12")
	}
}

func TestMutantsStandInTheOrderOfTheirTraps(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	want := []string{"T2", "T12", "T12b", "T12c", "N1", "K1", "K10"}
	for _, id := range []string{"K10", "T12b", "T2", "K1", "N1", "T12c", "T12"} {
		files["planted/"+id+"-x.mutant"] = &fstest.MapFile{Data: []byte(exampleText)}
	}
	mutants, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range mutants {
		if m.ID != want[i] {
			t.Errorf("place %d: got %s, want %s", i, m.ID, want[i])
		}
	}
}

func TestAMutantFollowsTheSourceOrSaysThatItCannot(t *testing.T) {
	t.Parallel()
	m := Mutant{ID: "X1", Edits: []Edit{
		{File: "a.go", Old: "\tone()\n", New: "\ttwo()\n"},
		{File: "a.go", Old: "first()\n", New: ""},
	}}
	for _, c := range []struct {
		name, source, want string
		err                error
	}{
		{name: "it applies", source: "first()\nx\n\tone()\n\tone().more\n", want: "x\n\ttwo()\n\tone().more\n"},
		{name: "a line is part of another", source: "first()\n\t\tone()\n", err: ErrMissing},
		{name: "the line went", source: "first()\n", err: ErrMissing},
		{name: "the line is there twice", source: "first()\n\tone()\n\tone()\n", err: ErrAmbiguous},
	} {
		changed, err := m.Apply(func(string) ([]byte, error) { return []byte(c.source), nil })
		if !errors.Is(err, c.err) || string(changed["a.go"]) != c.want {
			t.Errorf("%s: got %q, %v; want %q, %v", c.name, changed["a.go"], err, c.want, c.err)
		}
	}
	_, err := m.Apply(func(string) ([]byte, error) { return nil, os.ErrNotExist })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: got %v", err)
	}
}

func TestEveryMutantIsListedAndFound(t *testing.T) {
	t.Parallel()
	var list strings.Builder
	if err := List(&list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(list.String()), "\n")[1:]
	if len(lines) != len(All()) || len(lines) < 40 {
		t.Fatalf("the list has %d lines for %d mutants, and there must be at least 40", len(lines), len(All()))
	}
	for i, m := range All() {
		if found, err := Find(m.ID); err != nil || found.ID != m.ID {
			t.Errorf("mutant %s is not found: %v", m.ID, err)
		}
		for _, part := range []string{m.ID, m.Trap, m.About, m.Where()} {
			if !strings.Contains(lines[i], part) {
				t.Errorf("%q does not tell %q of mutant %s", lines[i], part, m.ID)
			}
		}
	}
	if _, err := Find("T0"); err == nil || !strings.Contains(err.Error(), "T12b") {
		t.Errorf("there is no mutant T0, but Find says %v, which should list those that there are", err)
	}
}
