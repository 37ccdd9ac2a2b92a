package mutants

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// parse parses one mutant. Its text is a head of "name: value" lines, an empty line, and edits in the manner of a diff:
//
//	trap: T12
//	about: a leader commits entries of older terms by counting their copies
//	options: -nodes 5
//
//	@@ node/raft/leader.go
//	 	})
//	-	if index <= c.log.commit || c.log.mustTerm(index) != c.term {
//	+	if index <= c.log.commit {
//	 		return
//
// Lines that begin with a space or a minus must be in the file, in that order and exactly once; those with a plus
// replace those with a minus.
func parse(text string) (Mutant, error) {
	head, body, found := strings.Cut(text, "\n\n")
	if !found {
		return Mutant{}, errors.New("no empty line ends the head")
	}
	m, err := parseHead(head)
	if err != nil {
		return Mutant{}, err
	}
	m.Edits, err = parseEdits(body)
	if err != nil {
		return Mutant{}, err
	}
	return m, nil
}

func parseHead(head string) (Mutant, error) {
	var m Mutant
	for line := range strings.SplitSeq(head, "\n") {
		name, value, found := strings.Cut(line, ": ")
		if !found {
			return Mutant{}, fmt.Errorf("%q in the head should be a name, a colon and a value", line)
		}
		switch name {
		case "trap":
			m.Trap = value
		case "about":
			m.About = value
		case "options":
			m.Options = strings.Fields(value)
		default:
			return Mutant{}, fmt.Errorf("the head says %q; it may say trap, about and options", name)
		}
	}
	if m.Trap == "" || m.About == "" {
		return Mutant{}, errors.New("the head must say trap and about")
	}
	return m, nil
}

// parseEdits parses the text after the head.
func parseEdits(body string) ([]Edit, error) {
	var edits []Edit
	empty := 0 // lines that wait: they belong to the edit if it goes on
	for line := range strings.SplitSeq(body, "\n") {
		file, begins := strings.CutPrefix(line, "@@ ")
		switch {
		case line == "":
			empty++
			continue
		case begins:
			if path.Clean(file) != file || !strings.HasSuffix(file, ".go") || strings.HasPrefix(file, "../") {
				return nil, fmt.Errorf("%q should be the path of a Go file from the root of the module", file)
			}
			edits, empty = append(edits, Edit{File: file}), 0
			continue
		case len(edits) == 0:
			return nil, fmt.Errorf("%q stands before the first @@ and its file", line)
		}
		for ; empty > 0; empty-- {
			_ = edits[len(edits)-1].add(" ") // a line with a space is part of the edit
		}
		if err := edits[len(edits)-1].add(line); err != nil {
			return nil, err
		}
	}
	for i := range edits {
		if edits[i].Old == "" || edits[i].Old == edits[i].New {
			return nil, fmt.Errorf("edit %d, in %s, changes nothing", i+1, edits[i].File)
		}
	}
	if len(edits) == 0 {
		return nil, errors.New("there is no edit")
	}
	return edits, nil
}

// add adds one line of an edit.
func (e *Edit) add(line string) error {
	rest := line[1:] + "\n"
	switch line[0] {
	case ' ':
		e.Old, e.New = e.Old+rest, e.New+rest
	case '-':
		e.Old += rest
	case '+':
		e.New += rest
	default:
		return fmt.Errorf("%q should begin with a space, a minus or a plus", line)
	}
	return nil
}
