package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
)

// ByTests is the Hunter of mutants that the tests of a package catch. The options of a mutant are options of its test
// binary, so that -test.run names the tests that must catch it; without any, each test may. Tests that need an API
// server are skipped: they take too long for a run with each mutant.
type ByTests struct {
	Root    string // of the module
	Package string // a folder, from the root
}

// Build implements Hunter.
func (t *ByTests) Build(ctx context.Context, m Mutant, program string) error {
	return m.build(ctx, t.Root, program, "test", "-c", "-ldflags=-s -w", "./"+t.Package)
}

// Hunt implements Hunter.
func (t *ByTests) Hunt(ctx context.Context, m Mutant, program string) (*Catch, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	tests := exec.CommandContext(ctx, program, append([]string{"-test.failfast", "-test.short"}, m.Options...)...)
	tests.Dir = filepath.Join(t.Root, filepath.FromSlash(t.Package))
	// Without CI, and with a folder that holds no API server, the tests that need one are skipped.
	tests.Env = append(os.Environ(), "CI=", "KUBEBUILDER_ASSETS="+path.Join(filepath.ToSlash(t.Root), "no", "assets"))
	said, err := tests.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the tests of %s did not end in time: %w", t.Package, ctx.Err())
	case err == nil:
		return nil, nil
	case !errors.As(err, &exit):
		return nil, fmt.Errorf("the tests of %s: %w", t.Package, err)
	}
	if c := failed(said); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("the tests of %s: %w\n%s", t.Package, err, tail(said))
}

var (
	failure  = regexp.MustCompile(`(?m)^ *--- FAIL: ([^ /]+)(?:/([^ ]+))? .*\n(?: *\S+\.go:\d+: (.*))?`)
	atStep   = regexp.MustCompile(`^step (\d+): `)
	panicked = regexp.MustCompile(`(?m)^panic: (.*)`)
)

// failed returns what failed first: the innermost test, its seed and step if it has any, and its message.
func failed(said []byte) *Catch {
	if m := panicked.FindSubmatch(said); m != nil {
		return &Catch{Invariant: "panic", Detail: string(m[1])}
	}
	var first *Catch
	for _, m := range failure.FindAllSubmatch(said, -1) {
		c := &Catch{Invariant: string(m[1]), Detail: string(bytes.TrimSpace(m[3]))}
		c.Seed, _ = strconv.ParseUint(string(m[2]), 10, 64) // not every subtest is a seed
		if step := atStep.FindSubmatch(m[3]); step != nil {
			c.Step, _ = strconv.ParseUint(string(step[1]), 10, 64) // only digits
		}
		if first == nil || first.Detail == "" && first.Invariant == c.Invariant {
			first = c
		}
	}
	return first
}
