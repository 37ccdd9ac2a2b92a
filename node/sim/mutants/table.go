package mutants

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// PrintTable prints the result of every mutant, and why one was not caught. It returns how many were not.
func PrintTable(w io.Writer, rows []Row) (wrong int, err error) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(columns, format, args...)
		}
	}
	say("MUTANT\tTRAP\tCAUGHT BY\tSEED\tSTEP\tWHAT IS WRONG\n")
	for _, row := range rows {
		by, seed, step := row.caught()
		say("%s\t%s\t%s\t%s\t%s\t%s\n", dash(row.ID), dash(row.Trap), by, seed, step, row.About)
	}
	if err == nil {
		err = columns.Flush()
	}
	for _, row := range rows {
		if row.Err == nil {
			continue
		}
		wrong++
		if err == nil {
			_, err = fmt.Fprintf(w, "%s: %v\n", row.Name(), row.Err)
		}
	}
	return wrong, err
}

// caught returns the three columns of the invariant, the seed and the number of steps.
func (r *Row) caught() (by, seed, step string) {
	switch {
	case r.Catch != nil:
		return r.Catch.Invariant, fmt.Sprint(r.Catch.Seed), fmt.Sprint(r.Catch.Step)
	case r.Err != nil:
		return "NOT CAUGHT", "-", "-"
	}
	return "nothing, as it should be", "-", "-"
}

// Name returns the mutant's id, or that there is none.
func (r *Row) Name() string {
	if r.ID == "" {
		return r.About
	}
	return r.ID
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// The table is in MUTANTS.md between these lines.
const (
	beginTable = "<!-- The mutants: make mutants WRITE=1 writes this table. -->"
	endTable   = "<!-- The end of the mutants. -->"
)

// ErrNoTable reports that a document has no place for the table.
var ErrNoTable = errors.New("the document has no place for the table")

// WriteTable returns a document with the table in it, and with the traps that cannot be planted after it. ErrNoTable if
// no lines mark its place.
func WriteTable(document []byte, rows []Row) ([]byte, error) {
	before, _, after, err := aroundTable(document)
	if err != nil {
		return nil, err
	}
	var table bytes.Buffer
	table.WriteString("| Mutant | Trap | What is wrong | Caught by | Seed | Step |\n|---|---|---|---|---|---|\n")
	for _, row := range rows {
		by, seed, step := row.caught()
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n", dash(row.ID), dash(row.Trap), row.About, by, seed, step)
	}
	table.WriteString("\nTraps without a mutant:\n\n| Traps | Why there is none |\n|---|---|\n")
	for _, g := range unplanted() {
		fmt.Fprintf(&table, "| %s | %s |\n", strings.Join(g.traps, " "), g.why)
	}
	return slices.Concat(before, table.Bytes(), after), nil
}

// aroundTable splits a document into the text before the table, the table, and the text after it.
func aroundTable(document []byte) (before, table, after []byte, err error) {
	begin := bytes.Index(document, []byte(beginTable+"\n"))
	end := bytes.Index(document, []byte(endTable))
	if begin < 0 || end < begin {
		return nil, nil, nil, fmt.Errorf("%w: it should stand between the lines %q and %q", ErrNoTable, beginTable, endTable)
	}
	begin += len(beginTable) + 1
	return document[:begin], document[begin:end], document[end:], nil
}

// tableRow matches the mutant and what it does wrong in a line of the table.
var tableRow = regexp.MustCompile(`(?m)^\| ([A-Z]\d+[a-z]?) \| [^|]* \| ([^|]*) \|`)

// CheckTable compares the table of a document with the existing mutants, and returns what differs. Seeds and steps
// are not compared: they change with every line of the code that is simulated.
func CheckTable(document []byte) error {
	_, table, _, err := aroundTable(document)
	if err != nil {
		return err
	}
	told := map[string]string{}
	for _, m := range tableRow.FindAllStringSubmatch(string(table), -1) {
		told[m[1]] = m[2]
	}
	var differs []string
	for _, m := range all() {
		switch about, found := told[m.ID]; {
		case !found:
			differs = append(differs, "mutant "+m.ID+" is not in it")
		case about != m.About:
			differs = append(differs, "it says something else of "+m.ID)
		}
		delete(told, m.ID)
	}
	for id := range told {
		differs = append(differs, "there is no mutant "+id)
	}
	if len(differs) == 0 {
		return nil
	}
	slices.Sort(differs)
	return fmt.Errorf("the mutant table is out of date; run `make mutants WRITE=1`: %s", strings.Join(differs, "; "))
}
