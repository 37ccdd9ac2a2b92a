// Command image packs static programs into a container image, without a builder and without a registry:
//
//	image -t NAME:TAG -o FILE.tar -target node|operator DIR    one of the product's images, with its programs from DIR
//	image -t NAME:TAG -o FILE.tar PROGRAM...                   any programs; the first is the entry point
//
// Each program is in the image's root. The only other content is an empty /tmp that every user may write to: there is
// no shell, and no library. `docker load`, `ctr images import` and `kind load image-archive` read the file.
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
	tag := flag.String("t", "", "`NAME:TAG` of the image")
	out := flag.String("o", "", "tar `FILE` to write")
	target := flag.String("target", "", "`STAGE` of the Dockerfile: node or operator")
	arch := flag.String("arch", runtime.GOARCH, "architecture of the programs, as GOARCH")
	flag.Parse()
	c, err := contentOf(*target, flag.Args())
	if err != nil || *tag == "" || *out == "" {
		log.Fatalf("usage: image -t NAME:TAG -o FILE.tar [-arch ARCH] (-target node|operator DIR | PROGRAM...): %v", err)
	}
	if err := pack(*tag, *out, *arch, c); err != nil {
		log.Fatal(err)
	}
}

// pack writes the image of the programs to a file that containerd and Docker can load.
func pack(tag, out, arch string, c content) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	image, err := build(arch, c)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, reference, image)
}

// build makes the image.
func build(arch string, c content) (v1.Image, error) {
	files, err := archive(c)
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
	config.OS, config.Architecture = "linux", arch
	config.Config.User = fmt.Sprintf("%d:%d", user, user)
	config.Config.Entrypoint = []string{"/" + filepath.Base(c.programs[0])}
	config.Config.Cmd = c.command
	config.Config.Env = []string{"PATH=/"}
	config.Config.ExposedPorts = map[string]struct{}{}
	for _, port := range c.ports {
		config.Config.ExposedPorts[fmt.Sprintf("%d/tcp", port)] = struct{}{}
	}
	if c.data != "" {
		config.Config.Volumes = map[string]struct{}{c.data: {}}
	}
	return mutate.ConfigFile(image, config)
}

// archive makes the one layer: /tmp, the data directory and the programs.
func archive(c content) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	// Sticky and writable for all users, as on every Unix.
	if err := w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
		return nil, err
	}
	if c.data != "" {
		header := &tar.Header{Name: c.data[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o755, Uid: user, Gid: user}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	for _, program := range c.programs {
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
