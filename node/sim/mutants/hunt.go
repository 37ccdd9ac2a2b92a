package mutants

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Catch is the first violation that a run of seeds showed, as raftsim -json prints it.
type Catch struct {
	Seed      uint64 `json:"seed"`
	Step      uint64 `json:"step"`
	Invariant string `json:"invariant"` // the checker that saw it
	Detail    string `json:"detail"`
}

// Simulator is the package of the program that hunts.
const Simulator = "./node/cmd/raftsim"

// BySimulator is the Hunter of the mutants of Raft.
type BySimulator struct {
	Root  string // of the module
	Seeds string // where each is hunted: "0..500"
}

// Build implements Hunter.
func (s *BySimulator) Build(ctx context.Context, m Mutant, program string) error {
	return Build(ctx, s.Root, m.ID, Simulator, program)
}

// Hunt implements Hunter.
func (s *BySimulator) Hunt(ctx context.Context, m Mutant, program string) (*Catch, error) {
	return Hunt(ctx, program, cmp.Or(m.Seeds, s.Seeds), append([]string{"-workers", "1"}, m.Options...)...)
}

// Hunt runs a built simulator over seeds ("0..500") and returns the first violation, nil if there was none. Options are
// further ones of raftsim. Any other result of the program is an error.
func Hunt(ctx context.Context, program, seeds string, options ...string) (*Catch, error) {
	arguments := append([]string{"-seeds", seeds, "-json"}, options...)
	hunt := exec.CommandContext(ctx, program, arguments...)
	var said, complained bytes.Buffer
	hunt.Stdout, hunt.Stderr = &said, &complained
	err := hunt.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("raftsim %q did not end in time: %w", arguments, ctx.Err())
	case err == nil:
		return nil, nil
	case !errors.As(err, &exit) || exit.ExitCode() != foundSomething:
		return nil, fmt.Errorf("raftsim %q: %w\n%s", arguments, err, tail(complained.Bytes()))
	}
	return readCatch(said.Bytes())
}

// foundSomething is the exit code with which raftsim reports that an invariant was broken.
const foundSomething = 1

// readCatch parses the violation in the last line.
func readCatch(said []byte) (*Catch, error) {
	said = bytes.TrimSpace(said)
	line := said[bytes.LastIndexByte(said, '\n')+1:]
	var c Catch
	if err := json.Unmarshal(line, &c); err != nil {
		return nil, fmt.Errorf("raftsim found something, and should say what in its last line as JSON, not %q: %w", line, err)
	}
	if c.Invariant == "" {
		return nil, fmt.Errorf("raftsim found something, and does not say which invariant it broke: %s", line)
	}
	return &c, nil
}

// tail returns the end of a long message.
func tail(text []byte) []byte {
	const most = 2000
	return bytes.TrimSpace(text[max(0, len(text)-most):])
}

// HuntMutant builds the simulator with a mutant and hunts it over seeds; further options come after the mutant's own.
// It must run inside the repository.
func HuntMutant(ctx context.Context, id, seeds string, options ...string) (*Catch, error) {
	m, err := Find(id)
	if err != nil {
		return nil, err
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // a file that is left in the temporary folder does no harm
	program := filepath.Join(folder, "raftsim")
	if err := Build(ctx, root, id, Simulator, program); err != nil {
		return nil, err
	}
	return Hunt(ctx, program, seeds, append(slices.Clone(m.Options), options...)...)
}
