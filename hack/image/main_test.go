package main

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestTheImageHoldsItsProgramsAndARoomForFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, program := range []string{"server", "tool"} {
		if err := os.WriteFile(filepath.Join(dir, program), []byte("I am "+program), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "image.tar")
	programs := []string{filepath.Join(dir, "server"), filepath.Join(dir, "tool")}
	if err := pack("kontiki/test:dev", out, "arm64", content{programs: programs}); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/server"}) ||
		config.OS != "linux" || config.Architecture != "arm64" {
		t.Errorf("got user %q, entrypoint %v, %s/%s", c.User, c.Entrypoint, config.OS, config.Architecture)
	}
	modes, texts := map[string]int64{}, map[string]string{}
	files := mutate.Extract(image)
	defer files.Close()
	for r := tar.NewReader(files); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		modes[filepath.Clean(header.Name)], texts[header.Name] = header.Mode, string(text)
	}
	if modes["tmp"] != 0o1777 || modes["server"] != 0o755 || texts["tool"] != "I am tool" || len(modes) != 3 {
		t.Errorf("got modes %v and texts %v", modes, texts)
	}
}

func TestAMissingProgramIsNoImage(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "image.tar")
	err := pack("kontiki/test:dev", out, "amd64", content{programs: []string{"/nonexistent"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that there is no such file", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the tar was written nevertheless")
	}
}
