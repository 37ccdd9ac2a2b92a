// Command image packs static programs into a container image, without a builder and without a registry:
//
//	image -t NAME:TAG -o FILE.tar [-user UID] PROGRAM...
//
// Each program lands in the image's root; the first is the entrypoint. Beside them there is an empty /tmp that every
// user may write to, and nothing else: no shell, no libraries.
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("image: ")
	tag := flag.String("t", "", "the image's `NAME:TAG`")
	out := flag.String("o", "", "the tar `FILE` to write")
	user := flag.String("user", "65532", "the `UID` that the programs run as")
	flag.Parse()
	if *tag == "" || *out == "" || flag.NArg() == 0 {
		log.Fatal("usage: image -t NAME:TAG -o FILE.tar [-user UID] PROGRAM...")
	}
	if err := pack(*tag, *out, *user, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

// pack writes the image of the programs to a file that containerd and Docker can load.
func pack(tag, out, user string, programs []string) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	image, err := build(user, programs)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, reference, image)
}

// build makes the image of the programs.
func build(user string, programs []string) (v1.Image, error) {
	files, err := archive(programs)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.User = user
	config.Config.Entrypoint = []string{"/" + filepath.Base(programs[0])}
	config.Config.Env = []string{"PATH=/"}
	return mutate.ConfigFile(image, config)
}

// archive makes the one layer: /tmp and the programs.
func archive(programs []string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	// Sticky and for everybody, as on every Unix.
	if err := w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
		return nil, err
	}
	for _, program := range programs {
		data, err := os.ReadFile(program)
		if err != nil {
			return nil, fmt.Errorf("a program for the image: %w", err)
		}
		header := &tar.Header{Name: filepath.Base(program), Mode: 0o755, Size: int64(len(data))}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}
