package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed ui third_party
var embedded embed.FS

// asset is one file of the page, ready to serve.
type asset struct {
	contentType string
	raw         []byte
	zipped      []byte // nil if compression saves little
}

// page is everything that is served: the document and, below /ui/<version>/, its files.
type page struct {
	version string // SHA-256 of all files, so that a changed file has another address
	index   asset
	files   map[string]asset // by path below /ui/<version>/
}

// loadPage reads the embedded files once per process.
var loadPage = sync.OnceValue(func() *page {
	sources := sourceFiles()
	version := versionOf(sources)
	p := &page{version: version, files: make(map[string]asset, len(sources))}
	for name, raw := range sources {
		if name == "index.html" {
			p.index = newAsset(name, composeIndex(raw, version, sources))
			continue
		}
		p.files[name] = newAsset(name, raw)
	}
	return p
})

// sourceFiles returns the files of the repository under the names that the page uses: the files of ui lose that
// prefix. Sums are left out; licenses are included.
func sourceFiles() map[string][]byte {
	files := make(map[string][]byte)
	err := fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "SHA256SUMS" {
			return err
		}
		raw, err := embedded.ReadFile(name)
		files[strings.TrimPrefix(name, "ui/")] = raw
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("dashboard: cannot read the embedded files: %v", err)) // only a broken build can do that
	}
	return files
}

// versionOf hashes names and contents in the order of the names.
func versionOf(files map[string][]byte) string {
	sum := sha256.New()
	for _, name := range sortedNames(files) {
		fmt.Fprintf(sum, "%s %d\n", name, len(files[name]))
		sum.Write(files[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// composeIndex puts the version into the paths, and lists every module in the document, so that a browser fetches them
// at once instead of one import after the other.
func composeIndex(raw []byte, version string, files map[string][]byte) []byte {
	var preloads bytes.Buffer
	for _, name := range sortedNames(files) {
		if isModule(name) && !isLazy(name) {
			fmt.Fprintf(&preloads, "<link rel=\"modulepreload\" nonce=\"NONCE\" href=\"/ui/%s/%s\">\n", version, name)
		}
	}
	raw = bytes.ReplaceAll(raw, []byte("/ui/HASH/"), []byte("/ui/"+version+"/"))
	return bytes.Replace(raw, []byte("<!-- PRELOADS -->\n"), preloads.Bytes(), 1)
}

// isModule reports whether a file is an ES module. The one classic script runs before the first paint.
func isModule(name string) bool {
	extension := path.Ext(name)
	return (extension == ".js" || extension == ".mjs") && name != "js/theme.js"
}

// isLazy reports whether only the page of raftnode local loads a module.
func isLazy(name string) bool { return strings.HasPrefix(name, "js/local/") }

func newAsset(name string, raw []byte) asset {
	a := asset{contentType: contentType(name), raw: raw}
	var zipped bytes.Buffer
	writer, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		panic(fmt.Sprintf("dashboard: %v", err)) // the level is a constant
	}
	// Writing to a buffer cannot fail.
	_, _ = writer.Write(raw)
	_ = writer.Close()
	if zipped.Len() < len(raw)*9/10 {
		a.zipped = zipped.Bytes()
	}
	return a
}

// contentType does not use the system's table, which may lack .mjs.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if byExtension := mime.TypeByExtension(path.Ext(name)); byExtension != "" {
		return byExtension
	}
	return "text/plain; charset=utf-8"
}
