package mutants

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of a mutant that no longer fits the source.
var (
	// ErrMissing reports that the lines that a mutant changes are not in the file.
	ErrMissing = errors.New("the lines that it changes are not there any more; look what became of them, and follow")
	// ErrAmbiguous reports that the lines that a mutant changes are in the file more than once.
	ErrAmbiguous = errors.New("the lines that it changes are there more than once; give it more lines around them")
)

// Apply returns the changed text of every file that the mutant changes, by path. read returns the file at a path from
// the root of the module. The errors are ErrMissing and ErrAmbiguous if the source has changed.
func (m Mutant) Apply(read func(path string) ([]byte, error)) (map[string][]byte, error) {
	changed := map[string][]byte{}
	for _, e := range m.Edits {
		text, ok := changed[e.File]
		if !ok {
			var err error
			if text, err = read(e.File); err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.ID, err)
			}
		}
		after, err := e.apply(string(text))
		if err != nil {
			return nil, fmt.Errorf("mutant %s, %s: %w:\n%s", m.ID, e.File, err, e.Old)
		}
		changed[e.File] = []byte(after)
	}
	return changed, nil
}

// apply replaces whole lines. A line break is put before the text, so that its first line is found like all others.
func (e Edit) apply(text string) (string, error) {
	text, old := "\n"+text, "\n"+e.Old
	before, after, found := strings.Cut(text, old)
	switch {
	case !found:
		return "", ErrMissing
	case strings.Contains(text[len(before)+1:], old):
		return "", ErrAmbiguous
	}
	return (before + "\n" + e.New + after)[1:], nil
}
