package mutants

import (
	"errors"
	"strings"
	"testing"
)

// caughtAll are the rows of a hunt that caught every mutant.
func caughtAll() []Row {
	rows := []Row{{Mutant: Mutant{About: "the code as it is"}}}
	for i, m := range All() {
		rows = append(rows, Row{Mutant: m, Catch: &Catch{Seed: uint64(i), Step: 10, Invariant: "election safety"}})
	}
	return rows
}

func TestTheTableIsWrittenBetweenItsMarks(t *testing.T) {
	t.Parallel()
	document := "# Design\n" + beginTable + "\nlast week's\n" + endTable + "\nmore\n"
	text, err := WriteTable([]byte(document), caughtAll())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"# Design\n" + beginTable + "\n| Mutant", "\n| T20 | the loop", "|\n" + endTable + "\nmore\n",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if strings.Contains(string(text), "last week") {
		t.Error("the old table is still there")
	}
	if err := CheckTable(text); err != nil {
		t.Error(err)
	}
	if _, err := WriteTable([]byte("# Design\n"), nil); !errors.Is(err, ErrNoTable) {
		t.Errorf("a document without marks: got %v", err)
	}
}

func TestATableOfAnotherDayIsNoticed(t *testing.T) {
	t.Parallel()
	empty := []byte(beginTable + "\n" + endTable + "\n")
	for name, change := range map[string]func(rows []Row) []Row{
		"a mutant is missing": func(rows []Row) []Row { return rows[:len(rows)-1] },
		"one too many": func(rows []Row) []Row {
			return append(rows, Row{Mutant: Mutant{ID: "T99", Trap: "T99", About: "gone"}})
		},
		"one means something else": func(rows []Row) []Row {
			rows[3].About = "something else"
			return rows
		},
	} {
		text, err := WriteTable(empty, change(caughtAll()))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckTable(text); err == nil {
			t.Errorf("%s, and the table passes", name)
		}
	}
}

func TestAMutantThatGotAwayIsToldAndCounted(t *testing.T) {
	t.Parallel()
	rows := caughtAll()
	rows[5].Catch, rows[5].Err = nil, ErrNotCaught
	rows[0].Catch, rows[0].Err = &Catch{Seed: 3, Invariant: "log matching"}, ErrFalseAlarm
	var out strings.Builder
	wrong, err := PrintTable(&out, rows)
	if err != nil || wrong != 2 {
		t.Errorf("%d rows are wrong, %v; want 2", wrong, err)
	}
	for _, part := range []string{"NOT CAUGHT", rows[5].ID + ": not caught", "the code as it is: a violation"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in\n%s", part, out.String())
		}
	}
}

func TestTheHealthyCodeRunsWithTheOptionsOfEveryCatch(t *testing.T) {
	t.Parallel()
	rows := []Row{
		{Mutant: Mutant{ID: "A1"}, Catch: &Catch{Seed: 7}},
		{Mutant: Mutant{ID: "A2", Options: []string{"-nodes", "4"}}, Catch: &Catch{Seed: 1}},
		{Mutant: Mutant{ID: "A3", Options: []string{"-nodes", "4"}}, Catch: &Catch{Seed: 12}},
		{Mutant: Mutant{ID: "A4"}, Catch: &Catch{}},
		{Mutant: Mutant{ID: "A5", Options: []string{"-nodes", "7"}}, Err: ErrNotCaught},
	}
	var got []string
	for _, run := range healthyRuns(rows) {
		if run.ID != "" {
			t.Errorf("the healthy run has the mutant %s in it", run.ID)
		}
		got = append(got, run.About+" on "+run.Seeds)
	}
	want := "the code as it is on 0..7; the code as it is, -nodes 4 on 0..12"
	if strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "; "), want)
	}
}

func TestTheTableIsUpToDate(t *testing.T) {
	t.Parallel()
	text, err := source("node/sim/MUTANTS.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckTable(text); err != nil {
		t.Error(err)
	}
}
