package mutants

import (
	"bytes"
	"go/format"
	"os"
	"path/filepath"
	"testing"
)

// source reads a file of the module from here.
func source(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(path)))
}

func TestEveryMutantFitsTodaysSource(t *testing.T) {
	t.Parallel()
	for _, m := range All() {
		t.Run(m.ID, func(t *testing.T) {
			t.Parallel()
			checkFits(t, m)
		})
	}
}

// checkFits fails if a mutant does not apply, or makes no Go of it.
func checkFits(t *testing.T, m Mutant) {
	t.Helper()
	changed, err := m.Apply(source)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range changed {
		now, err := source(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(now, text) {
			t.Errorf("it changes nothing in %s", path)
		}
		formatted, err := format.Source(text)
		if err != nil {
			t.Fatalf("%s is no Go any more: %v", path, err)
		}
		if !bytes.Equal(formatted, text) {
			t.Errorf("%s would be written otherwise by gofmt", path)
		}
	}
}
