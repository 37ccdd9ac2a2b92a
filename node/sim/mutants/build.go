package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrDead reports that the program with the bug does not compile.
var ErrDead = errors.New("it does not compile")

// Root returns the root of the module, whose source the mutants change: the go.mod above the working directory.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == os.DevNull {
		return "", errors.New("mutants are built from the source: run this inside the repository")
	}
	return filepath.Dir(file), nil
}

// Build builds a package of the module at root with a mutant in it, into the file out. The package is named as for go
// build, from the root: "./node/cmd/raftnode". An empty id builds it unchanged. The error is ErrDead if it does not
// compile.
func Build(ctx context.Context, root, id, pkg, out string) error {
	var m Mutant
	if id != "" {
		var err error
		if m, err = Find(id); err != nil {
			return err
		}
	}
	return m.build(ctx, root, out, "build", pkg)
}

// build runs a go command that builds a package, with the mutant as an overlay of the source, into the file out.
func (m Mutant) build(ctx context.Context, root, out, command string, arguments ...string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	options := []string{command, "-o", out}
	if len(m.Edits) > 0 {
		overlay, remove, err := m.overlay(root)
		if err != nil {
			return err
		}
		defer remove()
		options = append(options, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(options, arguments...)...)
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("mutant %s: %w: %w\n%s", m.ID, ErrDead, err, bytes.TrimSpace(said))
	}
	return nil
}

// overlay writes the changed files, and the list of them that go build takes, into a folder of their own; remove
// removes it.
func (m Mutant) overlay(root string) (file string, remove func(), err error) {
	changed, err := m.Apply(func(path string) ([]byte, error) {
		return os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	})
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp("", "mutant-"+m.ID+"-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(folder) } // a file that is left in the temporary folder does no harm
	if file, err = writeOverlay(root, folder, changed); err != nil {
		remove()
		return "", nil, err
	}
	return file, remove, nil
}

func writeOverlay(root, folder string, changed map[string][]byte) (string, error) {
	replace := map[string]string{}
	for path, text := range changed {
		name := filepath.Join(folder, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(path))] = name
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, list, 0o600)
}
