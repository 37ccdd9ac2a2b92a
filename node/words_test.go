package node_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden are phrases that comments, string literals and documents must not contain, and what to write instead.
var forbidden = []struct {
	phrase  *regexp.Regexp
	instead string
}{
	{words(`nobody|somebody|everybody|anybody|whoever|someone|no one`), "name the actor: the node, the client"},
	{words(`(?:tells?|says?) whether`), "reports whether"},
	{words(`tells?|told|telling`), "reports, sends, returns or sets"},
	{words(`says?|said|saying`), "reports, states, prints or returns"},
	{words(`speaks?|spoke|speaking`), "carries, uses or contains"},
	{words(`hears?|heard`), "receives"},
	{words(`knows?|knew|knowing`), "has, records or supports; known and unknown are fine"},
	{words(`believes?|believed`), "accepts or assumes"},
	{words(`lives|lived|alive|lives? through|dies|died`), "runs, is running, stops, is unreachable, is removed"},
	{words(`office`), "leadership"},
	{words(`moot|fallen|sameness|deeds?`), "the standard term"},
	{words(`stor(?:y|ies)`), "run, scenario or test case"},
	{words(`promis(?:e|es|ed)`), "invariant or guarantee"},
	{words(`demands?`), "requires, needs or checks"},
	{words(`to the letter`), "exactly or completely"},
	{words(`strangers?`), "unidentified peer, or client"},
	{words(`for ever`), "permanently, or without limit"},
	{words(`under way`), "in progress or in flight"},
	{words(`in vain`), "without a result"},
	{words(`as ever|without a word`), "leave it out"},
}

