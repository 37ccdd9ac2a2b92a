package mutants

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAFailedTestIsACatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		said string
		want Catch
	}{
		"a seed": {
			said: `--- FAIL: TestStorm (0.00s)
    --- FAIL: TestStorm/12 (0.05s)
        random_test.go:91: step 17: two pods at once: evict demo-1
    --- FAIL: TestStorm/9 (0.05s)
        random_test.go:91: step 18: another
FAIL
`,
			want: Catch{Seed: 12, Step: 17, Invariant: "TestStorm", Detail: "step 17: two pods at once: evict demo-1"},
		},
		"a test": {
			said: "--- FAIL: TestOne (0.00s)\n    one_test.go:3: it is two\n--- FAIL: TestTwo (0.00s)\nFAIL\n",
			want: Catch{Invariant: "TestOne", Detail: "it is two"},
		},
		"a panic": {
			said: "--- FAIL: TestOne (0.00s)\npanic: index out of range [recovered]\n\ngoroutine 1\n",
			want: Catch{Invariant: "panic", Detail: "index out of range [recovered]"},
		},
	} {
		if got := failed([]byte(c.said)); got == nil || *got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	if got := failed([]byte("ok\n")); got != nil {
		t.Errorf("nothing failed, and the catch is %+v", got)
	}
}

// testBinary writes a program that runs a script, and the folder that it runs in.
func testBinary(t *testing.T, script string) (*ByTests, string) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "operator"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &ByTests{Root: root, Package: "operator"}, simulator(t, script)
}

func TestTestsHuntInTheFolderOfTheirPackageWithoutAnAPIServer(t *testing.T) {
	t.Parallel()
	hunter, program := testBinary(t, `test "$*" = "-test.failfast -test.short -test.run TestX" && test -z "$CI" &&
		test ! -e "$KUBEBUILDER_ASSETS" && test "$(basename "$PWD")" = operator || exit 3`)
	c, err := hunter.Hunt(t.Context(), Mutant{Options: []string{"-test.run", "TestX"}}, program)
	if c != nil || err != nil {
		t.Errorf("got %+v, %v; want nothing found", c, err)
	}
}

func TestTestsThatFailWithoutAWordAreNoCatch(t *testing.T) {
	t.Parallel()
	hunter, program := testBinary(t, "exit 2")
	if c, err := hunter.Hunt(t.Context(), Mutant{}, program); c != nil || err == nil {
		t.Errorf("got %+v, %v; want an error", c, err)
	}
}

func TestOperatorsMutantsFitTodaysSource(t *testing.T) {
	t.Parallel()
	mutants, err := Operator(os.DirFS(filepath.Join("..", "..", "..")))
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) < 14 {
		t.Errorf("there are only %d mutants of the operator", len(mutants))
	}
	for _, m := range mutants {
		t.Run(m.ID, func(t *testing.T) {
			t.Parallel()
			checkFits(t, m)
			if !strings.HasPrefix(m.Where(), "controllers/") {
				t.Errorf("it is planted in %s", m.Where())
			}
		})
	}
}

func TestCoresMutantsFitTodaysSource(t *testing.T) {
	t.Parallel()
	mutants, err := Core(os.DirFS(filepath.Join("..", "..", "..")))
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) < 29 {
		t.Errorf("there are only %d mutants of the core", len(mutants))
	}
	for _, m := range mutants {
		t.Run(m.ID, func(t *testing.T) {
			t.Parallel()
			checkFits(t, m)
			if _, err := Find(m.ID); err == nil {
				t.Error("the simulator has a mutant of that name")
			}
			if m.Trap != "P6.0" && !slices.Contains(traps(), m.Trap) {
				t.Errorf("%q is no trap of the list", m.Trap)
			}
		})
	}
}

func TestASuiteTellsWhichMutantsGotAway(t *testing.T) {
	t.Parallel()
	hunter, _ := testBinary(t, "")
	s := Suite{Mutants: []Mutant{{ID: "O1"}, {ID: "O2"}}, Hunter: &scripted{hunter}, Workers: 2, Limit: 1 << 40}
	rows, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0].ID != "" || rows[1].Catch == nil || !errors.Is(rows[2].Err, ErrNotCaught) {
		t.Errorf("the code as it is, one that is caught and one that is not give the rows %+v", rows)
	}
}

// scripted catches the mutant O1, and nothing else.
type scripted struct{ *ByTests }

func (*scripted) Build(_ context.Context, m Mutant, program string) error {
	script := "exit 0"
	if m.ID == "O1" {
		script = "echo '--- FAIL: TestOne (0.00s)'; exit 1"
	}
	return writeProgram(program, script)
}
