package mutants

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
)

//go:embed planted/*.mutant
var planted embed.FS

// Mutant is one planted bug.
type Mutant struct {
	// ID is the trap, and a letter if there are several (T12, T12b): the file's name up to the first dash.
	ID string
	// Trap is the rule that it breaks, of the list that the tests name (T12), or of the paper's own rules (P5.2).
	Trap string
	// About describes in one line what the code does wrong.
	About string
	// Options are further options of raftsim that make the bug likely: a cluster of four for a wrong majority.
	Options []string
	Edits   []Edit
	// Seeds are where the simulator hunts it ("0..33"); empty: where it hunts all mutants.
	Seeds string
}

// Edit is one change in one file.
type Edit struct {
	File string // from the root of the module, with slashes
	Old  string // whole lines, which are in the file exactly once
	New  string // the lines that replace them
}

// Where lists the files that a mutant changes.
func (m Mutant) Where() string {
	var files []string
	for _, e := range m.Edits {
		files = append(files, e.File)
	}
	slices.Sort(files)
	return strings.Join(slices.Compact(files), " ")
}

// All returns every mutant, by trap. It panics if a mutant cannot be parsed.
func All() []Mutant { return slices.Clone(all()) }

// Operator returns the mutants of the operator, which are planted beside it: controllers/planted, from the root of the
// module.
func Operator(root fs.FS) ([]Mutant, error) { return loadFrom(root, "controllers/planted") }

// Core returns the mutants of the consensus core that its own tests must find, because no simulated cluster changes its
// members yet: node/raft/planted, from the root of the module.
func Core(root fs.FS) ([]Mutant, error) { return loadFrom(root, "node/raft/planted") }

var all = sync.OnceValue(func() []Mutant {
	mutants, err := load(planted)
	if err != nil {
		panic(fmt.Sprintf("mutants: %v", err))
	}
	return mutants
})

// load reads the mutants of the simulator.
func load(files fs.FS) ([]Mutant, error) { return loadFrom(files, "planted") }

// loadFrom reads a folder of mutants.
func loadFrom(files fs.FS, folder string) ([]Mutant, error) {
	names, err := fs.Glob(files, path.Join(folder, "*.mutant"))
	if err != nil {
		return nil, err
	}
	var mutants []Mutant
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		m, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m.ID, _, _ = strings.Cut(path.Base(name), "-")
		if slices.ContainsFunc(mutants, func(other Mutant) bool { return other.ID == m.ID }) {
			return nil, fmt.Errorf("%s: there is another mutant %s; add a letter to one of them", name, m.ID)
		}
		mutants = append(mutants, m)
	}
	slices.SortFunc(mutants, byTrap)
	return mutants, nil
}

// byTrap orders T2 before T12, and T12 before T12b.
func byTrap(a, b Mutant) int {
	kindA, numberA, letterA := split(a.ID)
	kindB, numberB, letterB := split(b.ID)
	return cmp.Or(-cmp.Compare(kindA, kindB), cmp.Compare(numberA, numberB), cmp.Compare(letterA, letterB))
}

// split splits an id: T12b is T, 12 and b.
func split(id string) (kind string, number int, letter string) {
	digits := strings.IndexAny(id, "0123456789")
	if digits < 0 {
		return id, 0, ""
	}
	rest := strings.TrimLeft(id[digits:], "0123456789")
	number, _ = strconv.Atoi(id[digits : len(id)-len(rest)]) // only digits
	return id[:digits], number, rest
}

// Find returns the mutant with an id; the error lists the existing ones.
func Find(id string) (Mutant, error) { return find(all(), id) }

func find(mutants []Mutant, id string) (Mutant, error) {
	var ids []string
	for _, m := range mutants {
		if m.ID == id {
			return m, nil
		}
		ids = append(ids, m.ID)
	}
	return Mutant{}, fmt.Errorf("there is no mutant %q; there are %s", id, strings.Join(ids, " "))
}

// List prints every mutant: its id, trap, what it does wrong, and where.
func List(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(columns, "MUTANT\tTRAP\tWHAT IS WRONG\tWHERE"); err != nil {
		return err
	}
	for _, m := range all() {
		if _, err := fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", m.ID, m.Trap, m.About, m.Where()); err != nil {
			return err
		}
	}
	return columns.Flush()
}