// words returns an expression that matches whole words in any case.
func words(alternatives string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[^\pL\pN_-])(` + alternatives + `)(?:$|[^\pL\pN_-])`)
}

// unworded are the files whose text is not ours, or whose words are data.
var unworded = []string{
	"zz_generated.deepcopy.go", "node/words_test.go",
	"files/crd.yaml", "crd/raft.kontiki.dev_raftclusters.yaml", // Kubernetes' descriptions
}

// literal are the folders whose string literals are data, so that only comments, documents and planted bugs are
// checked: names of invariants, which tables and seeds of old runs have, and the language of scenarios.
var literal = []string{"node/sim"}

// unwordedFolders are not checked: build output, test data, and the work of other authors.
var unwordedFolders = []string{".git", "bin", "data", "testdata", "third_party", "node_modules"}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, name := range goFiles(t, "..") {
		if !isWorded(name) {
			continue
		}
		file := parse(t, name)
		texts := comments(file)
		if !within(literal, name) {
			texts = append(texts, literals(file)...)
		}
		for _, text := range texts {
			for _, fault := range faults(text) {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
	for name, text := range textFiles(t, "..") {
		for _, fault := range faults(text) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

func TestPlantedWordsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"isLeader tells whether the node leads.":    true,
		"Nobody waits for it.":                      true,
		"a leader loses its office":                 true,
		"the log says\nmore":                        true,
		"a run is the same, to the\nletter":         true,
		"the lifecycle of an officer, a saying-so":  false,
		"an unknown outcome, a known peer":          false,
		"the history of a directory, Compromised":   false,
		"await new Promise((resolve) => resolve())": false,
		"a run that keeps its promise":              true,
		"Term returns the current term of the core": false,
	} {
		if got := faults(text); len(got) > 0 != want {
			t.Errorf("%q: got %v, want a fault: %t", text, got, want)
		}
	}

	file := parse(t, "node/words_test.go")
	found := strings.Join(append(comments(file), literals(file)...), "\n")
	for _, part := range []string{"forbidden are phrases", "isLeader tells whether"} {
		if !strings.Contains(found, part) {
			t.Errorf("%q is not found", part)
		}
	}
	if text := prose("a `story` is\n```\nnobody\n```\ncode"); len(faults(text)) > 0 {
		t.Errorf("code is no prose: %q", text)
	}
}

// Each kind of file that is not Go is checked, but not in folders that hold the work of other authors.
func TestPlantedFilesAreFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, want := range map[string]bool{
		"hack/a.md": true, "hack/a.js": true, "hack/a.css": true, "hack/a.html": true, "hack/a.sh": true, "hack/a.tpl": true,
		"config/a.yaml": true, ".github/workflows/a.yml": true, "controllers/planted/a.mutant": true, "hack/script": true,
		"Makefile": true, "Dockerfile": true,
		"hack/a.png": false, "hack/testdata/a.md": false, "node/dashboard/third_party/a.js": false,
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("#!/bin/sh\n# Nobody waits for it.\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := faults(textFiles(t, root)[name]); len(got) > 0 != want {
			t.Errorf("%s: got %v, want a fault: %t", name, got, want)
		}
	}
}

// isWorded reports whether the words of a file are checked.
func isWorded(name string) bool {
	return !slices.ContainsFunc(unworded, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// within reports whether a file is in one of the folders.
func within(folders []string, name string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(name, folder+"/") })
}

// faults returns the forbidden phrases in a text, each with what to write instead. The class Promise is allowed.
func faults(text string) []string {
	var found []string
	text = promiseClass.ReplaceAllString(strings.Join(strings.Fields(text), " "), "")
	for _, f := range forbidden {
		for _, m := range f.phrase.FindAllStringSubmatchIndex(text, -1) {
			around := text[max(0, m[2]-30):min(len(text), m[3]+30)]
			found = append(found, fmt.Sprintf("%q in %q: write %s", text[m[2]:m[3]], around, f.instead))
		}
	}
	return found
}

// comments returns the comments of a file, without quotations of the paper, which are between double quotation marks.
func comments(file *ast.File) []string {
	var texts []string
	for _, group := range file.Comments {
		texts = append(texts, quotation.ReplaceAllString(group.Text(), ""))
	}
	return texts
}

// literals returns the string literals of a file, without import paths and struct tags.
func literals(file *ast.File) []string {
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			n.Tag = nil
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				if text, err := strconv.Unquote(n.Value); err == nil {
					texts = append(texts, text)
				}
			}
		}
		return true
	})
	return texts
}

var (
	quotation    = regexp.MustCompile(`(?s)"[^"]{40,}"`)
	codeBlock    = regexp.MustCompile("(?ms)^```.*?^```")
	inlineCode   = regexp.MustCompile("`[^`\n]*`")
	promiseClass = regexp.MustCompile(`\bPromise[.(]`)
)

// prose returns a Markdown document without its code.
func prose(text string) string {
	return inlineCode.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
}

// isText reports whether the words of a file are checked although it is not a Go file: documents, the page, scripts,
// manifests, templates, Makefile, Dockerfile and planted bugs.
func isText(name, text string) bool {
	switch path.Ext(name) {
	case ".md", ".js", ".css", ".html", ".sh", ".yaml", ".yml", ".tpl", ".mutant":
		return true
	case "":
		base := path.Base(name)
		return base == "Makefile" || base == "Dockerfile" || strings.HasPrefix(text, "#!")
	}
	return false
}

// textFiles returns the words of the files below root for which isText holds. Documents mark which part is code;
// of the other files the whole text counts, code included.
func textFiles(t *testing.T, root string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(unwordedFolders, entry.Name()) {
			return filepath.SkipDir
		}
		relative, err := filepath.Rel(root, file)
		name := filepath.ToSlash(relative)
		if err != nil || !entry.Type().IsRegular() || !isWorded(name) {
			return err
		}
		content, err := os.ReadFile(file)
		switch text := string(content); {
		case path.Ext(name) == ".md":
			texts[name] = prose(text)
		case path.Ext(name) == ".mutant", isText(name, text) && !within(literal, name):
			texts[name] = text
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
