package mutants

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// traps is the whole list that the tests of this repository name.
func traps() []string {
	var list []string
	for _, kind := range []struct {
		name string
		last int
	}{{"T", 57}, {"H", 6}, {"S", 10}} {
		for i := range kind.last {
			list = append(list, fmt.Sprintf("%s%d", kind.name, i+1))
		}
	}
	return list
}

func TestEveryTrapIsPlantedOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	for _, trap := range traps() {
		planted := slices.ContainsFunc(All(), func(m Mutant) bool { return m.Trap == trap })
		switch why := unplantable[trap]; {
		case !planted && why == "":
			t.Errorf("trap %s: there is no mutant, and no reason why there is none", trap)
		case planted && why != "":
			t.Errorf("trap %s: there is a mutant, and a reason why there is none: %s", trap, why)
		}
	}
	for trap := range unplantable {
		if !slices.Contains(traps(), trap) {
			t.Errorf("%q is no trap of the list", trap)
		}
	}
}

func TestEveryMutantNamesItsTrap(t *testing.T) {
	t.Parallel()
	section := regexp.MustCompile(`^P\d+\.\d+$`) // of the paper, where the list has no trap
	id := regexp.MustCompile(`^[A-Z]\d+[a-z]?$`)
	for _, m := range All() {
		if !slices.Contains(traps(), m.Trap) && !section.MatchString(m.Trap) {
			t.Errorf("mutant %s: %q is no trap of the list, and no section of the paper like P5.2", m.ID, m.Trap)
		}
		if !id.MatchString(m.ID) {
			t.Errorf("mutant %q should be called like T12 or T12b", m.ID)
		}
	}
}
